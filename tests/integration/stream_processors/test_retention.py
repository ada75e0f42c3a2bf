"""Identities leave the journal by whole days, or by namespace where somebody's are kept for ever; new ones know whose
they are."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from schemas.catalog.follower import read_catalog
from schemas.clickhouse.client import connect
from schemas.events.identity import identity
from stream_processors.metering.journal import Journal
from stream_processors.metering.retention import Forgetter
from stream_processors.upkeep import past_cursors
from stream_processors.upkeep.past_cursors import PastCursors
from tests.integration.world import World

pytestmark = pytest.mark.integration


def test_old_identities_are_forgotten_where_the_age_is_limited(world: World) -> None:
    limited = f"{world.namespace}l"
    world.apply(namespace={"code": limited, "max_event_age_seconds": 3600})
    world.apply(namespace={"code": world.namespace, "max_event_age_seconds": None})
    world.send([{"event_name": "e", "account_id": "a", "idempotency_key": "k"}])
    world.metered()
    whose = "SELECT toString(namespace) FROM usage_identities WHERE identity = unhex('{}')"
    assert world.rows(whose.format(identity(world.namespace, "", "k").hex())) == [(world.namespace,)]
    client = connect(world.settings)
    try:
        days = {"2001-01-01": [limited], "2001-01-02": [limited, world.namespace], "2001-01-03": [limited, ""]}
        rows = [
            [identity(owner, day, "old"), 1, 0, 0, 0, b"h" * 8, datetime.fromisoformat(day).replace(tzinfo=UTC), owner]
            for day, owners in days.items()
            for owner in owners
        ]
        columns = ["identity", "generation", "partition", "offset", "index", "content_hash", "append_time", "namespace"]
        client.insert("usage_identities", rows, column_names=columns)
    finally:
        client.close()
    forgetter = Forgetter(Journal(world.settings, threading.Event()))
    assert not forgetter.due()
    catalog = read_catalog(world.settings)
    forgotten = dict(forgetter.run(catalog))
    assert [names for day, names in sorted(forgotten.items()) if names is None or limited in names] == [
        None, (limited,), (limited,)
    ]  # fmt: skip
    left = (
        "SELECT toString(toDate(append_time, 'UTC')), toString(namespace) FROM usage_identities"
        " WHERE append_time < '2001-02-01' ORDER BY 1, 2"
    )
    world.wait(lambda: world.rows(left) == [("2001-01-02", world.namespace), ("2001-01-03", "")])
    assert list(forgetter.run(catalog)) == []


def test_cursors_that_were_passed_are_deleted_and_the_cursor_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_cursors, "KEPT_ROWS", 1)
    world.send([{"event_name": "e", "account_id": "a", "idempotency_key": f"k{n}"} for n in range(64)])
    world.metered()
    client = connect(world.settings)
    try:
        generation, partition, cursor = client.query(
            "SELECT generation, partition, max(next_offset) AS cursor FROM usage_progress GROUP BY 1, 2"
            " HAVING cursor > 0"
        ).first_row
        columns = ["generation", "partition", "next_offset"]
        client.insert("usage_progress", [[generation, partition, 0]], column_names=columns)
        left = f"SELECT countIf(next_offset < {cursor}), max(next_offset) FROM usage_progress"
        left += f" WHERE generation = {generation} AND partition = {partition}"
        assert client.query(left).first_row[0] > 0
        cursors = PastCursors(Journal(world.settings, threading.Event()))
        assert not cursors.due()
        assert (generation, partition) in {place[:2] for place in cursors.delete()}
        world.wait(lambda: client.query(left).first_row[0] == 0)
        assert client.query(left).first_row[1] >= cursor
    finally:
        client.close()
