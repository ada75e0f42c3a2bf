"""The independent fold: what acknowledged events come to, by addition and multiplication alone. Imports nothing of
Weir's; quantities and amounts are Decimal, instants UTC, intervals half-open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from tests.vendor_day import vendor

CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Call:
    """A model call that was acknowledged; or a run, of so many seconds in place of ``tokens``. ``at``: UTC."""

    account: str
    key: str
    at: datetime
    tokens: int
    model: str

    def event(self) -> dict[str, object]:
        """As it is sent."""
        run = self.model == vendor.RUN
        properties = {"seconds": str(self.tokens)} if run else {"tokens": str(self.tokens), "model": self.model}
        return {
            "event_name": vendor.RUN if run else "completion", "account_id": self.account, "idempotency_key": self.key,
            "timestamp": self.at.isoformat(), "properties": properties,
        }  # fmt: skip


class Fold:
    """Calls by key, each once, without those taken back."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._void: set[str] = set()

    def add(self, calls: Iterable[Call]) -> None:
        """Acknowledged calls; one whose key is there already changes nothing."""
        for call in calls:
            self._calls.setdefault(call.key, call)

    def void(self, key: str) -> None:
        """An acknowledged void."""
        self._void.add(key)

    def calls(self, account: str, start: datetime, end: datetime) -> list[Call]:
        """Those that count, of [start, end)."""
        return [
            call
            for call in self._calls.values()
            if call.account == account and start <= call.at < end and call.key not in self._void
        ]

    def usage(self, account: str, profile: str, start: datetime, end: datetime) -> Decimal:
        """The quantity of a profile (a key of vendor.PROFILES)."""
        runs = profile == "runs"
        calls = [call for call in self.calls(account, start, end) if (call.model == vendor.RUN) == runs]
        if profile == "calls":
            return Decimal(len(calls))
        return Decimal(sum(call.tokens for call in calls if profile in ("all", "runs") or call.model == "large"))

    def lines(self, account: str, start: datetime, end: datetime) -> dict[str, Decimal]:
        """What each product's usage costs, in dollars to the cent: the lines of an invoice."""
        tokens = self.usage(account, "all", start, end)
        large = self.usage(account, "large", start, end)
        amounts = {
            "tokens": max(tokens - vendor.FREE_TOKENS, Decimal(0)) * vendor.TOKEN_PRICE,
            "large": large * vendor.LARGE_PRICE,
        }
        return {product: amount.quantize(CENT, ROUND_HALF_UP) for product, amount in amounts.items()}

    def spend(self, account: str, start: datetime, end: datetime) -> Decimal:
        """The sum of the lines."""
        return sum(self.lines(account, start, end).values(), Decimal(0))


def month_of(account: str, at: datetime) -> tuple[datetime, datetime]:
    """The calendar month of the account's time zone around an instant, in UTC."""
    zone = ZoneInfo(vendor.ACCOUNTS[account])
    local = at.astimezone(zone)
    start = datetime(local.year, local.month, 1, tzinfo=zone)
    end = datetime(local.year + local.month // 12, local.month % 12 + 1, 1, tzinfo=zone)
    return start.astimezone(UTC), end.astimezone(UTC)


def month_before(account: str, at: datetime) -> tuple[datetime, datetime]:
    """The month before that of an instant."""
    return month_of(account, month_of(account, at)[0] - timedelta(microseconds=1))


def minute_of(at: datetime) -> tuple[datetime, datetime]:
    """The minute around an instant."""
    start = at.replace(second=0, microsecond=0)
    return start, start + timedelta(minutes=1)
