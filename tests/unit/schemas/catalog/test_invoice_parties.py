"""A seller's logo is a small PNG or JPEG, and what else it says is text of one line."""

from __future__ import annotations

import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.catalog.parties.invoice_parties import Buyer, Seller
from schemas.catalog.parties.logo import MOST_BYTES, pixels

SIDES = st.integers(1, 2_000)


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">L4sLL", 13, b"IHDR", width, height)


def jpeg(width: int, height: int, comment: bytes = b"x") -> bytes:
    said = b"\xff\xd8\xff\xe0\x00\x04JF\xff\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment
    return said + b"\xff\xc2" + struct.pack(">HBHH", 11, 8, height, width) + b"\x03\x01\x11\x00"


@given(SIDES, SIDES, st.binary(max_size=300))
def test_sides_are_read_of_the_head_alone(width: int, height: int, comment: bytes) -> None:
    assert pixels(png(width, height)) == pixels(jpeg(width, height, comment)) == (width, height)


@given(st.binary(max_size=200))
def test_any_bytes_are_looked_at(data: bytes) -> None:
    for head in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
        pixels(head + data)


@pytest.mark.parametrize(
    ("logo", "fault"),
    [
        (b"<svg/>", "this is neither"),
        (png(2_001, 1), "at most 2000 pixels a side"),
        (jpeg(1, 0), "at most 2000 pixels a side"),
        (png(1, 1) + bytes(MOST_BYTES + 4), "at most 49152 bytes"),
    ],
)
def test_another_logo_is_refused(logo: bytes, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Seller(logo=b64encode(logo).decode())


def test_what_is_no_base64_and_what_has_control_characters_is_refused() -> None:
    assert Seller(logo=b64encode(jpeg(2_000, 2_000)).decode(), notes="one\ntwo").notes == "one\ntwo"
    for wrong in ({"logo": "a b"}, {"logo": "ü"}, {"name": "a\nb"}, {"address": ("",)}, {"notes": "\x00"}):
        with pytest.raises(ValidationError):
            Seller(**wrong)
    with pytest.raises(ValidationError):
        Buyer(address=("x",) * 9)
