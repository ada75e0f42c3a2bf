"""Avro single-object encoding: two marker bytes, the 8-byte fingerprint of the writer's schema, and the body.

Source: Apache Avro specification, "Single-object encoding" and "Parsing Canonical Form" (CRC-64-AVRO). Each record
names its schema. ``avro/`` contains the current schemas and ``avro/old/`` all older versions; both stay readable
under Avro's resolution rules.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.errors import WeirError

MARKER: Final = b"\xc3\x01"
HEADER_BYTES: Final = 10
_FOLDER: Final = Path(__file__).parents[1] / "avro"


AvroRecord: TypeAlias = dict[str, Any]
"""A record as a dictionary by field name, as used by fastavro."""


class CodecError(WeirError, ValueError):
    """Bytes that are not a record of a known schema."""


class Codec:
    """Encodes records of one type, and decodes records written under any known version of its schema."""

    def __init__(self, name: str, current: Mapping[str, Any], older: tuple[Mapping[str, Any], ...] = ()) -> None:
        self.name = name
        self._schema = parse_schema(dict(current))
        self.header: Final = MARKER + _fingerprint(current)
        """What records under the current schema begin with."""
        self._writers: dict[bytes, Any] = {MARKER + _fingerprint(old): parse_schema(dict(old)) for old in older}

    def knows(self, data: bytes) -> bool:
        """Whether the header belongs to a version of this record type."""
        header = data[:HEADER_BYTES]
        return header == self.header or header in self._writers

    def version(self, data: bytes) -> int:
        """The schema version under which the record was written (1: the oldest). Raises CodecError for an unknown
        one."""
        header = data[:HEADER_BYTES]
        for number, known in enumerate((*self._writers, self.header), 1):
            if header == known:
                return number
        raise CodecError(f"{self.name}: unknown header {header.hex() or '(empty)'}")

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Encode one record. Raises CodecError if a field does not fit the schema."""
        out = io.BytesIO()
        out.write(self.header)
        try:
            schemaless_writer(out, self._schema, record)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise CodecError(f"{self.name}: cannot encode: {error}") from error
        return out.getvalue()

    def decode(self, data: bytes) -> AvroRecord:
        """Decode a record. Raises CodecError for an unknown schema, and for truncated or trailing bytes."""
        header = data[:HEADER_BYTES]
        writer = self._schema if header == self.header else self._writers.get(header)
        if writer is None:
            raise CodecError(
                f"{self.name}: unknown header {header.hex() or '(empty)'}; "
                f"expected Avro single-object encoding beginning {self.header.hex()}"
            )
        body = io.BytesIO(data)
        body.seek(HEADER_BYTES)
        try:
            record = schemaless_reader(body, writer, None)
            if writer is not self._schema:
                # Decoded under the writer's schema first, since skipping dropped fields would not detect truncation.
                body.seek(HEADER_BYTES)
                record = schemaless_reader(body, writer, self._schema)
        except (EOFError, ValueError, IndexError, KeyError, TypeError, StopIteration, OverflowError) as error:
            raise CodecError(f"{self.name}: broken body: {type(error).__name__} {error}") from error
        if body.tell() != len(data):
            raise CodecError(f"{self.name}: {len(data) - body.tell()} bytes left over after the record")
        return cast(AvroRecord, record)


def long(number: int) -> bytes:
    """An Avro long, for records that are written field by field. Raises CodecError beyond 64 bits."""
    if 0 <= number < 64:
        return _SMALL[number]
    if not -(1 << 63) <= number < 1 << 63:
        raise CodecError(f"{number} is no long")
    left = number << 1 ^ number >> 63
    written = bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)


def sized(data: bytes) -> bytes:
    """Avro bytes, or a string in UTF-8."""
    return long(len(data)) + data


_SMALL: Final = tuple(bytes([2 * number]) for number in range(64))


def _fingerprint(schema: Mapping[str, Any]) -> bytes:
    canonical = to_parsing_canonical_form(dict(schema))
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


@cache
def codec(name: str) -> Codec:
    """The codec of ``usage_event``, ``usage_events``, ``usage_batch``, ``event_void``, ``catalog_entry``,
    ``checkpoint``, ``rejected_event``, ``invoice``, ``usage_alert`` or ``record_piece``."""
    current = json.loads((_FOLDER / f"{name}.avsc").read_text())
    older = tuple(json.loads(path.read_text()) for path in sorted((_FOLDER / "old").glob(f"{name}.*.avsc")))
    return Codec(name, current, older)
