"""Indexes of one namespace's catalog that its fold keeps up to date: codes in order, which entries refer to which, and
counts of what is in force. They hold codes of every version ever published, so a view as of any offset finds what it
needs among them and looks at its own version of each.

One thread adds entries; other threads may read meanwhile.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from schemas.values.currency import is_own_unit

_FEW: Final = 64  # codes that are inserted singly into a sorted list; more are sorted into it together
_CHUNK: Final = 256  # codes copied at a time


class IndexedEntry(Protocol):
    """What the indexes read of an entry (``state.Entry``)."""

    @property
    def kind(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def retired(self) -> bool: ...
    @property
    def body(self) -> Mapping[str, Any]: ...
    @property
    def size(self) -> int: ...


def references(kind: str, body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and code of each entry to which a stored body refers; a field of the wrong type refers to nothing."""
    if kind == "subscription":
        named = [("account", body.get("account")), ("plan", body.get("plan")), *_granted(body), *_topped_up(body)]
    elif kind == "account":
        named = _topped_up(body)
    elif kind in ("product", "feature"):
        profile = body.get("profile")
        named = [("meter", profile.partition(".")[0] if isinstance(profile, str) else None)]
    elif kind == "plan":
        charges = body.get("charges")
        named = [
            ("product", charge.get("product"))
            for charge in (charges if isinstance(charges, list) else ())
            if isinstance(charge, dict)
        ]
        named += [*_granted(body), *_unit(body), *_topped_up(body)]
    elif kind == "credit_grant":
        products = body.get("products")
        named = [("account", body.get("account")), ("subscription", body.get("subscription"))]
        named += [("product", code) for code in (products if isinstance(products, list) else ())]
        named += _unit(body)
    elif kind == "alert_rule":
        profile = body.get("profile")
        named = [(name, body.get(name)) for name in ("account", "plan", "subscription", "feature")]
        named.append(("meter", profile.partition(".")[0] if isinstance(profile, str) else None))
        named += _unit(body)
    elif kind == "meter":
        named = [("event_type", body.get("event_name") or body.get("code"))]
    else:
        return
    for to_kind, code in named:
        if isinstance(code, str):
            yield to_kind, code


def _unit(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    currency = body.get("currency")
    return [("unit", currency)] if isinstance(currency, str) and is_own_unit(currency) else []


def _topped_up(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    top_ups = body.get("top_ups")
    return [
        unit
        for top_up in (top_ups if isinstance(top_ups, list) else ())
        if isinstance(top_up, dict)
        for unit in _unit(top_up)
    ]


def _granted(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    grants = body.get("features")
    granted = [grant for grant in (grants if isinstance(grants, list) else ()) if isinstance(grant, dict)]
    floors = [floor for grant in granted if isinstance(floor := grant.get("credit_floor"), dict)]
    return [
        *(("feature", grant.get("feature")) for grant in granted),
        *(unit for floor in floors for unit in _unit(floor)),
    ]


class SortedCodes:
    """The codes of one kind in ascending order. Sorted when they are read, so that adding one costs nothing."""

    def __init__(self) -> None:
        self._published: list[str] = []  # in order of first publication; only ever grows at its end
        self._sorted: list[str] = []  # of the first so many of them
        self._lock = threading.Lock()

    def add(self, code: str) -> None:
        """Add a code that is not there yet."""
        self._published.append(code)

    def after(self, code: str) -> Iterator[str]:
        """The codes above ``code`` in ascending order."""
        while chunk := self._chunk(code):
            yield from chunk
            code = chunk[-1]

    def _chunk(self, code: str) -> list[str]:
        with self._lock:
            unsorted = self._published[len(self._sorted) :]
            if len(unsorted) > _FEW:
                self._sorted += unsorted
                self._sorted.sort()
            else:
                for added in unsorted:
                    insort(self._sorted, added)
            start = bisect_right(self._sorted, code)
            return self._sorted[start : start + _CHUNK]


class NamespaceIndexes:
    """The indexes of one namespace."""

    def __init__(self) -> None:
        self.size = 0
        """total characters of the bodies of all entries in force"""
        self.in_force: Counter[str] = Counter()
        """number of entries in force by kind"""
        self.profiles: Counter[str] = Counter()
        """number of profiles of the meters in force, by the event name at which they look"""
        self._codes: dict[str, SortedCodes] = {}
        # By kind and the kind referred to: code referred to → the code that refers to it, or several as keys of a dict.
        self._referring: dict[tuple[str, str], dict[str, str | dict[str, None]]] = {}

    def add(self, entry: IndexedEntry, previous: IndexedEntry | None) -> None:
        """Take in a new version of an entry; ``previous``: the version before it, None for the first."""
        standing = None if previous is None or previous.retired else previous
        if previous is None:
            self._sorted_codes(entry.kind).add(entry.code)
        if standing is not None:
            self._count(standing, -1)
        if not entry.retired:
            self._count(entry, 1)
        for to_kind, code in references(entry.kind, entry.body):
            self._refer(self._referring.setdefault((entry.kind, to_kind), {}), code, entry.code)

    def codes_after(self, kind: str, code: str) -> Iterator[str]:
        """All codes ever published of the kind that are above ``code``, ascending."""
        codes = self._codes.get(kind)
        return iter(()) if codes is None else codes.after(code)

    def referring(self, kind: str, to_kind: str, code: str) -> list[str]:
        """Codes of the entries of ``kind`` of which some version refers to this entry of ``to_kind``, each once."""
        codes = self._referring.get((kind, to_kind), {}).get(code)
        return [] if codes is None else [codes] if isinstance(codes, str) else list(codes)

    @staticmethod
    def _refer(by_code: dict[str, str | dict[str, None]], code: str, referring: str) -> None:
        known = by_code.get(code)
        if known is None:
            by_code[code] = referring
        elif isinstance(known, dict):
            known[referring] = None
        elif known != referring:
            by_code[code] = {known: None, referring: None}

    def _sorted_codes(self, kind: str) -> SortedCodes:
        codes = self._codes.get(kind)
        if codes is None:
            codes = self._codes[kind] = SortedCodes()
        return codes

    def _count(self, entry: IndexedEntry, sign: int) -> None:
        self.size += sign * entry.size
        self.in_force[entry.kind] += sign
        if entry.kind == "meter":
            profiles = entry.body.get("profiles")
            name = entry.body.get("event_name") or entry.code
            if isinstance(profiles, list) and isinstance(name, str):
                self.profiles[name] += sign * len(profiles)
