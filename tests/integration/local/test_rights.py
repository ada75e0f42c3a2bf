"""Weir's rights on the real engine: chDB judges grants, row policies and limits, but has nowhere to keep users that are
made by statements. So the grants of the statements go into its file of users, and the statements are parsed by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.migrations import view_names
from schemas.rights.clickhouse_access import ClickHouseAccess
from schemas.rights.clickhouse_rights import (
    Installation,
    analyst_profile,
    clickhouse_changes,
    policies_of,
    user_statement,
)
from schemas.rights.clickhouse_roles import ROLES, by_target, privileges, role_name
from schemas.rights.rights_document import ClickHouseUser, ClickHouseUsers

pytestmark = pytest.mark.integration

SHOP = ClickHouseUser(name="shop", role="analyst", namespaces=("a",), password_file="x")
VIEWS = tuple(view_names())
BOUND = tuple(view for view in VIEWS if view != "usage_total")
_ASK = """
import json, sys
import chdb
asked = json.load(sys.stdin)
engine = chdb.connect(asked["path"])
answers = []
for sql in asked["statements"]:
    try:
        text = bytes(engine.query(sql, "JSONCompact").bytes()).decode()
        answers.append(json.loads(text)["data"] if text.strip() else [])
    except Exception as error:
        answers.append(str(error))
json.dump(answers, sys.stdout)
"""


def ask(statements: list[str], path: str = ":memory:") -> list[list[list[object]] | str]:
    """The rows of each statement, or the engine's refusal, in an engine of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK], input=json.dumps({"path": path, "statements": statements}),
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    answers: list[list[list[object]] | str] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("cluster", ["", "all"])
def test_the_engine_understands_every_statement(cluster: str) -> None:
    none: frozenset[Any] = frozenset()
    nothing = ClickHouseAccess(none, none, {}, none, none, none, none, ())
    users = [ClickHouseUser(name=f"u.{role}@x", role=role, password_file="x") for role in ROLES]
    place = Installation("weir", cluster, VIEWS, BOUND)
    changes = clickhouse_changes(place, ClickHouseUsers(users=(*users, SHOP)), nothing)
    statements = [text for change in changes for text in change.statements]
    statements += [
        text.replace("GRANT", "REVOKE").replace(" TO ", " FROM ") for text in statements if text.startswith("GRANT")
    ]
    statements.append(user_statement("u.x", "correct horse battery", cluster, lambda: "73616c74"))
    answers = ask([f"SELECT formatQuerySingleLine($q${text}$q$)" for text in statements])
    assert [(text, answer) for text, answer in zip(statements, answers, strict=True) if isinstance(answer, str)] == []


def test_roles_may_what_they_need_and_a_bound_analyst_sees_its_namespace(tmp_path: Path) -> None:
    answers = ask(_steps(), f"{tmp_path}/db?config-file={_config(tmp_path)}")
    by_step = dict(zip(_steps(), answers, strict=True))
    migrated = [by_step[step] for step in _migrations()]
    assert [answer for answer in migrated if isinstance(answer, str)] == []
    assert by_step[_SEEN] == [["a", "i1"]]
    assert by_step[_HELD] == [
        [right.access, right.engine, right.database, right.table]
        for right in sorted(privileges("migrations", "weir", views=VIEWS, cluster=False))
    ]
    for refused in _REFUSED:
        assert "ACCESS_DENIED" in str(by_step[refused]) or "SETTING_CONSTRAINT_VIOLATION" in str(by_step[refused]), (
            refused, by_step[refused],
        )  # fmt: skip


_SEEN = "SELECT namespace, invoice_id FROM weir.standing_invoices"
_HELD = """SELECT toString(access_type) AS access, access_object, ifNull(database, '') AS base, ifNull(table, '') AS of
FROM system.grants WHERE role_name = 'weir_migrations' ORDER BY access, base, of, access_object"""
_OF_RATING = (
    "INSERT INTO weir.invoices (namespace, invoice_id) VALUES ('a', 'i3')",
    "ALTER TABLE weir.usage_events DELETE WHERE 1",
    "DROP TABLE weir.invoices",
)
_OF_WORKER = (
    "TRUNCATE TABLE weir.usage_events",
    "CREATE TABLE weir.x (a UInt8) ENGINE = Null",
    "SELECT 1 FROM system.users",
)
_OF_ANALYST = (
    "SELECT count() FROM weir.invoices",
    "SELECT * FROM weir.usage_total(namespace = 'b', profile_id = 'p', period_start = '2026', period_end = '2027')",
    "INSERT INTO weir.invoices (namespace) VALUES ('a')",
    "SELECT 1 SETTINGS max_memory_usage = 9000000000",
)
_REFUSED = (*_OF_RATING, *_OF_WORKER, *_OF_ANALYST)


def _migrations() -> list[str]:
    from schemas.migrations import files, statements

    numbers = (
        "CREATE TABLE weir.schema_migrations (number UInt32, name String) ENGINE = ReplacingMergeTree ORDER BY number"
    )
    made = [text for _, path in files() for text in statements(path.read_text(), database="weir", cluster="")]
    opened = [f"ALTER TABLE weir.{view} MODIFY SQL SECURITY DEFINER DEFINER = CURRENT_USER" for view in VIEWS]
    return ["CREATE DATABASE weir", numbers, *made, *opened]


def _steps() -> list[str]:
    invoices = (
        "INSERT INTO weir.invoices (namespace, invoice_id, version, state, body)"
        " VALUES ('a', 'i1', 1, 'paid', '{}'), ('b', 'i2', 1, 'paid', '{}')"
    )
    return [
        *("SET ROLE weir_migrations", *_migrations(), "SET ROLE weir_worker", *_OF_WORKER, invoices),
        *("SET ROLE weir_rating", *_OF_RATING, "SET ROLE of_test", _HELD),
        *("SET ROLE weir_analyst", _SEEN, *_OF_ANALYST),
    ]


def _config(folder: Path) -> Path:
    """The roles by the statements' own grants; the one user that chDB has is the bound analyst ``SHOP`` in all but its
    name."""
    roles = "<of_test><grants><query>GRANT SHOW ACCESS, SELECT ON *.*</query></grants></of_test>"
    for role in ROLES:
        views = BOUND if role == "analyst" else VIEWS
        rights = by_target(privileges(role, "weir", views=views, cluster=False))
        queries = "".join(f"<query>GRANT {text}</query>" for text in rights)
        roles += f"<{role_name(role)}><grants>{queries}</grants></{role_name(role)}>"
    filters = "".join(
        f"<{policy.table}><filter>{policy.condition}</filter></{policy.table}>"
        for policy in policies_of(Installation("weir", "", VIEWS, BOUND), SHOP)
    )
    # readonly would keep the other roles of this one user from writing.
    limits = {limit.name: limit.value for limit in analyst_profile(ClickHouseUsers().analyst_limits)}
    del limits["readonly"]
    values = "".join(f"<{name}>{value}</{name}>" for name, value in limits.items())
    fixed = "".join(f"<{name}><const/></{name}>" for name in limits)
    given = "".join(f"<query>GRANT {name}</query>" for name in ("of_test", *map(role_name, ROLES)))
    users, config = folder / "users.xml", folder / "config.xml"
    users.write_text(
        f"<clickhouse><profiles><default>{values}<constraints>{fixed}</constraints></default></profiles>"
        f"<quotas><default/></quotas><roles>{roles}</roles><users><default><password/><networks><ip>::/0</ip></networks>"
        f"<profile>default</profile><quota>default</quota><grants>{given}</grants><databases><weir>{filters}</weir>"
        "</databases></default></users></clickhouse>"
    )
    requires = (
        *("select_from_system_db_requires_grant", "select_from_information_schema_requires_grant"),
        *("table_engines_require_grant", "enable_read_write_grants"),
    )
    required = "".join(f"<{name}>true</{name}>" for name in requires)
    config.write_text(
        f"<clickhouse><users_config>{users}</users_config>"
        f"<access_control_improvements>{required}</access_control_improvements></clickhouse>"
    )
    return config
