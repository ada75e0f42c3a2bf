"""The fold of usage.reservations: which of its records are valid, and what is remembered of them. Pure.

Validity depends on the log alone, so all followers agree, and of two writers that knew the same the first one wins:

- A reservation says how far its writer knew the log (``seen``), or which one it wrote just before (``predecessor``). It
  is valid only if the last valid one of its account and feature lies below that, or is that: whoever decided meanwhile
  has decided on something else, and decides again. So the decisions of an account and feature are made one after the
  other, by however many processes.
- What closes a reservation is valid while the reservation is open: until its append time reaches the expiry, or a later
  reservation of the same account and feature was decided at or after that instant, by the namespace's clock, and so
  without it.
- A record that lies more than a minute from the clock of its writer is void: it was held up, or its clock is wrong.

What is closed is remembered for an hour of the log's time, so that a repeated request gets the same answer, and at most
``MOST_CLOSED`` of a namespace. Whoever decided before something was forgotten, and knew nothing of it, is void too.

A follower may begin anywhere (``FOLLOWED_US``). It agrees with all others on an account and feature from the first
reservation on whose writer knew all records before it: that one is valid for everybody, those that lie behind it and
know less are void for everybody, and all others depend on nothing before it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from schemas.ledgers.reservations.reservation_record import Closing, Reservation, ReservationRecord
from schemas.values.instants import SECOND
from schemas.values.record_copy import replace

ReservationState = Literal["open", "finalised", "released", "expired"]
MOST_APART_US: Final = 60 * SECOND
"""Between a record's append time and the clock of its writer."""
LONGEST_US: Final = 24 * 3600 * SECOND
"""From the making of a reservation to its expiry."""
REMEMBERED_US: Final = 3600 * SECOND
FOLLOWED_US: Final = LONGEST_US + REMEMBERED_US + 3600 * SECOND
"""Who begins at records that were appended so long ago knows all that is open or remembered, and has had an hour to
agree with others on it."""
MOST_CLOSED: Final = 20_000
"""Of a namespace."""
_MINUTE_US: Final = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Standing:
    """A reservation that was made, at ``offset`` and ``made_us`` (append time), and what became of it; ``closed_us``:
    when (0: it is open)."""

    reservation: Reservation
    offset: int
    made_us: int
    state: ReservationState = "open"
    closing: Closing | None = None
    closed_us: int = 0

    def state_at(self, now_us: int) -> ReservationState:
        """Its state at an instant of the namespace's clock that is not before any record."""
        return "expired" if self.state == "open" and self.reservation.clock_expires_us <= now_us else self.state


@dataclass(slots=True)
class _Chain:
    """Of an account and feature: who wrote the last reservation, and its offset; those that are open; the ids of all
    that are remembered."""

    head: str = ""
    offset: int = -1
    open: dict[str, Standing] = field(default_factory=dict)
    remembered: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _OfNamespace:
    """``closed``: (when, id), in this order; ``forgotten``: the last offset of any chain that was forgotten."""

    standing: dict[str, Standing] = field(default_factory=dict)
    chains: dict[tuple[str, str], _Chain] = field(default_factory=dict)
    closed: deque[tuple[int, str]] = field(default_factory=deque)
    forgotten: int = -1
    open_of_account: dict[str, int] = field(default_factory=dict)
    open: int = 0
    closed_minute: int = -1


@dataclass(frozen=True, slots=True)
class ChainState:
    """Of an account and feature: who wrote the last reservation, and its offset; the ids that are remembered."""

    account_id: str
    feature: str
    head: str
    offset: int
    remembered: list[str]


@dataclass(frozen=True, slots=True)
class NamespaceState:
    """Of a namespace: ``forgotten``, the last offset of any chain that was; ``closed``: (when, id), in this order."""

    namespace: str
    forgotten: int
    closed: list[tuple[int, str]]
    standing: list[Standing]
    chains: list[ChainState]


class ValidReservations:
    """The state after the records applied so far. ``position``: the next offset."""

    def __init__(self) -> None:
        self.position = 0
        self._clock_us = 0
        self._namespaces: dict[str, _OfNamespace] = {}
        self._expiries: list[tuple[int, str, str]] = []  # (expiry, namespace, id); closed ones may stand here still
        self._open = 0
        self._forgetting: deque[tuple[int, str]] = deque()  # (minute, namespace): something was closed then

    def state(self) -> tuple[int, list[NamespaceState]]:
        """The latest append time (microseconds UTC), and all that is remembered. It does not change any more."""
        return self._clock_us, [
            NamespaceState(
                name,
                of.forgotten,
                list(of.closed),
                list(of.standing.values()),
                [ChainState(*at, chain.head, chain.offset, list(chain.remembered)) for at, chain in of.chains.items()],
            )
            for name, of in self._namespaces.items()
        ]

    @classmethod
    def of_state(cls, position: int, clock_us: int, namespaces: Iterable[NamespaceState]) -> ValidReservations:
        """What goes on at offset ``position`` as that with this state would."""
        valid = cls()
        valid.position, valid._clock_us = position, clock_us
        minutes = set[tuple[int, str]]()
        for state in namespaces:
            of = valid._namespaces[state.namespace] = _OfNamespace(closed=deque(state.closed))
            of.forgotten = state.forgotten
            for chain in state.chains:
                at = chain.account_id, chain.feature
                of.chains[at] = _Chain(chain.head, chain.offset, {}, dict.fromkeys(chain.remembered))
            for standing in sorted(state.standing, key=lambda standing: standing.offset):
                reservation = standing.reservation
                number = reservation.reservation_id
                of.standing[number] = standing
                if standing.state == "open":
                    of.chains[reservation.account_id, reservation.feature].open[number] = standing
                    valid._count(of, reservation.account_id, 1)
                    valid._expiries.append((reservation.expires_us, state.namespace, number))
            minutes |= {(at_us // _MINUTE_US, state.namespace) for at_us, _ in of.closed}
            of.closed_minute = of.closed[-1][0] // _MINUTE_US if of.closed else -1
        heapq.heapify(valid._expiries)
        valid._forgetting.extend(sorted(minutes))
        return valid

    def apply(self, record: ReservationRecord, offset: int, append_us: int) -> bool:
        """Whether the record at ``offset``, the next in the log, is valid."""
        self._pass(append_us)
        self.position = offset + 1
        if abs(append_us - record.decided_us) > MOST_APART_US:
            return False
        if isinstance(record, Closing):
            return self._close(record, append_us)
        return self._reserve(record, offset, append_us)

    def _reserve(self, record: Reservation, offset: int, append_us: int) -> bool:
        number = record.reservation_id
        namespace = self._namespaces.get(record.namespace)
        if not 0 < record.expires_us - append_us <= LONGEST_US + MOST_APART_US:
            return False
        if namespace is None:
            namespace = self._namespaces[record.namespace] = _OfNamespace()
        account_feature = record.account_id, record.feature
        chain = namespace.chains.get(account_feature)
        last = chain.offset if chain is not None else namespace.forgotten
        follows = record.seen > last or (chain is not None and record.predecessor == chain.head)
        if number in namespace.standing or not follows:
            return False
        for standing in tuple(chain.open.values()) if chain is not None else ():
            if standing.reservation.clock_expires_us <= record.clock_decided_us:
                self._closed(replace(standing, state="expired", closed_us=standing.reservation.expires_us))
        chain = namespace.chains.setdefault(account_feature, _Chain())  # it may have been forgotten just now
        standing = Standing(record, offset, append_us)
        chain.head, chain.offset = record.claim_id, offset
        chain.open[number] = namespace.standing[number] = standing
        chain.remembered[number] = None
        self._count(namespace, record.account_id, 1)
        heapq.heappush(self._expiries, (record.expires_us, record.namespace, number))
        if len(self._expiries) > 2 * self._open + 1000:
            self._expiries = [expiry for expiry in self._expiries if self._is_open(expiry[1], expiry[2])]
            heapq.heapify(self._expiries)
        return True

    def _close(self, record: Closing, append_us: int) -> bool:
        standing = self.standing(record.namespace, record.reservation_id)
        if standing is None or standing.state != "open" or standing.reservation.expires_us <= append_us:
            return False
        self._closed(replace(standing, state=record.kind, closing=record, closed_us=append_us))
        return True

    def _closed(self, standing: Standing) -> None:
        """A reservation that was open is closed now."""
        reservation = standing.reservation
        number, namespace = reservation.reservation_id, self._namespaces[reservation.namespace]
        del namespace.chains[reservation.account_id, reservation.feature].open[number]
        namespace.standing[number] = standing
        self._count(namespace, reservation.account_id, -1)
        namespace.closed.append((self._clock_us, number))
        minute = self._clock_us // _MINUTE_US
        if minute != namespace.closed_minute:
            namespace.closed_minute = minute
            self._forgetting.append((minute, reservation.namespace))
        while len(namespace.closed) > MOST_CLOSED:
            self._forget(namespace)

    def _count(self, namespace: _OfNamespace, account_id: str, change: int) -> None:
        self._open += change
        namespace.open += change
        number = namespace.open_of_account.get(account_id, 0) + change
        if number:
            namespace.open_of_account[account_id] = number
        else:
            namespace.open_of_account.pop(account_id, None)

    def _pass(self, append_us: int) -> None:
        """Time passes to that of a record: reservations expire, and what was closed long before is forgotten."""
        self._clock_us = max(append_us, self._clock_us)
        while self._expiries and self._expiries[0][0] <= self._clock_us:
            expires_us, name, number = heapq.heappop(self._expiries)
            standing = self.standing(name, number)
            if standing is not None and standing.state == "open" and standing.reservation.expires_us == expires_us:
                self._closed(replace(standing, state="expired", closed_us=expires_us))
        # By whole minutes of the log's time, which are the same for whoever began elsewhere.
        past = (self._clock_us - REMEMBERED_US) // _MINUTE_US
        while self._forgetting and self._forgetting[0][0] < past:
            namespace = self._namespaces[self._forgetting.popleft()[1]]
            while namespace.closed and namespace.closed[0][0] // _MINUTE_US < past:
                self._forget(namespace)

    def _forget(self, namespace: _OfNamespace) -> None:
        """The reservation that was closed first."""
        _, number = namespace.closed.popleft()
        reservation = namespace.standing.pop(number).reservation
        account_feature = reservation.account_id, reservation.feature
        chain = namespace.chains[account_feature]
        del chain.remembered[number]
        if not chain.remembered:
            namespace.forgotten = max(chain.offset, namespace.forgotten)
            del namespace.chains[account_feature]

    def _is_open(self, namespace: str, number: str) -> bool:
        standing = self.standing(namespace, number)
        return standing is not None and standing.state == "open"

    def __len__(self) -> int:
        """Reservations that are remembered."""
        return sum(len(namespace.standing) for namespace in self._namespaces.values())

    def standing(self, namespace: str, number: str) -> Standing | None:
        """A reservation by its id; None where it was never made, or is forgotten."""
        of_namespace = self._namespaces.get(namespace)
        return of_namespace.standing.get(number) if of_namespace is not None else None

    def head(self, namespace: str, account_id: str, feature: str) -> str:
        """The claim id of the last reservation of an account and feature, which the next one names; "" for none."""
        chain = self._chain(namespace, account_id, feature)
        return chain.head if chain is not None else ""

    def open(self, namespace: str, account_id: str, feature: str) -> Mapping[str, Standing]:
        """The reservations of an account and feature that no record closed, by id; some may be expired by now."""
        chain = self._chain(namespace, account_id, feature)
        return chain.open if chain is not None else {}

    def remembered(self, namespace: str, account_id: str, feature: str) -> Iterator[Standing]:
        """All that is remembered of an account and feature, in the order of the log."""
        chain = self._chain(namespace, account_id, feature)
        if chain is not None:
            yield from (self._namespaces[namespace].standing[number] for number in chain.remembered)

    def _chain(self, namespace: str, account_id: str, feature: str) -> _Chain | None:
        of_namespace = self._namespaces.get(namespace)
        return of_namespace.chains.get((account_id, feature)) if of_namespace is not None else None

    def open_of(self, namespace: str, account_id: str | None = None) -> int:
        """How many are open of an account; None: of the namespace."""
        of_namespace = self._namespaces.get(namespace)
        if of_namespace is None:
            return 0
        return of_namespace.open if account_id is None else of_namespace.open_of_account.get(account_id, 0)
