"""One namespace of the day: its producers, its fold, and what the stack answers of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from deploy.local.stack import Stack
from ingest.client import Client
from rating.close import run_close
from rating.verify.verification import verify
from tests.vendor_day import comparisons, vendor
from tests.vendor_day.answers import Answers
from tests.vendor_day.bill_fold import Bills, Lines
from tests.vendor_day.crossing_fold import Crossings
from tests.vendor_day.fold import Call, Fold, month_before, month_of
from tests.vendor_day.pairs import Pair
from tests.vendor_day.traffic import Producers, batches, calls


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
        self._reached: list[Pair] = []
        self.bills = {account: Bills(vendor.PREPAID[account]) for account in vendor.ACCOUNTS}

    def close(self) -> None:
        """Close the connections."""
        for client in self.clients:
            client.close()
        for answers in (self.answers, *self._gateways):
            answers.close()

    def apply(self, document: dict[str, Any]) -> None:
        """Publish catalog entries, and wait until every gateway has read the plan. Raises httpx.HTTPStatusError."""
        self._gateways[0].post("/v1/catalog/apply", document).raise_for_status()
        for gateway in self._gateways:
            gateway.wait("/v1/plans/api")

    def round(self, name: str, count: int, span: tuple[datetime, datetime] | None) -> list[list[Call]]:
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

    def void_down_to(self, share: Decimal, now: datetime) -> int:
        """Take calls of the running month back until each account has used less than ``share`` of its budget; how
        many."""
        voids = 0
        for account in vendor.ACCOUNTS:
            month = month_of(account, now)
            for call in self.fold.calls(account, *month):
                if self.fold.usage(account, "all", *month) < vendor.USAGE_BUDGET * share:
                    break
                self.clients[0].void(call.key, "the model answered nonsense")
                self.fold.void(call.key)
                voids += 1
        return voids

    def lines(self, account: str, now: datetime) -> Lines:
        """What the running month has come to, by product."""
        return self.fold.lines(account, *month_of(account, now))

    def usage(self, now: datetime) -> Iterator[Pair]:
        """Totals beside the fold."""
        for account in vendor.ACCOUNTS:
            yield from comparisons.usage(self.answers, self.fold, account, now)

    def everything(self, now: datetime) -> Iterator[Pair]:
        """All answers beside the fold."""
        yield from self.usage(now)
        yield from self._interims()
        for account, bills in self.bills.items():
            lines = self.lines(account, now)
            if (threshold := vendor.THRESHOLDS.get(account)) is not None:
                unbilled = sum(lines.values(), -bills.billed)
                yield Pair("thresholds", f"{account}: {unbilled} is not billed", unbilled < threshold, True)
            yield from comparisons.running(self.answers, account, month_of(account, now)[0], lines, bills.billed)
            yield from comparisons.limits(self.answers, self.fold, account, now)
            yield Pair("balances", f"{account}: live balance", self.answers.live(account), bills.live(lines))
        yield from comparisons.crossings(self.answers.alerts(), self.crossings.alerts)
        yield from self.invoices()

    def invoices(self) -> Iterator[Pair]:
        """All invoices beside the fold."""
        for account, bills in self.bills.items():
            yield from comparisons.invoices(self.answers.invoices(account), account, bills.chain)

    def settle(self, now: datetime) -> None:
        """The fold's values are what alerts must have been said of."""
        for account, bills in self.bills.items():
            self.crossings.settle(self.fold, account, now, bills.live(self.lines(account, now)))

    def bill_last_month(self, now: datetime) -> None:
        """The close of the month before."""
        self._close(now)
        for account, bills in self.bills.items():
            bills.end_month(self.fold.lines(account, *month_before(account, now)))

    def bill_thresholds(self, now: datetime) -> None:
        """A close in mid-month, beside the process of webhooks: whoever has reached a threshold gets an interim
        invoice."""
        self._close(now)

    def _interims(self) -> Iterator[Pair]:
        """Interim invoices that are new. When they were made is the stack's choice, and so of which use; the fold says
        what they, those before them and the month's own must come to in all."""
        for account, threshold in vendor.THRESHOLDS.items():
            bills = self.bills[account]
            for document in self.answers.invoices(account)[len(bills.chain) :]:
                if not document.get("interim"):
                    break
                due = bills.interim(comparisons.used(document))
                pair = Pair("thresholds", f"{document['invoice_id']}: bills {due}", due >= threshold, True)
                self._reached.append(pair)
        yield from self._reached

    def bill_month(self, end: datetime) -> None:
        """The close after subscriptions ended at ``end``."""
        self._close(datetime.now(UTC))
        for account, bills in self.bills.items():
            bills.end_month(self.lines(account, end))

    def _close(self, now: datetime) -> None:
        """Two closes at once."""
        with ThreadPoolExecutor(2) as pool:
            closes = [
                pool.submit(run_close, self._settings, self.namespace, now, now, lambda *_: None) for _ in range(2)
            ]
            for close in closes:
                close.result()

    def verified(self) -> Iterator[Pair]:
        """What ``weir verify`` finds."""
        yield Pair(
            "verify", "weir verify", [str(text) for text in verify(self._settings, namespace=self.namespace)], []
        )
