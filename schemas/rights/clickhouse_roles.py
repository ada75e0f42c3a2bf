"""The roles of Weir on ClickHouse, each with no more rights than its processes use.

A role is Weir's own: ``weir init --rights`` gives it exactly what stands here. Users are the operator's, and hold a
role. The local stack's processes run with the same grants, so that a right that is missing fails the test suite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

ClickHouseRole = Literal["worker", "rating", "migrations", "analyst"]
ROLES: Final[tuple[ClickHouseRole, ...]] = get_args(ClickHouseRole)
BOUND_ANALYST: Final = "weir_bound_analyst"
"""Role of analysts who see some namespaces: only views with a column ``namespace``, which row policies filter by."""

_ENGINES: Final = ("ReplacingMergeTree", "Null")
# What rating, webhooks and alerts write themselves. Invoices reach ClickHouse through usage.invoices and the worker.
_WRITTEN_BY_RATING: Final = (
    *("invoice_numbers", "credit_note_numbers", "usage_topups", "usage_alerts", "copy_progress"),
    *("webhook_deliveries", "webhook_progress", "webhook_replays"),
)


@dataclass(frozen=True, slots=True, order=True)
class Privilege:
    """One right, as a row of system.grants has it. ``database`` and ``table``: "" where it is not limited to one;
    ``engine``: the table engine of TABLE ENGINE."""

    access: str
    database: str = ""
    table: str = ""
    engine: str = ""

    @property
    def target(self) -> str:
        """What stands behind ON."""
        if self.access == "TABLE ENGINE":
            return self.engine or "*"
        return f"{self.database or '*'}.{self.table or '*'}"


def role_name(role: ClickHouseRole) -> str:
    """``weir_<role>``: its name in ClickHouse."""
    return f"weir_{role}"


def privileges(role: ClickHouseRole, database: str, *, views: tuple[str, ...], cluster: bool) -> frozenset[Privilege]:
    """What ``role`` needs on ``database``. ``views``: the analysts' (``migrations.view_names``); ``cluster``: tables
    are Replicated, and statements go ON CLUSTER."""
    return frozenset(_privileges(role, database, views, cluster=cluster))


def _privileges(role: ClickHouseRole, database: str, views: tuple[str, ...], *, cluster: bool) -> Iterator[Privilege]:
    if role == "analyst":
        yield from (Privilege("SELECT", database, view) for view in views)
        return
    yield Privilege("SELECT", database)
    if role == "rating":
        yield from (Privilege("INSERT", database, table) for table in _WRITTEN_BY_RATING)
        yield from (Privilege("SELECT", "system", table) for table in ("parts", "detached_parts"))
        return
    yield Privilege("INSERT", database)
    if role == "worker":
        yield Privilege("ALTER DELETE", database)
        yield Privilege("SELECT", "system", "detached_parts")
        return
    for what in (
        "CREATE DATABASE",
        *(f"{verb} {kind}" for verb in ("CREATE", "DROP", "ALTER") for kind in ("TABLE", "VIEW")),
    ):
        yield Privilege(what, database)
    yield Privilege("SELECT", "system", "tables")
    if cluster:
        yield Privilege("CLUSTER")
    yield from (
        Privilege("TABLE ENGINE", engine=f"Replicated{engine}" if cluster and engine != "Null" else engine)
        for engine in _ENGINES
    )


def on_cluster(cluster: str) -> str:
    """What a statement says behind its first words to go to all of ``cluster``; "" for a single server."""
    return f" ON CLUSTER '{cluster}'" if cluster else ""


def by_target(rights: frozenset[Privilege]) -> list[str]:
    """``rights`` as GRANT and REVOKE name them, one text for each target: ``INSERT, SELECT ON weir.*``."""
    targets: dict[str, list[str]] = {}
    for right in sorted(rights):
        targets.setdefault(right.target, []).append(right.access)
    return [f"{', '.join(accesses)} ON {target}" for target, accesses in targets.items()]
