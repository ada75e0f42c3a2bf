"""Bodies, problems, refusals, keys: the pure parts of the hot path."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ingest.app import create_app
from ingest.client import batched
from ingest.events.refusals import Sampler, rejection
from ingest.http.bodies import BadBody, inflated
from ingest.http.decompression import zstd
from ingest.http.gateway_problems import of_refusal, unavailable
from schemas.catalog.models import Namespace
from schemas.events.raw_events import Refused
from schemas.events.refused_body import Sketch, sketch
from schemas.events.rejections import GATEWAY_SAMPLE_BYTES, rejection_record
from schemas.kafka.codec import codec
from schemas.settings import Settings, SettingsError

NAMESPACE = Namespace(code="n")


PACK = {"gzip": gzip.compress, "zstd": zstd.compress}
both = pytest.mark.parametrize("how", ["gzip", "zstd"])


@both
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_members_are_read_whole(how: str, parts: list[bytes]) -> None:
    pack = PACK[how]
    assert inflated(how, b"".join(map(pack, parts)), 10_000) == b"".join(parts)


@both
def test_a_bomb_is_bounded_while_it_is_read(how: str) -> None:
    pack = PACK[how]
    with pytest.raises(BadBody) as caught:
        inflated(how, pack(b"0" * 10_000_000), 1000)
    assert caught.value.status == 413
    assert len(caught.value.sample) <= 1001
    assert inflated(how, pack(b"0" * 1000), 1000) == b"0" * 1000


@both
def test_broken_compression_is_400(how: str) -> None:
    pack = PACK[how]
    value = pack(b"") * 10_000  # each piece costs a copy of all that follow
    for body in (b"{}", pack(bytes(range(256)))[:-9], pack(b"{}") + b"rest", value):
        with pytest.raises(BadBody) as caught:
            inflated(how, body, 1000)
        assert caught.value.status == 400


def test_a_zstd_frame_that_asks_for_a_huge_window_gets_no_memory() -> None:
    wide = zstd.ZstdCompressor(
        options={zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    )
    with pytest.raises(BadBody) as caught:
        inflated("zstd", wide.compress(b"x" * 100) + wide.flush(), 1000)
    assert caught.value.status == 400


def test_a_problem_has_index_and_path_only_where_they_are_known() -> None:
    document = of_refusal(Refused("too_old", "$.events[3].timestamp", "is old", 3)).document()
    assert document == {
        "type": "urn:weir:problem:too_old", "title": "Unprocessable Entity", "status": 422, "detail": "is old",
        "reason": "too_old", "index": 3, "path": "$.events[3].timestamp",
    }  # fmt: skip
    assert of_refusal(Refused("malformed", "$", "no JSON")).status == 400
    response = unavailable("Kafka is away", ["k"]).response()
    assert response.headers["retry-after"] == "1"
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(bytes(response.body))["idempotency_keys"] == ["k"]


@pytest.mark.parametrize(
    ("body", "index", "expected"),
    [
        (b"{", None, Sketch(1)),
        (b'{"events": []}', None, Sketch(0)),
        (
            b'{"events": [{"a":1}, {"account_id": "x", "event_name": "e", "idempotency_key": 5}]}',
            1,
            Sketch(2, "x", "e"),
        ),
        (b'{"events": [1, 2, 3]}', 1, Sketch(3)),
        (
            b'{"events": [{"properties": {"account_id": "deep"}, "idempotency_key": "k"}]}',
            0,
            Sketch(1, "deep", "", "k"),
        ),
        (b'{"events": 5}', None, Sketch(1)),
        (b'{"events": ["\xff"]}', None, Sketch(1)),
    ],
)
def test_a_refused_batch_is_counted_as_far_as_it_can_be_read(body: bytes, index: int | None, expected: Sketch) -> None:
    assert sketch(body, index, NAMESPACE, single=False) == expected


@given(st.binary(max_size=300), st.one_of(st.none(), st.integers(0, 3)), st.booleans())
def test_a_sketch_never_fails_and_always_fits_the_record(body: bytes, index: int | None, single: bool) -> None:
    result = sketch(body, index, NAMESPACE, single=single)
    record = rejection("n", "invalid", "d", result, body, now_us=1, rejection_id=bytes(16))
    assert codec("rejected_event").decode(rejection_record(record))["events"] == result.events


def test_lone_surrogates_do_not_break_the_record() -> None:
    result = sketch(b'{"account_id": "\\ud800", "event_name": "e"}', 0, NAMESPACE, single=True)
    rejection_record(rejection("n", "invalid", "d", result, b"", now_us=1, rejection_id=bytes(16)))


def test_samples_are_cut_and_counted_by_the_second() -> None:
    assert (
        len(rejection("n", "r", "d", Sketch(), b"x" * 100_000, now_us=1, rejection_id=bytes(16)).original)
        == GATEWAY_SAMPLE_BYTES
    )
    sampler = Sampler(limit=3)
    assert [sampler.take(5_000_000 + step) for step in range(5)] == [True, True, True, False, False]
    assert sampler.take(6_000_000)


def test_no_admin_key_no_gateway() -> None:
    with pytest.raises(SettingsError, match="WEIR_ADMIN_KEY"):
        create_app(Settings(admin_key=SecretStr("")))


@given(st.integers(0, 50), st.integers(1, 7))
def test_batched_loses_nothing(count: int, size: int) -> None:
    events = [{"n": number} for number in range(count)]
    batches = list(batched(events, size))
    assert [event for batch in batches for event in batch] == events
    assert all(len(batch) == size for batch in batches[:-1])
