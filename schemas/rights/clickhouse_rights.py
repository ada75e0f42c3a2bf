"""What a ClickHouse lacks of Weir's users and rights, as statements. Decided here alone; asks and changes
nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from schemas.rights.clickhouse_access import AnalystLimit, ClickHouseAccess, RowPolicy
from schemas.rights.clickhouse_roles import (
    BOUND_ANALYST,
    ROLES,
    Privilege,
    by_target,
    on_cluster,
    privileges,
    role_name,
)
from schemas.rights.rights_document import AnalystLimits, ClickHouseUser, ClickHouseUsers
from schemas.rights.view_definers import opening

ANALYST: Final = role_name("analyst")
"""Also the name of the settings profile and of the quota of analysts."""


@dataclass(frozen=True, slots=True)
class Installation:
    """``bound_views``: those of ``views`` that have a column ``namespace``."""

    database: str
    cluster: str
    views: tuple[str, ...]
    bound_views: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RightsChange:
    """One thing that is missing or too much. ``statements``: run in order; they hold no password. ``user``: whose
    password a statement needs that makes it. ``by_hand``: ``text`` says what to do."""

    subject: str
    action: Literal["create", "set", "by_hand"]
    text: str
    statements: tuple[str, ...] = ()
    user: ClickHouseUser | None = None


def clickhouse_changes(
    installation: Installation, users: ClickHouseUsers, held: ClickHouseAccess
) -> list[RightsChange]:
    """In the order in which they are to be made: no user may read a view before the rows of its namespaces are all that
    it sees there, wherever a run is interrupted. Views are opened last, when nobody holds a role beyond their own.
    Empty where all is as it should be."""
    return [
        *_missing_users(users, held),
        *_policies(installation, users, held),
        *_roles(installation, held),
        *_limits(installation, users.analyst_limits, held),
        *_role_grants(installation, users, held),
        *_views(installation, held),
    ]


def _roles(installation: Installation, held: ClickHouseAccess) -> Iterator[RightsChange]:
    wanted: dict[str, frozenset[Privilege]] = {
        role_name(role): privileges(
            role, installation.database, views=installation.views, cluster=bool(installation.cluster)
        )
        for role in ROLES
    }
    wanted[BOUND_ANALYST] = privileges(
        "analyst", installation.database, views=installation.bound_views, cluster=bool(installation.cluster)
    )
    on = on_cluster(installation.cluster)
    for role, rights in wanted.items():
        present = held.rights.get(role, frozenset())
        add, remove = rights - present, present - rights
        made = [] if role in held.roles else [f"CREATE ROLE IF NOT EXISTS {role}{on}"]
        granted = [f"GRANT{on} {text} TO {role}" for text in by_target(add)]
        # What this cannot revoke by its name (columns, partial revokes) is named with all else in the text.
        revoked = [f"REVOKE{on} {text} FROM {role}" for text in by_target(_plain(remove))]
        if statements := (*made, *revoked, *granted):
            text = "; ".join(
                f"{word} {', '.join(f'{right.access} on {right.target}' for right in sorted(which))}"
                for word, which in (("may", add), ("may no longer", remove))
                if which
            )
            yield RightsChange(f"role {role}", "create" if made else "set", text, statements)
        if odd := remove - _plain(remove):
            text = f"REVOKE {', '.join(f'{right.access} on {right.target}' for right in sorted(odd))}"
            yield RightsChange(f"role {role}", "by_hand", text)


def _plain(rights: frozenset[Privilege]) -> frozenset[Privilege]:
    return frozenset(right for right in rights if right.access.replace(" ", "").isalpha() and "*" not in right.table)


def analyst_profile(limits: AnalystLimits) -> frozenset[AnalystLimit]:
    """The settings of an analyst's queries. readonly 2: they may choose formats, and change nothing of these."""
    values = {"readonly": 2, "max_memory_usage": limits.memory_bytes, "max_execution_time": limits.seconds}
    return frozenset(AnalystLimit(name, str(value)) for name, value in values.items())


def _limits(installation: Installation, limits: AnalystLimits, held: ClickHouseAccess) -> Iterator[RightsChange]:
    on, to = on_cluster(installation.cluster), f"TO {ANALYST}, {BOUND_ANALYST}"
    profile = analyst_profile(limits)
    if held.profile != profile:
        settings = ", ".join(f"{limit.name} = {limit.value} CONST" for limit in sorted(profile, key=lambda it: it.name))
        statement = f"CREATE SETTINGS PROFILE OR REPLACE {ANALYST}{on} SETTINGS {settings} {to}"
        yield RightsChange(f"settings profile {ANALYST}", "set" if held.profile else "create", settings, (statement,))
    wanted = {"queries": limits.queries_per_hour, "execution_time": limits.seconds_per_hour}
    if held.quota != frozenset(AnalystLimit(name, str(value)) for name, value in wanted.items()):
        maximum = ", ".join(f"{name} = {value}" for name, value in wanted.items())
        statement = f"CREATE QUOTA OR REPLACE {ANALYST}{on} KEYED BY user_name FOR INTERVAL 1 hour MAX {maximum} {to}"
        yield RightsChange(f"quota {ANALYST}", "set" if held.quota else "create", f"an hour: {maximum}", (statement,))


def _views(installation: Installation, held: ClickHouseAccess) -> Iterator[RightsChange]:
    for view in held.closed_views:
        statement = opening(installation.database, view, installation.cluster)
        yield RightsChange(f"view {view}", "set", "reads the tables in its owner's name", (statement,))


def _missing_users(users: ClickHouseUsers, held: ClickHouseAccess) -> Iterator[RightsChange]:
    for user in users.users:
        if user.name not in held.users:
            if user.password_file:
                yield RightsChange(
                    f"user {user.name}", "create", f"with the password in {user.password_file}", (), user
                )
            else:
                text = "create it, or name its password_file, then repeat"
                yield RightsChange(f"user {user.name}", "by_hand", text)


def _reachable(users: ClickHouseUsers, held: ClickHouseAccess) -> Iterator[ClickHouseUser]:
    return (user for user in users.users if user.name in held.users or user.password_file)


def policies_of(installation: Installation, user: ClickHouseUser) -> Iterator[RowPolicy]:
    """One for each view that the analyst may read. One who sees all has them, too: where a view has a policy, a server
    may show those without one nothing (``users_without_row_policies_can_read_rows``)."""
    names = ", ".join(f"'{code}'" for code in sorted(user.namespaces or ()))
    condition = f"namespace IN ({names})" if user.namespaces else "1"
    for view in installation.bound_views:
        yield RowPolicy(f"weir_{user.name}", view, condition, user.name)


def _policies(installation: Installation, users: ClickHouseUsers, held: ClickHouseAccess) -> Iterator[RightsChange]:
    analysts = [user for user in _reachable(users, held) if user.role == "analyst"]
    wanted = {policy for user in analysts for policy in policies_of(installation, user)}
    places = {(policy.name, policy.table) for policy in wanted}
    named = {user.name for user in users.users}
    # Without its policies who still holds a role would see all namespaces.
    holders = {name for name, _ in held.role_grants} - named
    on = on_cluster(installation.cluster)
    for policy in sorted(wanted - held.policies, key=lambda it: (it.name, it.table)):
        statement = (
            f"CREATE ROW POLICY OR REPLACE `{policy.name}`{on} ON {installation.database}.{policy.table} "
            f"FOR SELECT USING {policy.condition} AS PERMISSIVE TO `{policy.user}`"
        )
        yield RightsChange(f"row policy {policy.name} on {policy.table}", "set", policy.condition, (statement,))
    for policy in sorted(held.policies, key=lambda it: (it.name, it.table)):
        if (policy.name, policy.table) not in places and policy.user not in holders:
            statement = f"DROP ROW POLICY IF EXISTS `{policy.name}` ON {installation.database}.{policy.table}{on}"
            text = "dropped: of no analyst of the document"
            yield RightsChange(f"row policy {policy.name} on {policy.table}", "set", text, (statement,))


def _role_grants(installation: Installation, users: ClickHouseUsers, held: ClickHouseAccess) -> Iterator[RightsChange]:
    on = on_cluster(installation.cluster)
    for user in _reachable(users, held):
        role = BOUND_ANALYST if user.namespaces else role_name(user.role)
        beyond = sorted(other for name, other in held.role_grants if name == user.name and other != role)
        statements = [f"REVOKE{on} {other} FROM `{user.name}`" for other in beyond]
        if (user.name, role) not in held.role_grants:
            statements.append(f"GRANT{on} {role} TO `{user.name}`")
        if statements:
            text = f"has the role {role}" + (f", no longer {', '.join(beyond)}" if beyond else "")
            yield RightsChange(f"user {user.name}", "set", text, tuple(statements))
    named = {user.name for user in users.users}
    for name, role in sorted(held.role_grants):
        if name not in named:
            yield RightsChange(
                f"user {name}", "by_hand", f"has the role {role} and is not in the document: drop it, or name it"
            )


def user_statement(name: str, password: str, cluster: str, salt: Callable[[], str]) -> str:
    """Makes a user without sending the password: the server gets its salted hash."""
    grain = salt()
    digest = hashlib.sha256((password + grain).encode()).hexdigest()
    known_by = f"IDENTIFIED WITH sha256_hash BY '{digest}' SALT '{grain}'"
    return f"CREATE USER IF NOT EXISTS `{name}`{on_cluster(cluster)} {known_by}"
