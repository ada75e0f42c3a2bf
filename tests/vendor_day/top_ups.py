"""Requests to top up a prepaid balance are answered, as a payment system would: each twice at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from tests.vendor_day import vendor
from tests.vendor_day.answers import Document
from tests.vendor_day.pairs import Pair
from tests.vendor_day.patience import PATIENCE, wait_until
from tests.vendor_day.shop import Shop

_LOOKS: Final = 3
"""Looks without a further request after which there is none to come."""


class TopUps:
    """The top-ups of one namespace."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._path = f"/v1/accounts/{vendor.TOPPED_UP}/topups"
        self._name = f"{shop.namespace}: {vendor.TOPPED_UP}'s top-ups"
        self._answered: set[str] = set()
        """The list shows an answer some seconds later."""

    def pay(self, *, refuse: bool) -> Iterator[Pair]:
        """Pay requests until the balance is above its floor. ``refuse``: the first one is refused, after which none
        may come for an hour, and is paid after all."""
        deadline = time.monotonic() + PATIENCE
        while self._balance() <= vendor.FLOOR and time.monotonic() < deadline:
            waiting = self._requested()
            yield Pair("top-ups", f"{self._name}: more than one request waits", len(waiting) > 1, False)
            for request in waiting:
                if refuse:
                    refuse = False
                    yield from self._refused(request)
                yield from self._paid(request)
            time.sleep(0.5)  # between two looks at a stack that is still counting
        yield Pair("top-ups", f"{self._name}: at or below the floor", self._balance() <= vendor.FLOOR, False)
        yield from self._summed_up()

    def _balance(self) -> Decimal:
        now = datetime.now(UTC)
        return self._shop.bills[vendor.TOPPED_UP].balance(self._shop.lines(vendor.TOPPED_UP, now))

    def _listed(self) -> list[Document]:
        return self._shop.answers.pages(self._path, "topups")

    def _requested(self) -> list[Document]:
        return [
            topup
            for topup in self._listed()
            if topup["state"] == "requested" and topup["topup_id"] not in self._answered
        ]

    def _refused(self, request: Document) -> Iterator[Pair]:
        self._answered.add(request["topup_id"])
        path = f"{self._path}/{request['topup_id']}/refused"
        self._shop.answers.post(path, {"reason": "the card has expired"}).raise_for_status()
        for _ in range(_LOOKS):
            time.sleep(0.5)  # two evaluators' rounds
            yield Pair("top-ups", f"{self._name}: requests right after a refusal", self._requested(), [])

    def _paid(self, request: Document) -> Iterator[Pair]:
        self._answered.add(request["topup_id"])
        path = f"{self._path}/{request['topup_id']}/paid"
        body = {"reference": f"pi-{request['number']}"}
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(self._shop.answers.post, path, body) for _ in range(2)]
        yield Pair("top-ups", f"{path} twice at once", [answer.result().status_code for answer in answers], [200, 200])
        other = self._shop.answers.post(path, {"reference": "another payment"})
        yield Pair("top-ups", f"{path} by another payment", other.status_code, 409)
        amount, before = Decimal(request["amount"]), self._balance()
        yield Pair("top-ups", f"{path}: amount", amount, vendor.TARGET - Decimal(request["balance"]))
        # The request was made by what had been counted then: of a balance of now, or of a higher one.
        yield Pair(
            "top-ups", f"{path}: requested of less than the balance", Decimal(request["balance"]) < before, False
        )
        self._shop.bills[vendor.TOPPED_UP].top_up(amount)

    def _summed_up(self) -> Iterator[Pair]:
        granted = self._shop.bills[vendor.TOPPED_UP].granted
        wait_until(lambda: self._sum() == granted - vendor.PREPAID[vendor.TOPPED_UP])
        paid = self._sum()
        yield Pair("top-ups", f"{self._name}: granted", paid + vendor.PREPAID[vendor.TOPPED_UP], granted)
        yield Pair("top-ups", f"{self._name}: over the daily limit", paid > vendor.DAILY_LIMIT, False)

    def _sum(self) -> Decimal:
        paid = (Decimal(topup["amount"]) for topup in self._listed() if topup["state"] == "paid")
        return sum(paid, Decimal(0))
