"""A seller's logo: a small PNG or JPEG, checked without decoding its pixels. Pure."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from typing import Final

MOST_BYTES: Final = 48 * 1024
MOST_PIXELS: Final = 2_000
"""Of each side: a small file may unfold into gigabytes."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def checked_logo(text: str) -> str:
    """The base64 text as it is. Raises ValueError for what is no PNG or JPEG within the bounds."""
    if not text:
        return text
    if len(text) > MOST_BYTES * 4 // 3 + 4:
        raise ValueError(f"a logo has at most {MOST_BYTES} bytes; make it smaller")
    try:
        image = b64decode(text, validate=True)
    except (Error, ValueError):
        raise ValueError("a logo is a PNG or JPEG file in base64, without spaces or line ends") from None
    sides = pixels(image)
    if sides is None:
        raise ValueError("a logo is a PNG or JPEG file in base64; this is neither")
    if not all(0 < side <= MOST_PIXELS for side in sides):
        raise ValueError(f"a logo has at most {MOST_PIXELS} pixels a side, not {sides[0]} × {sides[1]}")
    return text


def pixels(image: bytes) -> tuple[int, int] | None:
    """Width and height as the head of a PNG or JPEG says; None for anything else."""
    if image.startswith(_PNG):
        if image[12:16] != b"IHDR" or len(image) < 24:
            return None
        return int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")
    return _jpeg_pixels(image) if image.startswith(b"\xff\xd8") else None


def _jpeg_pixels(image: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(image) and image[at] == 0xFF:
        marker = image[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(image[at + 7 : at + 9], "big"), int.from_bytes(image[at + 5 : at + 7], "big")
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + max(int.from_bytes(image[at + 2 : at + 4], "big"), 2)
    return None
