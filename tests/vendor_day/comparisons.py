"""Each number of the stack beside the fold's, in sentences where they differ."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from tests.vendor_day import vendor
from tests.vendor_day.answers import Answers, Document, instant
from tests.vendor_day.fold import Fold, minute_of, month_before, month_of


def usage(answers: Answers, fold: Fold, account: str, now: datetime) -> Iterator[str]:
    """Usage of each profile in the running month and the one before, and the running invoice's lines."""
    for start, end in (month_of(account, now), month_before(account, now)):
        for profile, metric in vendor.PROFILES.items():
            counted, expected = answers.usage(account, metric, start, end), fold.usage(account, profile, start, end)
            if counted != expected:
                yield f"{account}: {metric} of [{start}, {end}) is {counted}; the fold has {expected}"


def running(answers: Answers, fold: Fold, account: str, now: datetime) -> Iterator[str]:
    """The lines and the sum of the running invoice."""
    periods = answers.running(account)
    if len(periods) != 1:
        yield f"{account}: {len(periods)} running periods instead of one"
        return
    (period,) = periods
    start, end = month_of(account, now)
    if instant(period["period_start"]) != start:
        yield f"{account}: the running period begins at {period['period_start']}; the fold's month at {start}"
    lines = fold.lines(account, start, end)
    charged = {charge["product"]: Decimal(charge["amount"]) for charge in period["charges"]}
    if charged != lines:
        yield f"{account}: the running charges are {charged}; the fold has {lines}"
    if Decimal(period["estimated_subtotal"]) != sum(lines.values()):
        yield f"{account}: the estimate is {period['estimated_subtotal']}; the fold has {sum(lines.values())}"


def limits(answers: Answers, fold: Fold, account: str, now: datetime) -> Iterator[str]:
    """What each limit grants, has used and has left; whether the feature may be used."""
    listed = answers.limits(account)
    granted = {
        ("tokens", "month"): vendor.MONTHLY_TOKENS,
        ("tokens", "minute"): vendor.MINUTE_TOKENS,
        ("spend", "billing_period"): vendor.MONEY_LIMIT,
    }
    if {(limit["feature"], limit["reset"]) for limit in listed} != set(granted):
        yield f"{account}: limits are {[(limit['feature'], limit['reset']) for limit in listed]}"
        return
    for limit in listed:
        name = limit["feature"], limit["reset"]
        start, end = instant(limit["from"]), instant(limit["to"])
        whole = minute_of(start) if limit["reset"] == "minute" else month_of(account, now)
        if (start, end) != whole:
            yield f"{account}: {name} counts [{start}, {end}) instead of [{whole[0]}, {whole[1]})"
        # A limit in money is on the charges of its own profile.
        money = limit["of"] == "amount"
        used = fold.lines(account, *whole)["tokens"] if money else fold.usage(account, "all", *whole)
        expected = {
            "granted": granted[name], "used": used, "remaining": max(granted[name] - used, Decimal(0)),
            "overage": max(used - granted[name], Decimal(0)),
        }  # fmt: skip
        counted = {field: Decimal(limit[field]) for field in expected}
        if counted != expected:
            yield f"{account}: {name} says {counted}; the fold has {expected}"
    for feature in ("tokens", "spend"):
        own = [limit for limit in listed if limit["feature"] == feature]
        left = all(Decimal(limit["used"]) < Decimal(limit["granted"]) for limit in own)
        if any(limit["allowed"] != left for limit in own):
            yield f"{account}: {feature} is allowed: {own[0]['allowed']}; the fold says {left}"


def balance(answers: Answers, fold: Fold, account: str, months: list[tuple[datetime, datetime]]) -> Iterator[str]:
    """The live balance after the usage of ``months``."""
    expected, live = fold.balance(account, months), answers.live(account)
    if live != expected:
        yield f"{account}: the live balance is {live}; the fold has {expected}"


def crossings(listed: list[Document], expected: list[tuple[str, str, str, str, int]]) -> Iterator[str]:
    """Alerts as (account, rule, threshold, state, episode), each exactly once."""
    said = sorted(
        (item["account_id"], item["rule"], item["threshold"], item["state"], item["episode"]) for item in listed
    )
    if said != sorted(expected):
        missing = sorted(set(expected) - set(said))
        extra = [alert for alert in said if said.count(alert) > expected.count(alert)]
        yield f"alerts missing: {missing}; too many: {extra}"


def invoice(document: Document, lines: dict[str, Decimal], prepaid: Decimal) -> Iterator[str]:
    """An invoice's usage lines, and what it draws on prepaid credit: as much as is left of it."""
    name = f"{document['account_id']}: {document['invoice_id']}"
    charged = {line["product"]: Decimal(line["amount"]) for line in document["lines"] if line["kind"] == "usage"}
    if charged != lines:
        yield f"{name} has lines {charged}; the fold has {lines}"
    drawn = -sum((Decimal(line["amount"]) for line in document["lines"] if line["kind"] == "credit"), Decimal(0))
    expected = min(prepaid, sum(lines.values(), Decimal(0)))
    if drawn != expected:
        yield f"{name} draws {drawn} of prepaid credit; the fold has {expected}"
    total = sum(lines.values(), Decimal(0)) - expected
    if Decimal(document["total"]) != total:
        yield f"{name} comes to {document['total']}; the fold has {total}"
