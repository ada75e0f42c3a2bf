"""Records of usage.topups: a top-up of prepaid credit was requested, paid, refused or withdrawn. The first valid record
wins.

All records of an account and a currency are one sequence of versions, and each claims the next one. So whoever has not
seen the newest record has written nothing: a request is made of a balance that no answer has changed since, and two
evaluators make one request. Besides the version:

    requested    the one before is answered or withdrawn
    paid         whatever became of it before, once: money that came is credited
    refused      it is requested or withdrawn
    withdrawn    it is requested
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from schemas.kafka.codec import CodecError, codec
from schemas.ledgers.generations import Offsets, offsets_of, written_offsets
from schemas.values.deterministic_ids import deterministic_id
from schemas.values.record_copy import replace

TopupState = Literal["requested", "paid", "refused", "withdrawn"]
TopupOwner = tuple[str, str, str]
"""(namespace, account, currency)"""
_codec = codec("usage_topup")
_BEFORE: Final[Mapping[str, tuple[str, ...]]] = {
    "paid": ("requested", "refused", "withdrawn"),
    "refused": ("requested", "withdrawn"),
    "withdrawn": ("requested",),
}
_GRANT: Final = re.compile(r"top_[0-9a-f]{24}", re.ASCII)
REMEMBERED: Final = 200
"""Requests of an account and currency that are remembered, and can be answered."""


def topup_id(namespace: str, account_id: str, currency: str, number: int) -> str:
    """A deterministic id, equal in all processes: ``top_`` and 24 hexadecimal digits."""
    return deterministic_id("top_", namespace, account_id, currency, str(number))


def is_topup_grant(code: str) -> bool:
    """Whether a credit grant of that code is one that a paid top-up made: no document declares these."""
    return _GRANT.fullmatch(code) is not None


@dataclass(frozen=True, slots=True)
class TopupRecord:
    """One record; all but ``version``, ``state`` and ``reference`` are the request's. Amounts are decimal text,
    instants microseconds UTC."""

    namespace: str
    account_id: str
    currency: str
    version: int
    number: int
    state: TopupState
    amount: str
    cost: str
    cost_currency: str
    floor: str
    target: str
    balance: str
    as_of: int
    checkpoint: int
    catalog_offset: int
    offsets: Offsets
    reference: str = ""

    @property
    def owner(self) -> TopupOwner:
        """Whose balance it is of."""
        return self.namespace, self.account_id, self.currency

    @property
    def topup_id(self) -> str:
        """See ``topup_id``."""
        return topup_id(*self.owner, self.number)

    def followed_by(self, version: int, state: TopupState, reference: str = "") -> TopupRecord:
        """What became of it."""
        return replace(self, version=version, state=state, reference=reference)

    def encode(self, claim_id: str) -> bytes:
        """The record's bytes; ``claim_id``: who wrote it."""
        own = {"topup_id": self.topup_id, "offsets": written_offsets(self.offsets), "body": "{}", "claim_id": claim_id}
        return _codec.encode(asdict(replace(self, offsets={})) | own)


def topup_of(record: Mapping[str, Any]) -> TopupRecord:
    """The record, decoded. Raises ValueError where its id is not that of what it names."""
    names = TopupRecord.__dataclass_fields__
    topup = TopupRecord(**{name: record[name] for name in names if name != "offsets"}, offsets=offsets_of(record))
    if topup.topup_id != record["topup_id"] or topup.state not in ("requested", *_BEFORE):
        raise ValueError(f"{record['topup_id'][:40]!r} is no top-up of what the record names")
    return topup


@dataclass(frozen=True, slots=True)
class Topup:
    """A top-up by its newest record. ``requested_us``, ``changed_us``: append times, microseconds UTC."""

    record: TopupRecord
    requested_us: int
    changed_us: int

    @property
    def state(self) -> TopupState:
        """What became of it."""
        return self.record.state


@dataclass(slots=True)
class Topups:
    """The top-ups of an account in a currency, by number. ``refusals``: how many in a row, since one was paid, the last
    of them at ``refused_us``."""

    version: int = 0
    last_number: int = 0
    by_number: dict[int, Topup] = field(default_factory=dict)
    refusals: int = 0
    refused_us: int = 0

    @property
    def open(self) -> Topup | None:
        """The one that waits for an answer."""
        newest = self.by_number.get(self.last_number)
        return newest if newest is not None and newest.state == "requested" else None

    def since(self, instant_us: int) -> Iterator[Topup]:
        """Those that were requested at the instant or after it."""
        return (topup for topup in self.by_number.values() if topup.requested_us >= instant_us)

    def apply(self, record: TopupRecord, append_us: int) -> bool:
        """Whether the next record is valid."""
        if record.version != self.version + 1:
            return False
        known = self.by_number.get(record.number)
        if record.state == "requested":
            if record.number != self.last_number + 1 or self.open is not None or Decimal(record.amount) <= 0:
                return False
            self.last_number = record.number
            self.by_number[record.number] = Topup(record, append_us, append_us)
            self.by_number.pop(record.number - REMEMBERED, None)
        else:
            if known is None or known.state not in _BEFORE[record.state]:
                return False
            if record != known.record.followed_by(record.version, record.state, record.reference):
                return False  # of another amount than was requested
            self.by_number[record.number] = Topup(record, known.requested_us, append_us)
            if record.state == "paid":
                self.refusals = 0
            elif record.state == "refused":
                self.refusals, self.refused_us = self.refusals + 1, append_us
        self.version = record.version
        return True


class ValidTopups:
    """The fold of usage.topups: which records are valid. Records must be applied in log order."""

    def __init__(self) -> None:
        self._topups: dict[TopupOwner, Topups] = {}
        self._owners: dict[tuple[str, str], set[str]] = {}

    def apply(self, record: TopupRecord, append_us: int = 0) -> bool:
        """Whether the next record is valid. ``append_us``: its append time, microseconds UTC."""
        topups = self._topups.get(record.owner) or Topups()
        if not topups.apply(record, append_us):
            return False
        self._topups[record.owner] = topups
        self._owners.setdefault((record.namespace, record.account_id), set()).add(record.currency)
        return True

    def apply_bytes(self, value: bytes, append_us: int = 0) -> TopupRecord | None:
        """``apply`` on a record's bytes; None where it is void, as foreign bytes are."""
        try:
            record = topup_of(_codec.decode(value))
            return record if self.apply(record, append_us) else None
        except (CodecError, ValueError, ArithmeticError):
            return None

    def of(self, namespace: str, account_id: str, currency: str) -> Topups:
        """Those of an account in a currency."""
        return self._topups.get((namespace, account_id, currency)) or Topups()

    def of_account(self, namespace: str, account_id: str) -> Iterator[Topup]:
        """All that are remembered of the account."""
        for currency in sorted(self._owners.get((namespace, account_id), ())):
            yield from self.of(namespace, account_id, currency).by_number.values()
