"""The analysts' views read Weir's tables in their owner's name, so that an analyst needs no right on a table."""

from __future__ import annotations

from typing import Final

from clickhouse_connect.driver.client import Client

from schemas.migrations import view_names
from schemas.rights.clickhouse_roles import on_cluster

_READ_AS_OWNER: Final = "SQL SECURITY DEFINER"


def closed_views(client: Client, database: str) -> list[str]:
    """Sorted names of the views that read in their reader's name, as each does when a migration has made it anew; those
    that no migration has made yet, too."""
    held = client.query(
        "SELECT name FROM system.tables WHERE database = {d:String} AND position(create_table_query, {s:String}) > 0",
        parameters={"d": database, "s": _READ_AS_OWNER},
    ).result_rows
    return sorted(set(view_names()) - {str(name) for (name,) in held})


def opening(database: str, view: str, cluster: str = "") -> str:
    """The statement that lets a view read in the name of who runs it, who may read the tables. Safe to repeat."""
    return f"ALTER TABLE {database}.{view}{on_cluster(cluster)} MODIFY {_READ_AS_OWNER} DEFINER = CURRENT_USER"
