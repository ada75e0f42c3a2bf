"""Parquet documents of ours: exact decimals, instants in microseconds UTC, text as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, Final, Literal

ColumnKind = Literal["text", "integer", "money", "quantity", "instant", "exact"]
"""``money`` and ``quantity`` are Decimals of 12 places, ``instant`` microseconds UTC, ``exact`` the text of a decimal
with any number of places."""
MEDIA_TYPE: Final = "application/vnd.apache.parquet"


def write_parquet(
    out: IO[bytes], columns: Sequence[tuple[str, ColumnKind]], pages: Iterable[Sequence[Sequence[object]]]
) -> int:
    """Write rows, page by page, each page a row group; gives the number of rows. ``columns``: (name, kind) each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(), "integer": pa.int64(), "money": pa.decimal128(38, 12), "quantity": pa.decimal256(76, 12),
        "instant": pa.timestamp("us", tz="UTC"), "exact": pa.string(),
    }  # fmt: skip
    schema = pa.schema([pa.field(name, types[kind]) for name, kind in columns])
    count = 0
    with pq.ParquetWriter(out, schema) as writer:
        for page in pages:
            arrays = [pa.array([row[index] for row in page], types[kind]) for index, (_, kind) in enumerate(columns)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(page)
    return count
