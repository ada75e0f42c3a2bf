"""The fold of usage.reservations, and what reservations hold of a feature as of a cut. Not thread-safe. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from rating.entitlements.reservations.uncounted_usage import AccountFeature, Uncounted, UncountedUsage, covers
from rating.pricing.exact import exact_sum
from schemas.ledgers.generations import Offsets
from schemas.ledgers.reservations.reservation_record import Closing, record_of
from schemas.ledgers.reservations.valid_reservations import ValidReservations
from schemas.values.instants import SECOND

_ZERO: Final = Decimal(0)
_NOTED_US: Final = 10 * SECOND
_MOST_SUMS: Final = 50_000
LATEST_DECISION_US: Final = 120 * SECOND
"""No decision rests on a cut that was read longer ago (``UsageKeeper`` answers with none older than a minute)."""


class ReservationBook:
    """What is reserved, and what is finalised and not counted yet."""

    def __init__(
        self,
        counted: Offsets | None = None,
        valid: ValidReservations | None = None,
        uncounted: Iterable[tuple[AccountFeature, list[Uncounted]]] = (),
    ) -> None:
        """``counted``: a cut that no decision will be earlier than. ``valid``, ``uncounted``: what was known before,
        ``uncounted_state`` of it."""
        self.valid = ValidReservations() if valid is None else valid
        self._counted: Offsets = counted or {}
        self._uncounted = UncountedUsage()
        for account_feature, of_feature in uncounted:
            self._uncounted.restore(account_feature, of_feature, self._counted)
        self._noted: deque[tuple[int, Offsets]] = deque()  # (when it was read, cut)
        # The sum of the open ones, and until which instant it is so.
        self._sums: dict[AccountFeature, tuple[int, Decimal]] = {}

    def apply_bytes(self, value: bytes, offset: int, append_us: int) -> None:
        """Apply the record at ``offset``, the next in the log; foreign bytes are void."""
        try:
            record = record_of(value)
        except ValueError:
            self.valid.position = offset + 1
            return
        if not self.valid.apply(record, offset, append_us):
            return
        account_feature = record.namespace, record.account_id, record.feature
        self._sums.pop(account_feature, None)
        if not isinstance(record, Closing) or not record.quantity:
            return
        if not covers(self._counted, record.offsets):
            self._uncounted.add(account_feature, record.quantity, record.offsets, append_us)

    def held(self, namespace: str, account_id: str, feature: str, offsets: Offsets, now_us: int) -> Decimal:
        """What reservations hold at ``now_us`` of the namespace's clock beside the usage that a cut at ``offsets`` has:
        the open ones, and what was finalised and lies beyond it."""
        account_feature = namespace, account_id, feature
        until_us, total = self._sums.get(account_feature, (0, _ZERO))
        if now_us >= until_us:
            open_now = [
                standing.reservation
                for standing in self.valid.open(namespace, account_id, feature).values()
                if standing.reservation.clock_expires_us > now_us
            ]
            total = exact_sum(reservation.quantity for reservation in open_now)
            if len(self._sums) >= _MOST_SUMS:
                self._sums.clear()
            if open_now:
                self._sums[account_feature] = min(reservation.clock_expires_us for reservation in open_now), total
            else:
                self._sums.pop(account_feature, None)
        beyond = tuple(self._uncounted.beyond(account_feature, offsets))
        return exact_sum((total, *beyond)) if beyond else total

    def uncounted_state(self) -> tuple[Offsets, list[tuple[AccountFeature, list[Uncounted]]]]:
        """For another book: a cut, and what is finalised and was perhaps not counted by it."""
        return self._counted, self._uncounted.state()

    @property
    def uncounted(self) -> int:
        """Accounts and features of which something is finalised and perhaps not counted."""
        return len(self._uncounted)

    def note(self, offsets: Offsets, at_us: int, now_us: int) -> None:
        """A cut was read at ``at_us``, real as ``now_us`` is; what it has is forgotten once no decision rests on an
        earlier one."""
        if not self._noted or at_us - self._noted[-1][0] >= _NOTED_US:
            self._noted.append((at_us, offsets))
        if self._noted[0][0] < now_us - LATEST_DECISION_US:
            while self._noted and self._noted[0][0] < now_us - LATEST_DECISION_US:
                self._counted = self._noted.popleft()[1]
            self._uncounted.drop(self._counted)
