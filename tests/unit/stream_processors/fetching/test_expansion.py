"""What a compressed batch may expand to is bounded before it is read, with every codec."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import Any

import cramjam
import pytest
from aiokafka import codec as codecs
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.fetching.expansion import GZIP, LZ4, SNAPPY, ZSTD, Unexpanded, expand

WRITERS: list[tuple[int, Any]] = [
    (GZIP, gzip.compress), (SNAPPY, codecs.snappy_encode), (LZ4, codecs.lz4_encode), (ZSTD, codecs.zstd_encode),
    (SNAPPY, lambda data: bytes(cramjam.snappy.compress_raw(data))),
]  # fmt: skip
EACH = pytest.mark.parametrize(("kind", "write"), WRITERS, ids=["gzip", "snappy", "lz4", "zstd", "snappy-raw"])


@EACH
@given(data=st.binary(max_size=500), times=st.integers(1, 400))
def test_what_fits_comes_as_it_was(kind: int, write: Any, data: bytes, times: int) -> None:
    assert expand(kind, write(data * times), max(1, len(data) * times)) == data * times


@EACH
def test_what_is_larger_is_not_expanded(kind: int, write: Any) -> None:
    data = b"0123456789" * 100_000
    assert expand(kind, write(data), len(data)) == data
    with pytest.raises(Unexpanded, match="more than 999999 bytes") as raised:
        expand(kind, write(data), len(data) - 1)
    assert data.startswith(raised.value.begin)


@EACH
@given(cut=st.integers(1, 60), junk=st.binary(max_size=20))
def test_what_is_broken_says_so_and_raises_nothing_else(kind: int, write: Any, cut: int, junk: bytes) -> None:
    written = write(b"0123456789" * 20)
    for broken in (written[:-cut], junk, written[:cut] + junk):
        try:
            expand(kind, broken, 10_000)
        except Unexpanded as error:
            assert str(error)  # noqa: PT017


@EACH
def test_memory_is_of_what_comes_out_and_not_of_the_limit(kind: int, write: Any) -> None:
    # A batch of equal events compresses a hundredfold: room for all of the limit took 50 ms for 16 KB.
    data = b'{"x": 1}' * 2_000
    written = write(data)
    tracemalloc.start()
    try:
        assert expand(kind, written, 64 << 20) == data
        assert tracemalloc.get_traced_memory()[1] < 64 * len(data)
    finally:
        tracemalloc.stop()
