"""What one key may send each second: token buckets for requests, events and bytes (pure: ``now`` is an argument, in seconds).

A bucket holds one second's worth. It may go into debt, and who finds it in debt waits: so no batch is too large for its
bucket, and over time the rate holds. Each gateway process has buckets of its own.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from schemas.api_keys import Access
from schemas.settings import Settings

MAX_KEYS: Final = 10_000


class Bucket:
    """``rate`` tokens flow in a second, up to ``rate``."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until something may be taken; 0: now."""
        # A clock that steps back gives nothing and takes nothing.
        self._tokens = min(float(self._rate), self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        return 0.0 if self._tokens > 0 else (-self._tokens + 1) / self._rate

    def take(self, cost: int) -> None:
        """Take it, if need be on credit."""
        self._tokens -= cost


@dataclass(frozen=True, slots=True)
class Rates:
    """What a key may send in a second."""

    requests: int
    events: int
    bytes: int


class TooMuch(Exception):
    """A key has sent too much of something; ``retry_after`` whole seconds, at least 1."""

    def __init__(self, what: str, rate: int, seconds: float) -> None:
        self.retry_after = max(1, math.ceil(seconds))
        self.what = what
        super().__init__(f"this key may send {rate} {what} a second to a gateway; wait {self.retry_after} s")


class KeyBuckets:
    """The three buckets of one key."""

    __slots__ = ("_bytes", "_events", "_requests", "rates")

    def __init__(self, rates: Rates, now: float) -> None:
        self.rates = rates
        self._requests = Bucket(rates.requests, now)
        self._events = Bucket(rates.events, now)
        self._bytes = Bucket(rates.bytes, now)

    def request(self, now: float) -> None:
        """Take one request. Raises TooMuch, then nothing is taken."""
        buckets = (("requests", self._requests, self.rates.requests), ("events", self._events, self.rates.events),
                   ("bytes", self._bytes, self.rates.bytes))  # fmt: skip
        for what, bucket, rate in buckets:
            if (seconds := bucket.wait(now)) > 0:
                raise TooMuch(what, rate, seconds)
        self._requests.take(1)

    def spend(self, size: int, events: int) -> None:
        """Count bytes of a body, decompressed, and events that were taken."""
        self._bytes.take(size)
        self._events.take(events)


class Limits:
    """Buckets by key. The least recently seen of more than MAX_KEYS are forgotten: their keys begin with full ones."""

    def __init__(self, settings: Settings) -> None:
        self._default = Rates(
            settings.key_requests_per_second, settings.key_events_per_second, settings.key_bytes_per_second
        )
        self._buckets: OrderedDict[tuple[str, str], KeyBuckets] = OrderedDict()

    def of(self, access: Access, now: float) -> KeyBuckets | None:
        """The key's buckets, new ones where its limits have changed; None: no limits (the admin key of the settings)."""
        if access.namespace is None:
            return None
        name, rates = (access.namespace, access.key_id), self._rates(access)
        found = self._buckets.get(name)
        if found is None or found.rates != rates:
            found = self._buckets[name] = KeyBuckets(rates, now)
            while len(self._buckets) > MAX_KEYS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return found

    def _rates(self, access: Access) -> Rates:
        own, default = access.limits, self._default
        if own is None:
            return default
        return Rates(
            own.requests_per_second or default.requests,
            own.events_per_second or default.events,
            own.bytes_per_second or default.bytes,
        )
