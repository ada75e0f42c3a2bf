"""``weir init --rights`` on ClickHouse: asks what there is, and makes what ``clickhouse_rights`` says is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.migrations import view_names
from schemas.rights.clickhouse_access import ClickHouseAccess, read_access
from schemas.rights.clickhouse_rights import ANALYST, Installation, RightsChange, clickhouse_changes, user_statement
from schemas.rights.rights_document import ClickHouseUsers, RightsError, read_password
from schemas.rights.view_definers import closed_views
from schemas.settings import Settings

_BOUND_VIEWS = """SELECT table FROM system.columns
WHERE database = {d:String} AND has({v:Array(String)}, table) AND name = 'namespace' ORDER BY table"""


def installation_of(client: Client, settings: Settings) -> Installation:
    """The views are those of this release; before their migrations none is there that a policy could stand on."""
    database, views = settings.clickhouse_database, view_names()
    bound = client.query(_BOUND_VIEWS, parameters={"d": database, "v": views}).result_rows
    return Installation(database, settings.clickhouse_cluster, tuple(views), tuple(str(name) for (name,) in bound))


def held_access(client: Client, settings: Settings) -> ClickHouseAccess:
    """Raises RightsError where who asks may not see users and rights."""
    database = settings.clickhouse_database
    try:
        return read_access(client, database, ANALYST, closed_views(client, database))
    except DatabaseError as error:
        raise RightsError(
            f"ClickHouse does not show its users and rights to {settings.clickhouse_user}: ask as a user with the "
            f"rights ACCESS MANAGEMENT and SHOW ACCESS ({str(error).splitlines()[0][:200]})"
        ) from error


def missing_rights(client: Client, settings: Settings, users: ClickHouseUsers) -> list[RightsChange]:
    """``clickhouse_changes`` of this server; changes nothing. Raises RightsError."""
    return clickhouse_changes(installation_of(client, settings), users, held_access(client, settings))


def make_rights(client: Client, settings: Settings, changes: Sequence[RightsChange], salt: Callable[[], str]) -> None:
    """Make ``changes`` in their order; what is by hand is left. Safe to repeat after any interruption. ``salt``: random
    text for each new password. Raises RightsError: which change was refused."""
    for change in changes:
        try:
            if change.user is not None:
                password = read_password(change.user)
                client.command(user_statement(change.user.name, password, settings.clickhouse_cluster, salt))
            for statement in change.statements:
                client.command(statement)
        except DatabaseError as error:
            # The server's own text is left out where it could repeat a statement with a password's hash.
            reason = "" if change.user is not None else f": {str(error).splitlines()[0][:300]}"
            raise RightsError(
                f"ClickHouse refused {change.subject} ({change.text}) to {settings.clickhouse_user}, who needs ACCESS "
                f"MANAGEMENT, and every right that it gives WITH GRANT OPTION{reason}"
            ) from error
