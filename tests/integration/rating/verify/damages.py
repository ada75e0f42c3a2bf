"""Damages of tables that verify finds: the statement, the check that names it, and a text of the difference."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from tests.integration.rating.road import Road


@contextlib.contextmanager
def damaged(road: Road, table: str, *statements: str) -> Iterator[None]:
    """The table while ``statements`` (``{t}``: the table, ``{b}``: what it was, ``{w}``: our rows) hold; then as it
    was."""
    saved = f"saved_{uuid.uuid4().hex[:8]}"
    where = f"namespace = '{road.namespace}'"
    if table == "usage_identities":
        where = f"identity IN (SELECT identity FROM usage_events WHERE {where})"
    run = road.client.command
    run(f"CREATE TABLE {saved} ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM {table} FINAL WHERE {where}")
    try:
        for statement in statements:
            run(statement.format(t=table, b=saved, w=where, n=f"namespace = '{road.namespace}'"))
        yield
    finally:
        run(f"DELETE FROM {table} WHERE {where}")
        if table == "invoices":  # whose lists are filled by inserts
            run(f"DELETE FROM invoice_lists WHERE {where} AND NOT draft")
        run(f"INSERT INTO {table} SELECT * FROM {saved}")
        run(f"DROP TABLE {saved}")


ONE_EVENT = "idempotency_key = 'k102'"
AGAIN = "INSERT INTO {t} SELECT * REPLACE "


# Table → damages that do not touch the same rows: (statement, what is found, a text in the difference).
DAMAGES: dict[str, list[tuple[str, str, str]]] = {
    "usage_windows": [
        (
            AGAIN + "(count + 1 AS count) FROM (SELECT * FROM {b} WHERE profile_id = 'ride.number' LIMIT 1)",
            "window",
            "ride.number",
        ),
        (
            AGAIN + "(max + 1 AS max) FROM (SELECT * FROM {b} WHERE profile_id = 'ride.top' LIMIT 1)",
            "window",
            "ride.top",
        ),
        (
            AGAIN + "('x' AS latest_key) FROM (SELECT * FROM {b} WHERE profile_id = 'ride.last' LIMIT 1)",
            "window",
            "'x'",
        ),
        (
            AGAIN + "(arrayReduce('uniqExactState', ['other']) AS unique_state) FROM (SELECT * FROM {b} WHERE "
            "profile_id = 'ride.cars' LIMIT 1)",
            "window",
            "ride.cars",
        ),
        (AGAIN + "('ghost' AS account_id) FROM {b} LIMIT 1", "window", "expected no window"),
        ("DELETE FROM {t} WHERE {w} AND profile_id = 'ride.low' AND account_id = 'beta'", "window", "found no window"),
    ],
    "usage_records": [
        (
            "DELETE FROM {t} WHERE {w} AND profile_id = 'ride.low' AND account_id = 'acme' AND quantity > 50",
            "record",
            "found no record",
        ),
        (
            AGAIN + "(`index` + 100 AS `index`) FROM (SELECT * FROM {b} WHERE profile_id = 'ride.last' LIMIT 1)",
            "record",
            "expected no record",
        ),
        (
            AGAIN + "(quantity * 2 AS quantity) FROM (SELECT * FROM {b} WHERE profile_id = 'ride.km' LIMIT 1)",
            "record",
            "ride.km",
        ),
    ],
    "usage_identities": [
        (
            f"DELETE FROM {{t}} WHERE identity IN (SELECT identity FROM usage_events WHERE {ONE_EVENT} AND {{n}})",
            "identity",
            "found no row",
        ),
    ],
    "usage_batches": [("DELETE FROM {t} WHERE {w}", "event", "no batch")],
    "duplicate_events": [
        (
            AGAIN + "('k1' AS idempotency_key) FROM (SELECT * FROM {b} WHERE idempotency_key = 'k3')",
            "duplicate",
            "another event at",
        ),
        (
            AGAIN + "(first_index + 900 AS first_index) FROM (SELECT * FROM {b} WHERE idempotency_key = 'k102')",
            "duplicate",
            "no counted event at",
        ),
        (AGAIN + "(`index` + 900 AS `index`) FROM (SELECT * FROM {b} LIMIT 1)", "books", "69 accepted"),
    ],
    "invoice_lines": [
        (
            AGAIN + "(quantity + 1 AS quantity) FROM (SELECT * FROM {b} WHERE charge = 'cars' LIMIT 1)",
            "invoice line",
            "count_unique of ride.cars",
        ),
        (
            AGAIN + "(amount + 1 AS amount) FROM (SELECT * FROM {b} WHERE charge = 'low' LIMIT 1)",
            "invoice line",
            "amount",
        ),
        (
            AGAIN + "(replaceAll(price, '0.333', '0.334') AS price) FROM (SELECT * FROM {b} WHERE charge = "
            "'top' AND quantity > 9 LIMIT 1)",
            "invoice line",
            "amount",
        ),
        (
            AGAIN + "(amount + 2 AS amount) FROM (SELECT * FROM {b} WHERE kind = 'adjustment' LIMIT 1)",
            "invoice line",
            "amount",
        ),
        ("DELETE FROM {t} WHERE {w} AND kind = 'flat'", "invoice", "the sum of its lines"),
    ],
    "invoices": [
        (
            AGAIN + "(total + 1 AS total) FROM (SELECT * FROM {b} WHERE predecessor = '' LIMIT 1)",
            "invoice",
            "the sum of its lines",
        ),
        (
            AGAIN + "(period_start + 1 AS period_start) FROM (SELECT * FROM {b} WHERE sequence = 0 AND predecessor != "
            "'' AND account_id = 'acme' LIMIT 1)",
            "invoice chain",
            "where",
        ),
        (
            AGAIN + "('inv_none' AS predecessor, 9999999 AS checkpoint) FROM (SELECT * FROM {b} WHERE sequence = 0 AND "
            "predecessor != '' AND account_id = 'beta' LIMIT 1)",
            "invoice chain",
            "inv_none",
        ),
        ("SELECT 1", "invoice", "in usage.checkpoints"),
    ],
    "invoice_lists": [
        (
            AGAIN + "(total + 1 AS total) FROM (SELECT * FROM {b} WHERE list = 'account' LIMIT 1)",
            "invoice list",
            "list account",
        ),
        ("DELETE FROM {t} WHERE {w} AND list = 'run'", "invoice list", "found no such row"),
        (AGAIN + "('inv_none' AS invoice_id) FROM (SELECT * FROM {b} LIMIT 1)", "invoice list", "inv_none"),
    ],
}
