"""What a ClickHouse has of users, roles, rights, policies and limits: a part of its system tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from schemas.rights.clickhouse_roles import Privilege


@dataclass(frozen=True, slots=True)
class RowPolicy:
    """Rows of one table or view that a user sees. ``condition``: as the server writes it."""

    name: str
    table: str
    condition: str
    user: str


@dataclass(frozen=True, slots=True)
class AnalystLimit:
    """One setting of a profile, or one figure of a quota, by its name in system tables; ``fixed``: nobody may raise
    it."""

    name: str
    value: str
    fixed: bool = True


@dataclass(frozen=True, slots=True)
class ClickHouseAccess:
    """``rights`` by role; ``role_grants``: (user, role); ``profile`` and ``quota``: of analysts, empty where there is
    none; ``open_ended``: row policies for users who are not named."""

    users: frozenset[str]
    roles: frozenset[str]
    rights: dict[str, frozenset[Privilege]]
    role_grants: frozenset[tuple[str, str]]
    policies: frozenset[RowPolicy]
    profile: frozenset[AnalystLimit]
    quota: frozenset[AnalystLimit]
    closed_views: tuple[str, ...]


def read_access(client: Client, database: str, profile: str, closed_views: Sequence[str]) -> ClickHouseAccess:
    """Needs the rights SHOW ACCESS and SELECT on system tables. ``profile``: name of the settings profile and the
    quota of analysts. Raises DatabaseError where they are missing."""
    rights: dict[str, set[Privilege]] = {}
    for role, access, engine, base, table, column, revoked, option, wildcard in _rows(client, _GRANTS):
        extra = ("(" + column + ")") * bool(column) + " WITH GRANT OPTION" * int(option) + " (but for)" * int(revoked)
        name = f"{table}*" if wildcard and table else table
        rights.setdefault(role, set()).add(Privilege(f"{access}{extra}", base, name, engine))
    policies = _rows(client, _POLICIES, d=database)
    return ClickHouseAccess(
        users=frozenset(name for (name,) in _rows(client, "SELECT name FROM system.users")),
        roles=frozenset(name for (name,) in _rows(client, "SELECT name FROM system.roles")),
        rights={role: frozenset(held) for role, held in rights.items()},
        role_grants=frozenset((user, role) for user, role in _rows(client, _ROLE_GRANTS)),
        policies=frozenset(RowPolicy(*row) for row in policies),
        profile=frozenset(
            AnalystLimit(name, value, bool(fixed)) for name, value, fixed in _rows(client, _PROFILE, p=profile)
        ),
        quota=frozenset(
            AnalystLimit(name, str(value))
            for row in _rows(client, _QUOTA, p=profile)
            for name, value in zip(("queries", "execution_time"), row, strict=True)
            if value is not None
        ),
        closed_views=tuple(closed_views),
    )


_GRANTS = """SELECT role_name, toString(access_type), access_object, ifNull(database, ''), ifNull(table, ''),
    ifNull(column, ''), is_partial_revoke, grant_option, is_wildcard
FROM system.grants WHERE startsWith(ifNull(role_name, ''), 'weir_')"""
_ROLE_GRANTS = """SELECT user_name, granted_role_name FROM system.role_grants
WHERE startsWith(granted_role_name, 'weir_') AND user_name IS NOT NULL"""
_POLICIES = """SELECT short_name, table, ifNull(select_filter, ''), arrayStringConcat(apply_to_list, ',')
FROM system.row_policies WHERE database = {d:String} AND startsWith(short_name, 'weir_')"""
_PROFILE = """SELECT assumeNotNull(setting_name) AS name, max(ifNull(value, '')),
    max(ifNull(toString(writability), '') = 'CONST')
FROM system.settings_profile_elements WHERE profile_name = {p:String} AND setting_name IS NOT NULL GROUP BY name"""
_QUOTA = """SELECT max_queries, toUInt64(max_execution_time) FROM system.quota_limits
WHERE quota_name = {p:String} AND duration = 3600"""


def _rows(client: Client, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
    return client.query(sql, parameters=parameters).result_rows
