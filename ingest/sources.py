"""The gateway's clock and sources of randomness, passed in as arguments so that tests can replace them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class Sources:
    """``now_us``: present instant in microseconds UTC; ``new_key``: a new idempotency key; ``new_id``: 16 random
    bytes."""

    now_us: Callable[[], int]
    new_key: Callable[[], str]
    new_id: Callable[[], bytes]


def system_sources() -> Sources:
    """The system's clock and randomness."""
    return Sources(lambda: time.time_ns() // 1000, lambda: uuid4().hex, lambda: secrets.token_bytes(16))
