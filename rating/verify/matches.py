"""Every event is matched again, against the catalog at its batch's offset, and compared with it and with its records.

Blocks of columns are compared as Arrow arrays; only a block that differs is looked at event by event. Identities and
content hashes are computed again on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, TypeAlias

import pyarrow as pa

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.records import position_text, replay_of
from rating.verify.scope import FINAL_SETTINGS, Scope
from schemas.catalog.profiles import profile_versions
from schemas.events.event_types import event_types
from schemas.events.identity import CONTENT_HASH_BYTES, IDENTITY_BYTES, content_hash, identity
from schemas.matching.rules import UNMATCHED, Matched, Matcher
from schemas.values.quantity import unscaled

BLOCK_EVENTS: Final = 100_000
_MATCHERS: Final = 64
_STRINGS: Final = pa.string()
_QUANTITY: Final = pa.decimal128(38, 12)
Columns: TypeAlias = Mapping[str, pa.Array]
"""Arrow arrays by the name of their column."""
_EXPECTED: Final[tuple[tuple[str, pa.DataType], ...]] = (
    ("profile_ids", _STRINGS), ("profile_versions", pa.uint32()), ("quantities", _QUANTITY),
    ("unique_values", _STRINGS), ("dimensions", _STRINGS),
    ("unmeterable_profile_ids", _STRINGS), ("unmeterable_reasons", _STRINGS),
)  # fmt: skip
_SQL: Final = """
SELECT toString(namespace) AS namespace, toString(event_name) AS event_name, account_id, toString(source) AS source,
    idempotency_key, toUnixTimestamp64Micro(timestamp) AS us, properties, identity, content_hash,
    arraySort(CAST(match_profile_ids AS Array(String))) AS matched_ids,
    arrayMap(one -> one.1, records.rows) AS profile_ids, arrayMap(one -> one.2, records.rows) AS profile_versions,
    arrayMap(one -> one.3, records.rows) AS quantities, arrayMap(one -> one.4, records.rows) AS unique_values,
    arrayMap(one -> one.5, records.rows) AS dimensions,
    CAST(unmeterable_profile_ids AS Array(String)) AS unmeterable_profile_ids,
    CAST(unmeterable_reasons AS Array(String)) AS unmeterable_reasons,
    generation, partition, offset, `index`, batches.catalog_offset AS catalog_offset, batches.events AS batch_events,
    batches.rounds AS rounds
FROM (SELECT * FROM usage_events FINAL WHERE {where}) AS counted
LEFT ANY JOIN (
    SELECT generation, partition, offset, catalog_offset, events, rounds FROM usage_batches FINAL WHERE {batches}
) AS batches USING (generation, partition, offset)
LEFT ANY JOIN (
    SELECT generation, partition, offset, `index`, arraySort(groupArray(
        (toString(profile_id), profile_version, quantity, unique_value, toString(dimensions)))) AS rows
    FROM usage_records FINAL WHERE {where} AND checkpoint = 0
    GROUP BY generation, partition, offset, `index`
) AS records USING (generation, partition, offset, `index`)"""


def check_matches(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Every counted event's matches and records, as the catalog of its batch says."""
    matchers = _Matchers(scope)
    blocks = append_blocks(scope)
    total, done = sum(block.events for block in blocks), 0
    for block in blocks:
        on_progress("matches from events", done, total)
        append = block.condition
        table = scope.client.query_arrow(
            _SQL.format(where=f"{scope.metered} AND {append}", batches=f"{scope.of_namespace} AND {append}"),
            parameters={"n": scope.namespace or ""},
            settings=FINAL_SETTINGS,
            use_strings=True,
        )
        for batch in table.to_batches():
            if batch.num_rows:
                _check_batch(batch, matchers, findings)
        done += block.events
    on_progress("matches from events", total, total)


class AppendBlock(NamedTuple):
    """Events with append times in [low_ms, high_ms), milliseconds UTC, and how many there are."""

    low_ms: int
    high_ms: int
    events: int

    @property
    def condition(self) -> str:
        """The SQL condition on ``append_time``."""
        low = f"append_time >= fromUnixTimestamp64Milli({self.low_ms}, 'UTC')"
        return f"{low} AND append_time < fromUnixTimestamp64Milli({self.high_ms}, 'UTC')"


def append_blocks(scope: Scope) -> list[AppendBlock]:
    """All events of the scope in blocks of about BLOCK_EVENTS, by append time: what one query reads is bounded."""
    counts = scope.rows(
        "SELECT toUnixTimestamp64Milli(append_time) AS ms, count() FROM usage_events FINAL"
        f" WHERE {scope.metered} GROUP BY ms ORDER BY ms"
    )
    blocks: list[AppendBlock] = []
    for ms, events in counts:
        if blocks and blocks[-1].events + events <= BLOCK_EVENTS:
            blocks[-1] = AppendBlock(blocks[-1].low_ms, int(ms) + 1, blocks[-1].events + int(events))
        else:
            blocks.append(AppendBlock(int(ms), int(ms) + 1, int(events)))
    return blocks


class _Matchers:
    """Compiled catalogs by namespace and catalog view."""

    def __init__(self, scope: Scope) -> None:
        self._catalog = scope.catalog
        self._by_offset: dict[tuple[str, int, bool], Matcher] = {}
        self._by_view: dict[tuple[str, int, bool], Matcher] = {}

    def at(self, namespace: str, catalog_offset: int, rounds: bool) -> Matcher:
        """The matcher of the catalog at an offset; ``rounds``: whether it rounds numbers with more than 12 decimals."""
        matcher = self._by_offset.get((namespace, catalog_offset, rounds))
        if matcher is None:
            view = self._catalog.view(namespace, catalog_offset)
            matcher = self._by_view.get((namespace, view.before, rounds))
            if matcher is None:
                if len(self._by_view) >= _MATCHERS:
                    self._by_view.clear()
                    self._by_offset.clear()
                matcher = self._by_view[namespace, view.before, rounds] = Matcher(
                    profile_versions(view), event_types(view).defaults, exactly=not rounds
                )
            self._by_offset[namespace, catalog_offset, rounds] = matcher
        return matcher


def _check_batch(batch: pa.RecordBatch, matchers: _Matchers, findings: Findings) -> None:
    columns: Columns = {name: batch.column(name) for name in batch.schema.names}
    names, accounts, sources, keys, properties, namespaces = (
        columns[name].to_pylist()
        for name in ("event_name", "account_id", "source", "idempotency_key", "properties", "namespace")
    )
    offsets, batch_events = columns["catalog_offset"].to_pylist(), columns["batch_events"].to_pylist()
    matched: list[Matched] = []
    stamps, rules = columns["us"].to_pylist(), columns["rounds"].to_pylist()
    for namespace, offset, rounds, name, stamp, key, text in zip(
        namespaces, offsets, rules, names, stamps, keys, properties, strict=True
    ):
        try:
            matched.append(_in_order(matchers.at(namespace, offset, rounds).match(name, stamp, key, text)))
        except ValueError:
            # Written past acceptance: it counts, and gives no usage.
            matched.append(UNMATCHED)
    # One string of bytes a column, since the block's own layout is one buffer, too.
    identities = b"".join(map(identity, namespaces, sources, keys))
    hashes = b"".join(
        [content_hash(*parts) for parts in zip(names, accounts, (text.encode() for text in properties), strict=True)]
    )
    clean = (
        0 not in batch_events
        and identities == b"".join(columns["identity"].cast(pa.binary()).to_pylist())
        and hashes == b"".join(columns["content_hash"].cast(pa.binary()).to_pylist())
        and all(_list_equal(columns[name], expected) for name, expected in _expected(matched).items())
        and columns["matched_ids"].to_pylist() == columns["profile_ids"].to_pylist()
    )
    if not clean:
        _explain(columns, matched, identities, hashes, findings)


def _in_order(matched: Matched) -> Matched:
    """With its matches in the order in which records are read."""
    return matched if len(matched.matches) < 2 else matched._replace(matches=tuple(sorted(matched.matches)))


def _expected(matched: Sequence[Matched]) -> Columns:
    """The records and failures that the events should have, as list arrays."""
    matches = [match for event_matches in matched for match in event_matches.matches]
    failures = [failure for event_matches in matched for failure in event_matches.unmeterable]
    parts: list[Sequence[object]] = [*(zip(*matches, strict=True) if matches else ((),) * 5)]
    parts += [*(zip(*failures, strict=True) if failures else ((),) * 2)]
    units = b"".join([match.units.to_bytes(16, "little", signed=True) for match in matches])
    of_matches = pa.array(accumulate((len(event_matches.matches) for event_matches in matched), initial=0), pa.int32())
    of_failures = pa.array(
        accumulate((len(event_matches.unmeterable) for event_matches in matched), initial=0), pa.int32()
    )
    result: dict[str, pa.Array] = {}
    for number, (name, kind) in enumerate(_EXPECTED):
        if kind is _QUANTITY:
            values = pa.Array.from_buffers(kind, len(units) // 16, [None, pa.py_buffer(units)])
        else:
            values = pa.array(parts[number], kind)
        result[name] = pa.ListArray.from_arrays(of_matches if number < 5 else of_failures, values)
    return result


def _list_equal(stored: pa.Array, expected: pa.Array) -> bool:
    return bool(stored.cast(expected.type).equals(expected))


def _explain(
    columns: Columns, matched: Sequence[Matched], identities: bytes, hashes: bytes, findings: Findings
) -> None:
    """Event by event; the order of an event's matches is no difference."""
    lists = [columns[name].to_pylist() for name, _ in _EXPECTED]
    places = [columns[name].to_pylist() for name in ("generation", "partition", "offset", "index")]
    found_identities, found_hashes = columns["identity"].to_pylist(), columns["content_hash"].to_pylist()
    batch_events, matched_ids = columns["batch_events"].to_pylist(), columns["matched_ids"].to_pylist()
    for row, event_matches in enumerate(matched):
        location = f"usage_events at {position_text(*(column[row] for column in places))}"
        remedy = replay_of(*(column[row] for column in places[:3]))
        if not batch_events[row]:
            findings.add(
                "event", location, "its batch in usage_batches", "no batch, so its catalog is not known", remedy
            )
            continue
        for what, expected, stored_values, width in (
            ("identity", identities, found_identities, IDENTITY_BYTES),
            ("content_hash", hashes, found_hashes, CONTENT_HASH_BYTES),
        ):
            expected_hex, stored = expected[row * width : (row + 1) * width].hex(), bytes(stored_values[row]).hex()
            if expected_hex != stored:
                findings.add("event", f"{location}, {what}", expected_hex, stored, remedy)
        expected_matches = sorted((*match[:2], unscaled(match.units), *match[3:]) for match in event_matches.matches)
        found_matches = sorted(zip(*(column[row] for column in lists[:5]), strict=True))
        if expected_matches != found_matches:
            record = f"usage_records at {position_text(*(column[row] for column in places))}"
            findings.add("record", record, _texts(expected_matches), _texts(found_matches), remedy)
        expected_ids = sorted(match.profile_id for match in event_matches.matches)
        if expected_ids != matched_ids[row]:
            findings.add("match", location, _texts([expected_ids]), _texts([matched_ids[row]]), remedy)
        found_failures = sorted(zip(*(column[row] for column in lists[5:]), strict=True))
        if sorted(event_matches.unmeterable) != found_failures:
            findings.add(
                "unmeterable", location, _texts(sorted(event_matches.unmeterable)), _texts(found_failures), remedy
            )


def _texts(rows: Sequence[Sequence[object]]) -> str:
    """For people: each tuple's parts with spaces, "nothing" for none."""
    return "; ".join(" ".join(str(part) for part in row if part != "") for row in rows) or "nothing"
