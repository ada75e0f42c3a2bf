"""The day, top to bottom: last month's bills; rounds of calls with kills, each followed by invoices in mid-month and
top-ups; reservations; calls taken back; the month's end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from deploy.local.stack import ALL, Stack
from tests.vendor_day import vendor
from tests.vendor_day.fold import month_before
from tests.vendor_day.pairs import Pair, counts
from tests.vendor_day.patience import PATIENCE, wait_until
from tests.vendor_day.reserving import Reservations
from tests.vendor_day.shop import Shop
from tests.vendor_day.top_ups import TopUps

Say = Callable[[str], None]
Comparison = Callable[[Shop, datetime], Iterable[Pair]]
NAMESPACES: Final = {"vendor": 1.0, "rival": 0.4}
"""Both have the same accounts and keys of events; the second has fewer calls, so that mixing them up would show."""
ROUNDS: Final = (200, 120, 110)
_TURNS_BEFORE_KILL: Final = 20


class Day:
    """The script. ``differences`` has every sentence that is not as the fold says; ``pairs`` all that was compared."""

    def __init__(self, stack: Stack, seed: int, say: Say) -> None:
        self._stack = stack
        self._say = say
        self._seed = seed
        self.differences: list[str] = []
        self.pairs: list[Pair] = []
        self.shops = [Shop(stack, namespace, share, seed) for namespace, share in NAMESPACES.items()]

    def play(self) -> None:
        """All stages."""
        self._last_month()
        for number, count in enumerate(ROUNDS, 1):
            self._round(number, count, kill=number < 3)
            self._mid_month(number)
            self._top_ups(number, refuse=number == 1)
        self._reservations()
        self._taken_back()
        self._top_ups(len(ROUNDS) + 1, refuse=False)
        self._month_end()

    def _last_month(self) -> None:
        for shop in self.shops:
            now = datetime.now(UTC)
            before = {account: month_before(account, now) for account in vendor.ACCOUNTS}
            shop.apply(vendor.catalog(shop.namespace, {account: month[0] for account, month in before.items()}))
            span = max(month[0] for month in before.values()), min(month[1] for month in before.values())
            shop.producers.send(shop.round("before", 60, span))
        self._settled("last month's calls", lambda shop, now: shop.usage(now), alerts=False)
        for shop in self.shops:
            shop.bill_last_month(datetime.now(UTC))
        self._settled("last month's bills")

    def _round(self, number: int, count: int, *, kill: bool) -> None:
        rounds = [(shop, shop.round(f"round{number}", count, None)) for shop in self.shops]
        for half in range(2):
            for shop, made in rounds:
                shop.producers.send(made[half::2])
            if kill and half == 0:
                gateway = "gateway" if number == 1 else "gateway-1"
                self._say(f"killed: worker-0 ({self._stack.kill('worker-0')}), {gateway} ({self._stack.kill(gateway)})")
        self._settled(f"round {number}")

    def _mid_month(self, number: int) -> None:
        """Closes bill who has reached a threshold, once."""
        for shop in self.shops:
            shop.bill_thresholds(datetime.now(UTC))
        self._settled(f"threshold invoices after round {number}")
        for shop in self.shops:
            made = {account: len(shop.bills[account].chain) - 1 for account in vendor.THRESHOLDS}
            self._say(f"{shop.namespace}: interim invoices so far: {made}")

    def _top_ups(self, number: int, *, refuse: bool) -> None:
        """What was requested is paid."""
        for shop in self.shops:
            self._compared(f"top-ups {number}: {shop.namespace}", list(TopUps(shop).pay(refuse=refuse)))
        granted = {shop.namespace: str(shop.bills[vendor.TOPPED_UP].granted) for shop in self.shops}
        self._settled(f"balances after top-ups {number}, granted {granted}")

    def _reservations(self) -> None:
        """Fifty clients at once of each namespace, while the rating service is killed."""
        reservations = [Reservations(shop, self._seed) for shop in self.shops]
        for running in reservations:
            running.start()
        reservations[0].wait_for(_TURNS_BEFORE_KILL)
        self._say(f"killed: rating ({self._stack.kill('rating')})")
        for running in reservations:
            self._compared("reservations", list(running.finish()))
            self._say(running.summary())
        self._settled("after reservations")

    def _taken_back(self) -> None:
        """Calls are voided until every account is below its budget again; then more come."""
        voids = [shop.void_down_to(Decimal("0.7"), datetime.now(UTC)) for shop in self.shops]
        self._settled(f"{voids} calls are taken back")
        for shop in self.shops:
            shop.producers.send(shop.round("again", 130, None))
        self._settled("more calls, new episodes")

    def _month_end(self) -> None:
        """Subscriptions end at an instant of today, and the close bills what they used."""
        end = datetime.now(UTC) + timedelta(seconds=3)
        for shop in self.shops:
            starts = {account: month_before(account, end)[0] for account in vendor.ACCOUNTS}
            shop.apply({"namespace": shop.namespace, "subscriptions": vendor.subscriptions(starts, end)})
        wait_until(lambda: datetime.now(UTC) > end, every=0.1)
        for shop in self.shops:
            shop.bill_month(end)
        self._settled("the month's end", lambda shop, now: (*shop.usage(now), *shop.invoices()), alerts=False)
        for shop in self.shops:
            self._compared(f"weir verify: {shop.namespace}", list(shop.verified()))

    def _settled(
        self,
        stage: str,
        comparison: Comparison = lambda shop, now: shop.everything(now),
        *,
        alerts: bool = True,
    ) -> None:
        """Compares until all is as the fold says; what is not by then is a difference. ``alerts``: what the fold has
        now must have been said."""
        began = time.monotonic()
        pairs: list[Pair] = []
        for shop in self.shops:
            if alerts:
                shop.settle(datetime.now(UTC))
            while True:
                looked = list(comparison(shop, datetime.now(UTC)))
                if all(pair.same for pair in looked) or time.monotonic() > began + PATIENCE:
                    break
                time.sleep(0.5)  # between two looks at a stack that is still counting
            pairs += looked
        self._compared(stage, pairs, time.monotonic() - began)

    def _compared(self, stage: str, pairs: Sequence[Pair], seconds: float = 0.0) -> None:
        self.pairs += pairs
        for pair in pairs:
            if not pair.same:
                self.differences.append(f"{stage}: {pair}")
                self._say(f"DIFFERENT: {stage}: {pair}")
        self._say(f"{stage}: {counts(pairs)}, after {seconds:.1f} s; {len(self.differences)} differences")


def run(folder: Path, seed: int, say: Say) -> list[str]:
    """Play the day on a stack of its own in ``folder``; what differs, in sentences. Raises what the start raises."""
    began = time.monotonic()
    overrides: dict[str, Any] = {"checkpoint_seconds": 5, "close_schedule_seconds": 0}
    with Stack(folder, ports="free", gateways=2, processes=ALL, overrides=overrides) as stack:
        say(f"the stack is up after {time.monotonic() - began:.1f} s; seed {seed}")
        day = Day(stack, seed, say)
        try:
            day.play()
        finally:
            for shop in day.shops:
                shop.close()
        say(f"compared with the fold: {counts(day.pairs)}")
        return day.differences
