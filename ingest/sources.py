"""The outside world that the gateway depends on, as arguments: its clock and its randomness."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class Sources:
    """Microseconds UTC, fresh idempotency keys, 16 random bytes."""

    now_us: Callable[[], int]
    new_key: Callable[[], str]
    new_id: Callable[[], bytes]


def system_sources() -> Sources:
    """The real clock and the real randomness."""
    return Sources(lambda: time.time_ns() // 1000, lambda: uuid4().hex, lambda: secrets.token_bytes(16))
