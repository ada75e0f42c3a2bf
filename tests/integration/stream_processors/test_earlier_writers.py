"""A worker of an earlier release that goes on writing while its database is migrated loses nothing: at any moment its
insert is complete, or is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.local.stack import Stack
from schemas.clickhouse.client import connect
from schemas.migrations import files, statements

pytestmark = pytest.mark.integration

FLUSH = 35
"""The migration from which on the events of a flush come by usage_flush."""
EVENT = """INSERT INTO usage_events (namespace, account_id, event_name, timestamp, source, idempotency_key, identity,
    content_hash, properties, match_profile_ids, match_profile_versions, match_quantities, match_unique_values,
    match_dimensions, unmeterable_profile_ids, unmeterable_reasons, generation, partition, offset, `index`, append_time)
SELECT 'air', 'acme', 'flight', now64(6, 'UTC'), '', 'k{offset}', unhex('{offset:032x}'), unhex('{offset:016x}'),
    '{{}}', ['m.p'], [1], [1], [''], [''], [], [], 1, 0, {offset}, 0, now64(3, 'UTC')"""
WRITTEN = ("usage_events", "usage_records", "usage_identities")


@dataclass(frozen=True, slots=True)
class Store:
    """A database as the release before the migration left it."""

    database: str
    client: Client

    def written(self, table: str) -> set[int]:
        """Offsets of the events that a table has."""
        return {int(row[0]) for row in self.client.query(f"SELECT DISTINCT offset FROM {table}").result_rows}

    def accepts(self, offset: int) -> bool:
        """Whether the earlier release's insert of an event is taken."""
        try:
            self.client.command(EVENT.format(offset=offset))
        except DatabaseError:
            return False
        return True


@pytest.fixture
def store(stack: Stack) -> Iterator[Store]:
    name = f"earlier_{uuid.uuid4().hex[:8]}"
    client = connect(stack.settings, database="default")
    client.command(f"CREATE DATABASE {name}")
    for number, path in files():
        for statement in statements(path.read_text(), database=name, cluster="") if number < FLUSH else ():
            client.command(statement)
    client.database = name
    try:
        yield Store(name, client)
    finally:
        client.command(f"DROP DATABASE {name}")
        client.close()


def test_an_insert_between_any_two_statements_is_complete_or_refused(store: Store) -> None:
    [path] = [path for number, path in files() if number == FLUSH]
    migration = list(statements(path.read_text(), database=store.database, cluster=""))
    assert store.accepts(0)
    accepted = {0}
    for offset, statement in enumerate([*migration, *migration], 1):  # one that was interrupted is run once more
        store.client.command(statement)
        if store.accepts(offset):
            accepted.add(offset)
        assert [store.written(table) for table in WRITTEN] == [accepted] * 3, statement
    assert not store.accepts(1000)
