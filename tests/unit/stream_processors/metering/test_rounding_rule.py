"""Events of a release in which numbers were not rounded stay as they were metered, whoever meters or backfills them
again; the log tells."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.backfill_jobs import jobs
from schemas.catalog.meters import Meter, Profile
from schemas.catalog.profiles import ProfileVersion
from schemas.catalog.state import Catalog, record_of
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import decode_batch, encode_batch
from schemas.events.identity import content_hash, identity
from schemas.matching.columns import ColumnMatcher
from schemas.matching.rule_columns import Events, Matches
from schemas.matching.rules import Matcher
from schemas.values.quantity import TOO_MANY_DECIMALS, Unmeterable, scaled
from stream_processors.backfill.backfill_matcher import BackfillMatcher
from stream_processors.metering.bloom import DailyFilters
from stream_processors.metering.dedupe import PartitionMemory, Record
from stream_processors.metering.flush_tables import batches_table, flush_table
from stream_processors.metering.meter_records import Flush, Matchers, meter_records

# Packed by the code of 85cd642: call {"n":114.97809459641576} and {"n":"2.5"} of account a, keys k1 and k2, at 1 s.
PACKED_BEFORE: Final = base64.b64decode(
    "wwE/jm1TiplCYARucwJAV5OS8BCNF+gAz1iTQbB8x/b1zKIksHnIp375JGylMn8gTRdmrhoMK21w4N7d3niZTwIIY2FsbAAIAAAAACBAQg8AAAAAAEBCDw"
    "AAAAAA"
    "AAAAAARhYRABAAAAAQAAAAhrMWsyEAIAAAACAAAAAABGeyJuIjoxMTQuOTc4MDk0NTk2NDE1NzZ9eyJuIjoiMi41In0QGAAAAAsAAAA="
)
# A meter as 85cd642 published it: its profiles have no `compare`.
METER_BEFORE: Final = {
    "code": "m",
    "event_name": "call",
    "filters": [],
    "name": "",
    "start": None,
    "unit": "",
    "window": "day",
    "profiles": [
        {
            "aggregation": "sum",
            "carry_over": False,
            "code": "p",
            "dimensions": [],
            "filters": [],
            "name": "",
            "property": ["n"],
            "unit": "",
        }
    ],
}
METER: Final = Meter(code="m", event_name="call", profiles=(Profile(code="p", aggregation="sum", property=("n",)),))
FINE: Final = "114.97809459641576"


def packed_now(key: str) -> bytes:
    text = f'{{"n":{FINE}}}'
    name, hashed = identity("ns", "", key), content_hash("call", "a", text.encode())
    return encode_batch("ns", 1, [AcceptedEvent(name, hashed, "call", "a", key, "", 1_000_000, text)])


def published(*bodies: tuple[dict[str, Any] | None, int | None]) -> Catalog:
    """A catalog with versions of the meter m; a body None: as it is published now."""
    catalog = Catalog()
    for number, (body, start) in enumerate(bodies):
        record = record_of(
            "ns", METER, kind="meter", version=number + 1, author="", claim_id=str(number), valid_from_us=start
        )
        catalog.apply(record if body is None else record | {"body": json.dumps(body)}, number, number * 10)
    return catalog


def metered(catalog: Catalog, values: list[bytes]) -> tuple[list[dict[str, Any]], list[bool]]:
    records = [Record(1, 0, offset, 5_000_000, decode_batch(value)) for offset, value in enumerate(values)]
    flush = Flush()
    memory, matchers = PartitionMemory(1, 0, 0, DailyFilters()), Matchers(catalog)
    decisions = [
        memory.decide(record, matchers.window(record.batch.namespace, record.batch.catalog_offset), {})
        for record in records
    ]
    assert not meter_records(flush, records, decisions, matchers)
    return flush_table(flush.events).to_pylist(), batches_table(flush.records)["rounds"].to_pylist()


def test_a_batch_of_the_release_before_is_metered_as_that_release_did_beside_one_of_today() -> None:
    rows, rounds = metered(published((METER_BEFORE, None)), [PACKED_BEFORE, packed_now("k3"), PACKED_BEFORE])
    given = [(row["match_quantities"], row["unmeterable_reasons"]) for row in rows]
    assert given == [([], [TOO_MANY_DECIMALS]), ([Decimal("2.5")], []), ([Decimal("114.978094596416")], [])]
    assert rounds == [False, True, False]
    assert (rows, rounds) == metered(published((METER_BEFORE, None)), [PACKED_BEFORE, packed_now("k3"), PACKED_BEFORE])


@pytest.mark.parametrize(("body", "quantities"), [(METER_BEFORE, []), (None, [Decimal("114.978094596416")])])
def test_a_backfill_measures_by_the_rule_under_which_its_version_was_published(
    body: dict[str, Any] | None, quantities: list[Decimal]
) -> None:
    (job,) = jobs(published((METER_BEFORE, None), (body, 5)).view("ns"))
    assert job.rounds == (body is None)
    page = pa.table(
        {
            "account_id": pa.array([b"a"]),
            "timestamp": pa.array([1_000_000], pa.timestamp("us", tz="UTC")),
            "idempotency_key": pa.array([b"k1"]),
            "properties": pa.array([f'{{"n":{FINE}}}'.encode()]),
            "generation": pa.array([1], pa.uint32()),
            "partition": pa.array([0], pa.uint32()),
            "offset": pa.array([0], pa.uint64()),
            "index": pa.array([0], pa.uint32()),
            "append_time": pa.array([5_000], pa.timestamp("ms", tz="UTC")),
        }
    )
    records = BackfillMatcher(job).records(page)
    assert (records["quantity"].to_pylist() if records.num_rows else []) == quantities


TEXTS: Final = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: format(number, "f")[:300]),
    st.decimals(-1000, 1000, places=14).map(str),
    st.integers().map(str),
    st.sampled_from(["0.0000000000001", "1e-13", "1.1000000000000000", "x"]),
)


@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_rows_and_columns_are_one_rule_and_only_fine_numbers_differ_from_todays(texts: list[str]) -> None:
    version = ProfileVersion("m.p", 1, "m", "p", "", "", "call", "sum", ("n",), (), (), 60)
    bodies = [json.dumps({"n": text}) for text in texts]
    columns = Matches()
    encoded = [body.encode() for body in bodies]
    size = len(bodies)
    ColumnMatcher([version], exactly=True).match(
        "call", Events(np.arange(size), np.zeros(size, np.int64), encoded, lambda: ["k"] * size), columns
    )
    units = {row: value for item in columns.matched for row, value in zip(item.rows, item.units, strict=True)}
    reasons = {row: why for item in columns.failed for row, why in zip(item.rows, item.reasons, strict=True)}
    by_rows = Matcher([version], exactly=True)
    for row, body in enumerate(bodies):
        match = by_rows.match("call", 0, "k", body)
        assert [result.units for result in match.matches] == ([units[row]] if row in units else [])
        assert [why for _, why in match.unmeterable] == ([reasons[row]] if row in reasons else [])
        if row in units:
            assert units[row] == scaled(texts[row])
        elif reasons[row] != TOO_MANY_DECIMALS:
            with pytest.raises(Unmeterable, match=reasons[row]):
                scaled(texts[row])
