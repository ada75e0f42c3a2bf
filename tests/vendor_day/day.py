"""The day, top to bottom: last month's bills, three rounds of calls with kills, calls taken back, the month's end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from deploy.local.stack import ALL, Stack
from ingest.client import Client
from rating.close import run_close
from rating.verify.verification import verify
from tests.vendor_day import comparisons, vendor
from tests.vendor_day.answers import Answers
from tests.vendor_day.crossing_fold import Crossings
from tests.vendor_day.fold import Fold, month_before, month_of
from tests.vendor_day.traffic import Producers, batches, calls

Say = Callable[[str], None]
NAMESPACES: Final = {"vendor": 1.0, "rival": 0.4}
"""Both have the same accounts and keys of events; the second has fewer calls, so that mixing them up would show."""
ROUNDS: Final = (200, 120, 110)
_PATIENCE: Final = 90.0


class Shop:
    """One namespace: its producers, its fold and what the stack answers of it."""

    def __init__(self, stack: Stack, namespace: str, share: float, seed: int) -> None:
        self.namespace = namespace
        self._share = share
        self._settings = stack.settings
        self._random = random.Random(f"{seed}/{namespace}")
        key = stack.settings.admin_key.get_secret_value()
        urls = [f"http://127.0.0.1:{port}" for port in stack.gateway_ports]
        rating = f"http://127.0.0.1:{stack.settings.rating_port}"
        self.clients = [Client(url, key, namespace, rating_url=rating) for url in urls]
        self.answers = Answers(rating, key, namespace)
        self._gateways = [Answers(url, key, namespace) for url in urls]
        self.fold = Fold()
        self.producers = Producers(self.clients, self.fold)
        self.crossings = Crossings()
        self.billed: dict[str, list[tuple[datetime, datetime]]] = {account: [] for account in vendor.ACCOUNTS}

    def close(self) -> None:
        """Close the connections."""
        for closable in (*self.clients, self.answers, *self._gateways):
            closable.close()

    def apply(self, document: dict[str, Any]) -> None:
        """Publish catalog entries, and wait until every gateway has read the plan. Raises httpx.HTTPStatusError."""
        self._gateways[0].post("/v1/catalog/apply", document).raise_for_status()
        for gateway in self._gateways:
            gateway.wait("/v1/plans/api")

    def round(self, name: str, count: int, span: tuple[datetime, datetime] | None) -> list[list[Any]]:
        """Batches of a round of all accounts: within ``span``, else of the last seconds."""
        made = []
        for account in vendor.ACCOUNTS:
            now = datetime.now(UTC)
            start, end = span or (max(now - timedelta(seconds=20), month_of(account, now)[0]), now)
            made += list(
                batches(self._random, calls(self._random, account, name, int(count * self._share), start, end))
            )
        self._random.shuffle(made)
        return made

    def compare(self, now: datetime) -> Iterator[str]:
        """All answers beside the fold."""
        for account in vendor.ACCOUNTS:
            for differences in (
                comparisons.usage(self.answers, self.fold, account, now),
                comparisons.running(self.answers, self.fold, account, now),
                comparisons.limits(self.answers, self.fold, account, now),
                comparisons.balance(self.answers, self.fold, account, self._months(account, now)),
            ):
                yield from differences
        yield from comparisons.crossings(self.answers.alerts(), self.crossings.alerts)

    def settle(self, now: datetime) -> None:
        """The fold's values are what alerts must have been said of."""
        for account in vendor.ACCOUNTS:
            live = self.fold.balance(account, self._months(account, now))
            self.crossings.settle(self.fold, account, now, live)

    def _months(self, account: str, now: datetime) -> list[tuple[datetime, datetime]]:
        """Those that are billed, and the running one."""
        return [*self.billed[account], month_of(account, now)]

    def bill(self, now: datetime) -> None:
        """Close what is due."""
        run_close(self._settings, self.namespace, now, now, lambda *_: None)

    def verified(self) -> list[str]:
        """What ``weir verify`` finds."""
        return [str(difference) for difference in verify(self._settings, namespace=self.namespace)]


class Day:
    """The script. ``differences`` has every sentence that is not as the fold says."""

    def __init__(self, stack: Stack, seed: int, say: Say) -> None:
        self._stack = stack
        self._say = say
        self.differences: list[str] = []
        self.shops = [Shop(stack, namespace, share, seed) for namespace, share in NAMESPACES.items()]

    def play(self) -> None:
        """All stages."""
        self._last_month()
        for number, count in enumerate(ROUNDS, 1):
            self._round(number, count, kill=number < 3)
        self._taken_back()
        self._month_end()

    def _last_month(self) -> None:
        for shop in self.shops:
            now = datetime.now(UTC)
            before = {account: month_before(account, now) for account in vendor.ACCOUNTS}
            shop.apply(vendor.catalog(shop.namespace, {account: month[0] for account, month in before.items()}))
            span = max(month[0] for month in before.values()), min(month[1] for month in before.values())
            shop.producers.send(shop.round("before", 60, span))
        self._settled("last month's calls are counted", usage_only=True)
        for shop in self.shops:
            now = datetime.now(UTC)
            shop.bill(now)
            for account in vendor.ACCOUNTS:
                month = month_before(account, now)
                shop.billed[account].append(month)
                self._invoices(shop, account, 1, [shop.fold.lines(account, *month)])
        self._settled("last month is billed")

    def _round(self, number: int, count: int, *, kill: bool) -> None:
        rounds = [(shop, shop.round(f"round{number}", count, None)) for shop in self.shops]
        for half in range(2):
            for shop, made in rounds:
                shop.producers.send(made[half::2])
            if kill and half == 0:
                gateway = "gateway" if number == 1 else "gateway-1"
                self._say(f"killed: worker-0 ({self._stack.kill('worker-0')}), {gateway} ({self._stack.kill(gateway)})")
        self._settled(f"round {number}")

    def _taken_back(self) -> None:
        """Calls of the last round are voided until every account is below its budget again; then more come."""
        for shop in self.shops:
            now = datetime.now(UTC)
            for account in vendor.ACCOUNTS:
                month = month_of(account, now)
                for call in shop.fold.calls(account, *month):
                    if shop.fold.usage(account, "all", *month) < vendor.USAGE_BUDGET * Decimal("0.7"):
                        break
                    shop.clients[0].void(call.key, "the model answered nonsense")
                    shop.fold.void(call.key)
        self._settled("calls are taken back")
        for shop in self.shops:
            shop.producers.send(shop.round("again", 130, None))
        self._settled("more calls, new episodes")

    def _month_end(self) -> None:
        """Subscriptions end at an instant of today, and the close bills what they used."""
        end = datetime.now(UTC) + timedelta(seconds=3)
        for shop in self.shops:
            starts = {account: shop.billed[account][0][0] for account in vendor.ACCOUNTS}
            shop.apply({"namespace": shop.namespace, "subscriptions": vendor.subscriptions(starts, end)})
        while datetime.now(UTC) <= end:
            time.sleep(0.1)  # the wall clock is what a period's end waits for
        for shop in self.shops:
            shop.bill(datetime.now(UTC))
            for account in vendor.ACCOUNTS:
                months = [*shop.billed[account], month_of(account, end)]
                self._invoices(shop, account, 2, [shop.fold.lines(account, *month) for month in months])
            self._differ(f"{shop.namespace}: verify: {text}" for text in shop.verified())
        self._say(f"the month's end: {len(self.differences)} differences")

    def _invoices(self, shop: Shop, account: str, count: int, bills: list[dict[str, Decimal]]) -> None:
        documents = shop.answers.invoices(account)
        if len(documents) != count:
            self._differ([f"{shop.namespace}: {account} has {len(documents)} invoices instead of {count}"])
            return
        prepaid = vendor.PREPAID[account]
        for document, lines in zip(documents, bills, strict=True):
            self._differ(f"{shop.namespace}: {text}" for text in comparisons.invoice(document, lines, prepaid))
            prepaid -= min(prepaid, sum(lines.values(), Decimal(0)))

    def _differ(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.differences.append(text)
            self._say(f"DIFFERENT: {text}")

    def _settled(self, stage: str, *, usage_only: bool = False) -> None:
        """Compares until all is as the fold says; what is not by then is a difference."""
        began = time.monotonic()
        deadline = began + _PATIENCE
        for shop in self.shops:
            if not usage_only:
                shop.settle(datetime.now(UTC))
            while True:
                differences = self._compared(shop, usage_only)
                if not differences or time.monotonic() > deadline:
                    break
                time.sleep(0.5)  # between two looks at a stack that is still counting
            self._differ(f"{stage}: {shop.namespace}: {text}" for text in differences)
        self._say(f"{stage}: compared after {time.monotonic() - began:.1f} s; {len(self.differences)} differences")

    def _compared(self, shop: Shop, usage_only: bool) -> list[str]:
        now = datetime.now(UTC)
        if usage_only:
            return [
                text for account in vendor.ACCOUNTS for text in comparisons.usage(shop.answers, shop.fold, account, now)
            ]
        return list(shop.compare(now))


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
        return day.differences
