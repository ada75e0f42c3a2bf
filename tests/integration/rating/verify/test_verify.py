"""Verification on the real stack: silent where all is well, and each kind of damage is found and named."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rating.books import read_books
from rating.verify.difference import PER_CHECK, Difference, Findings
from rating.verify.fold_images import check_images
from rating.verify.scope import open_scope
from rating.verify.verification import verify
from schemas.kafka.topics import CHECKPOINTS
from schemas.ledgers.checkpoint_folds.stored_checkpoints import rows_of
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.folds import fold_image
from schemas.settings import Settings
from tests.integration.rating.road import Road
from tests.integration.rating.verify.damages import AGAIN, DAMAGES, damaged

pytestmark = pytest.mark.integration

METER: dict[str, Any] = {
    "code": "ride",
    "window": "hour",
    "profiles": [
        {"code": "number", "aggregation": "count"},
        {"code": "km", "aggregation": "sum", "property": "km", "dimensions": ["class"]},
        {
            "code": "top",
            "aggregation": "max",
            "property": "km",
            "filters": [{"property": "class", "operator": "eq", "value": "a"}],
        },
        {"code": "low", "aggregation": "min", "property": "km"},
        {"code": "last", "aggregation": "latest", "property": "km"},
        {"code": "cars", "aggregation": "count_unique", "property": "car"},
    ],
}
PRICES: dict[str, dict[str, Any]] = {
    "number": {
        "model": "tiered",
        "tiers": [{"up_to": "3", "unit_amount": "0"}, {"up_to": None, "unit_amount": "1.005"}],
    },
    "km": {
        "model": "matrix",
        "dimensions": ["class"],
        "cells": [{"values": ["a"], "unit_amount": "0.1"}],
        "default_unit_amount": "0.3",
    },
    "top": {"model": "per_unit", "unit_amount": "0.333"},
    "low": {"model": "per_unit", "unit_amount": "2", "minimum_amount": "1"},
    "last": {"model": "volume", "tiers": [{"up_to": None, "unit_amount": "1", "flat_amount": "5"}]},
    "cars": {"model": "package", "package_size": "2", "package_amount": "7"},
}


def ride(number: int, **change: Any) -> Any:
    properties = {"km": number + 0.5, "class": "ab"[number % 2], "car": f"c{number % 3}"} | change
    day = 1 + number * 3 % 80
    at = f"2013-{1 + day // 31:02d}-{1 + day % 28:02d}T{number % 24:02d}:30:00Z"
    return ("ride", ("acme", "beta")[number % 2], f"k{number}", at, properties)


@pytest.fixture(scope="module")
def proven(settings: Settings) -> Iterator[Road]:
    """A namespace with two accounts, three months of rides, duplicates, conflicts, unmatched and unmeterable events,
    billed."""
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    road.publish("meter", **METER)
    for profile in PRICES:
        road.publish("product", code=profile, profile=f"ride.{profile}")
    road.publish("product", code="fee", kind="flat")
    charges = [{"product": "fee", "price": {"model": "flat", "amount": "10"}}]
    charges += [{"product": profile, "price": price} for profile, price in PRICES.items()]
    road.publish("plan", code="basic", currency="USD", interval="month", grace_seconds=0, charges=charges)
    for account in ("acme", "beta"):
        road.publish("account", code=account)
        road.publish(
            "subscription", code=f"{account}-1", account=account, plan="basic", plan_version=1,
            start="2013-01-01T00:00:00Z", end="2013-04-01T00:00:00Z",
        )  # fmt: skip
    road.send([ride(number) for number in range(60)])
    road.close("2013-02-01T00:00:00+00:00")
    # A later version of the meter, valid from now: the rides of 2013 stay under the first one.
    road.publish("meter", **METER | {"filters": [{"property": "test", "operator": "exists", "value": False}]})
    road.send(
        [
            ride(3), ride(3, car="changed"), ride(100, km="not a number"), ride(101, test=True),
            ("walk", "acme", "w1", "2013-02-02T00:00:00Z", {"km": 1}), ride(102), ride(102),
        ]
    )  # fmt: skip
    road.close("2013-04-01T00:00:00+00:00")
    # Late: billed as adjustments, on an invoice of their own.
    road.send([ride(200), ride(203)])
    assert [line.kind for invoice in road.close().invoices for line in invoice.lines].count("adjustment") > 2
    yield road
    road.client.close()


def found(road: Road, **options: Any) -> list[Difference]:
    return verify(road.settings, namespace=road.namespace, **options)


def test_an_untouched_namespace_verifies_and_its_books_balance(proven: Road) -> None:
    seen: list[tuple[str, int, int]] = []
    assert found(proven, on_progress=lambda *step: seen.append(step)) == []
    checks = list(dict.fromkeys(step[0] for step in seen))
    assert checks[0] == "completeness"
    assert checks[-1] == "books"
    assert all(0 <= done <= total for _, done, total in seen)
    books = read_books(proven.client, proven.namespace)
    assert books.balanced
    assert (books.accepted, books.refused, books.duplicates, books.conflicts, books.unmatched) == (69, 0, 2, 1, 1)
    assert json.loads(json.dumps(books.to_json()))["received"] == 69


def test_a_namespace_without_anything_verifies(settings: Settings) -> None:
    assert verify(settings, namespace=f"nothing{uuid.uuid4().hex[:8]}") == []


@pytest.mark.parametrize("table", DAMAGES)
def test_damage_is_found_and_named(proven: Road, table: str) -> None:
    with damaged(proven, table, *(statement for statement, _, _ in DAMAGES[table])):
        differences = found(proven)
    shown = [str(one) for one in differences]
    for statement, what, text in DAMAGES[table]:
        assert [one for one in differences if one.what == what and text in str(one)], (statement, shown)
    assert all(one.where and one.expected and one.found and one.remedy for one in differences)


def test_damaged_events_are_found(proven: Road) -> None:
    changes = {
        "k12": "[] AS match_profile_ids",
        "k13": "['ride.km'] AS unmeterable_profile_ids, ['missing'] AS unmeterable_reasons",
        "k14": "unhex('00112233445566778899aabbccddeeff') AS identity",
        "k15": "reverse(content_hash) AS content_hash",
    }
    with damaged(
        proven, "usage_events",
        *(
            f"{AGAIN}({change}) FROM (SELECT * FROM {{b}} WHERE idempotency_key = '{key}')"
            for key, change in changes.items()
        ),
    ):  # fmt: skip
        differences = found(proven)
    events = [one for one in differences if one.where.startswith("usage_events at")]
    assert sorted(one.what for one in events) == ["event", "event", "match", "unmeterable"], differences


def test_invoices_are_rated_again_from_raw_events_and_compared_with_the_topic(proven: Road) -> None:
    assert found(proven, invoices=True) == []
    longer = "replaceRegexpOne(properties, '\"km\": *([0-9.]+)', '\"km\": 7\\\\1') AS properties"
    only_properties = f"{AGAIN}({longer}) FROM (SELECT * FROM {{b}} WHERE idempotency_key = 'k7')"
    with damaged(proven, "usage_events", only_properties):
        told = [str(one) for one in found(proven, invoices=True)]
    assert any("re-rated line" in one and "sum of ride.km" in one for one in told), told
    with damaged(
        proven, "invoice_lines",
        AGAIN + "(quantity + 1 AS quantity, note || '!' AS note) "
        "FROM (SELECT * FROM {b} WHERE charge = 'number' AND kind = 'usage' LIMIT 1)",
        AGAIN + "(amount + 1 AS amount) FROM (SELECT * FROM {b} WHERE kind = 'adjustment' LIMIT 1)",
        "DELETE FROM {t} WHERE {w} AND kind = 'flat'"
        " AND invoice_id = (SELECT min(invoice_id) FROM {b} WHERE kind = 'flat')",
    ):  # fmt: skip
        differences = found(proven, invoices=True)
    told = [str(one) for one in differences]
    assert {one.what for one in differences} == {"invoice", "invoice line", "re-rated line", "invoice copy"}, told
    for part in (
        "count of ride.number",
        ", quantity: expected",
        ", note: expected",
        ", amount: expected",
        "found no row",
    ):
        assert any(part in one for one in told), (part, told)
    with damaged(
        proven, "invoices",
        "DELETE FROM {t} WHERE {w} AND invoice_id = (SELECT min(invoice_id) FROM {b})",
        AGAIN + "('inv_made_up' AS invoice_id) FROM (SELECT * FROM {b} LIMIT 1)",
        AGAIN + "('somebody' AS account_id) "
        "FROM (SELECT * FROM {b} WHERE invoice_id = (SELECT max(invoice_id) FROM {b}))",
        AGAIN + "('draft' AS state) FROM (SELECT * FROM {b} ORDER BY invoice_id LIMIT 1 OFFSET 1)",
        AGAIN + "('[]' AS body) FROM (SELECT * FROM {b} ORDER BY invoice_id LIMIT 1 OFFSET 2)",
    ):  # fmt: skip
        copies = [str(one) for one in found(proven, invoices=True) if one.what == "invoice copy"]
    assert [one for one in copies if "found no row" in one], copies
    assert [one for one in copies if "inv_made_up" in one and "no such invoice" in one], copies
    assert [one for one in copies if ", account_id: expected" in one and "found somebody" in one], copies
    assert [one for one in copies if ", state: expected" in one and "found draft" in one], copies
    assert [one for one in copies if ", body: expected" in one and "found []" in one], copies


def test_since_looks_at_later_invoices_and_at_what_they_depend_on_alone(proven: Road) -> None:
    ends = proven.client.query(
        "SELECT toUnixTimestamp64Micro(max(period_end)) FROM invoices WHERE namespace = {n:String}",
        parameters={"n": proven.namespace},
    )
    last = int(ends.result_rows[0][0])
    with damaged(proven, "invoice_lines", AGAIN + "(amount + 1 AS amount) FROM (SELECT * FROM {b} LIMIT 1)"):
        assert found(proven, invoices=True, since_us=last) == []
        assert found(proven, since_us=last) == []
        assert {one.what for one in found(proven, invoices=True, since_us=0)} >= {"invoice", "invoice copy"}
    assert found(proven, since_us=last - 1) == found(proven, since_us=0) == []


def test_an_identity_that_counted_twice_is_found(proven: Road) -> None:
    """Not possible through the road: a second counted copy, as a broken worker would have written it."""
    again = (
        "INSERT INTO {t} SELECT * REPLACE (`index` + 500 AS `index`, [] AS match_profile_ids)"
        " FROM (SELECT * FROM {b} WHERE idempotency_key = 'k7')"
    )
    known = (
        "INSERT INTO {t} SELECT * REPLACE (`index` + 500 AS `index`) FROM {b}"
        " WHERE identity IN (SELECT identity FROM usage_events WHERE idempotency_key = 'k7' AND {n})"
    )
    with damaged(proven, "usage_events", again), damaged(proven, "usage_identities", known):
        differences = found(proven)
    (twice,) = [one for one in differences if one.what == "counted twice"]
    assert "idempotency key k7" in twice.where
    assert twice.expected == "one counted copy for ever"


def test_checkpoints_go_on_from_their_file_which_is_compared_with_the_topic(
    proven: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_image, "LEAST_BEHIND", 1)
    settings = proven.settings.model_copy(update={"snapshot_dir": str(tmp_path)})
    with closing(CheckpointLedger(settings)) as ledger:
        whole = list(rows_of(ledger.refresh()))
    with closing(CheckpointLedger(settings)) as ledger:
        assert list(rows_of(ledger.checkpoints)) == whole, "before anything was read of the topic"
    parts = {part for part, _, _ in whole}
    assert parts >= {"cuts", "run", "invoices"}
    scope, findings = open_scope(settings, None), Findings()
    with closing(scope):
        check_images(scope, findings, lambda *_: None)
        assert findings.differences() == []
        with sqlite3.connect(fold_image.image_path(str(tmp_path), CHECKPOINTS)) as database:
            for part in parts:
                database.execute(
                    "DELETE FROM fold WHERE part = ? AND key = (SELECT max(key) FROM fold WHERE part = ?)", (part, part)
                )
        check_images(scope, findings, lambda *_: None)
    differences = findings.differences()
    assert {each.where.split()[0] for each in differences} == parts
    assert {each.found for each in differences} == {"no entry"}


def test_a_broken_table_makes_a_short_report(proven: Road) -> None:
    with damaged(proven, "usage_windows", "INSERT INTO {t} SELECT * REPLACE (count + 1 AS count) FROM {b}"):
        differences = [one for one in found(proven, invoices=False) if one.what in ("window", "truncated")]
    assert len(differences) == PER_CHECK + 1
    assert differences[-1].what == "truncated"
    more = int(differences[-1].found.split()[2])
    count = f"SELECT count() FROM usage_windows FINAL WHERE namespace = '{proven.namespace}'"
    assert more + PER_CHECK == int(str(proven.client.command(count)))
    assert found(proven, invoices=True) == []  # once more after all damages of this file: each of them ended
