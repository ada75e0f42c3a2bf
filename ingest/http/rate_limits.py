"""Rate limits per key, and for all keys of a namespace together: token buckets for requests, events and bytes per
second. Pure: ``now`` is an argument, in seconds.

A bucket holds one second's worth of tokens and may go into debt; the next request then waits. So no batch is too
large for its bucket, and the rate holds over time. Each gateway process has its own buckets.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.catalog.bounds import NamespaceBounds
from schemas.catalog.keys import KeyLimits
from schemas.http.api_keys import Access
from schemas.settings import Settings

MAX_KEYS: Final = 10_000


class Bucket:
    """A token bucket filled with ``rate`` tokens per second, up to ``rate``."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until tokens are available; 0: now."""
        # A clock that steps back neither adds nor removes tokens.
        self._tokens = min(float(self._rate), self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        return 0.0 if self._tokens > 0 else (-self._tokens + 1) / self._rate

    def take(self, cost: int) -> None:
        """Remove tokens, if necessary into debt."""
        self._tokens -= cost


@dataclass(frozen=True, slots=True)
class Rates:
    """Rate limits of a key, per second."""

    requests: int
    events: int
    bytes: int


class TooMuch(Exception):
    """A rate limit of ``who`` is exceeded; ``retry_after``: whole seconds, at least 1."""

    def __init__(self, what: str, rate: int, seconds: float, who: str = "this key") -> None:
        self.retry_after = max(1, math.ceil(seconds))
        self.what = what
        super().__init__(f"{who} may send {rate} {what} a second to a gateway; wait {self.retry_after} s")


class KeyBuckets:
    """The three buckets of one key and those of its namespace (``shared``), which are charged as well."""

    __slots__ = ("_bytes", "_events", "_requests", "_who", "rates", "shared")

    def __init__(self, rates: Rates, now: float, shared: KeyBuckets | None = None, who: str = "this key") -> None:
        self.rates = rates
        self.shared = shared
        self._who = who
        self._requests = Bucket(rates.requests, now)
        self._events = Bucket(rates.events, now)
        self._bytes = Bucket(rates.bytes, now)

    def request(self, now: float) -> None:
        """Charge one request. Raises TooMuch, having charged nothing."""
        if (lacking := self._lacking(now)) is not None:
            raise lacking
        self._requests.take(1)
        if self.shared is not None:
            self.shared._requests.take(1)

    def _lacking(self, now: float) -> TooMuch | None:
        buckets = (("requests", self._requests, self.rates.requests), ("events", self._events, self.rates.events),
                   ("bytes", self._bytes, self.rates.bytes))  # fmt: skip
        for what, bucket, rate in buckets:
            if (seconds := bucket.wait(now)) > 0:
                return TooMuch(what, rate, seconds, self._who)
        return None if self.shared is None else self.shared._lacking(now)

    def spend(self, size: int, events: int) -> None:
        """Charge body bytes (as sent or decompressed, whichever is more) and accepted events."""
        self._bytes.take(size)
        self._events.take(events)
        if self.shared is not None:
            self.shared.spend(size, events)

    def pause(self, now: float) -> float:
        """Seconds until more bytes and events may be sent within one long body."""
        pause = max(self._events.wait(now), self._bytes.wait(now))
        return pause if self.shared is None else max(pause, self.shared.pause(now))


class BucketsByKey:
    """Buckets by key. Beyond MAX_KEYS the least recently used are evicted; their keys start again with full
    buckets.

    ``bounds``: limits that the operator set for a namespace; its results are cached as long as ``version()`` stays
    the same.
    """

    def __init__(
        self,
        settings: Settings,
        bounds: Callable[[str], NamespaceBounds | None] = lambda _namespace: None,
        version: Callable[[], int] = lambda: 0,
    ) -> None:
        self.default = Rates(
            settings.key_requests_per_second, settings.key_events_per_second, settings.key_bytes_per_second
        )
        self._together = Rates(
            settings.namespace_requests_per_second,
            settings.namespace_events_per_second,
            settings.namespace_bytes_per_second,
        )
        self._bounds = bounds
        self._version = version
        self._as_of = version()
        # Cache keyed by object identity: a key's Access is the same object until the catalog changes. The Access is
        # stored in the value, so that its id is not reused.
        self._known: dict[int, tuple[Access, KeyBuckets]] = {}
        self._buckets: OrderedDict[tuple[str, str], KeyBuckets] = OrderedDict()

    def of(self, access: Access, now: float) -> KeyBuckets | None:
        """The key's buckets, new ones if its limits changed; None: no limits (the admin key of the settings)."""
        if access.namespace is None:
            return None
        known = self._known.get(id(access))
        if known is not None and self._as_of == self._version():
            return known[1]
        buckets = self._found(access, access.namespace, now)
        if self._as_of != self._version() or len(self._known) >= MAX_KEYS:
            self._known.clear()
            self._as_of = self._version()
        self._known[id(access)] = access, buckets
        return buckets

    def _found(self, access: Access, namespace: str, now: float) -> KeyBuckets:
        rates, together = self._rates(access), self._of_namespace(namespace)
        shared = self._kept((namespace, ""), together, now, None, f"the keys of namespace {namespace} together")
        # A key to which the operator gave more than its namespace has does not share the namespace's.
        beside = access.by_operator and _gives_more(access.limits, together)
        return self._kept((namespace, access.key_id), rates, now, None if beside else shared, "this key")

    def _kept(self, name: tuple[str, str], rates: Rates, now: float, shared: KeyBuckets | None, who: str) -> KeyBuckets:
        buckets = self._buckets.get(name)
        if buckets is None or buckets.rates != rates or buckets.shared is not shared:
            buckets = self._buckets[name] = KeyBuckets(rates, now, shared, who)
            while len(self._buckets) > MAX_KEYS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return buckets

    def _rates(self, access: Access) -> Rates:
        limits, default = access.limits, self.default
        if limits is None:
            return default
        return Rates(
            limits.requests_per_second or default.requests,
            limits.events_per_second or default.events,
            limits.bytes_per_second or default.bytes,
        )

    def _of_namespace(self, namespace: str) -> Rates:
        """The rates that the operator set for the namespace, else the default."""
        bounds, default = self._bounds(namespace), self._together
        if bounds is None:
            return default
        return Rates(
            bounds.requests_per_second or default.requests,
            bounds.events_per_second or default.events,
            bounds.bytes_per_second or default.bytes,
        )

    def may_give(self, access: Access) -> Rates | None:
        """The highest rates that a key created with ``access`` may get: the creator's limits, else those the
        operator set for the namespace, else the default. None: unlimited (the admin key of the settings)."""
        if access.namespace is None:
            return None
        limits, bounds, default = access.limits, self._bounds(access.namespace), self.default
        return Rates(
            (limits and limits.requests_per_second) or (bounds and bounds.requests_per_second) or default.requests,
            (limits and limits.events_per_second) or (bounds and bounds.events_per_second) or default.events,
            (limits and limits.bytes_per_second) or (bounds and bounds.bytes_per_second) or default.bytes,
        )


def _gives_more(limits: KeyLimits | None, together: Rates) -> bool:
    """Whether a limit that the key names is above its namespace's."""
    return limits is not None and (
        (limits.requests_per_second or 0) > together.requests
        or (limits.events_per_second or 0) > together.events
        or (limits.bytes_per_second or 0) > together.bytes
    )
