"""Each number of the stack beside the fold's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from tests.vendor_day import vendor
from tests.vendor_day.answers import Answers, Document, instant
from tests.vendor_day.bill_fold import Bill, Lines
from tests.vendor_day.fold import Fold, minute_of, month_before, month_of
from tests.vendor_day.pairs import Pair


def usage(answers: Answers, fold: Fold, account: str, now: datetime) -> Iterator[Pair]:
    """Usage of each profile in the running month and the one before."""
    for start, end in (month_of(account, now), month_before(account, now)):
        for profile, metric in vendor.PROFILES.items():
            name = f"{account}: {metric} of [{start}, {end})"
            yield Pair(
                "totals", name, answers.usage(account, metric, start, end), fold.usage(account, profile, start, end)
            )


def running(answers: Answers, account: str, start: datetime, lines: Lines, billed: Decimal) -> Iterator[Pair]:
    """The lines of the month that runs since ``start``, and its estimate: what is not ``billed`` of it."""
    periods = answers.running(account)
    name = f"{account}: the running period's"
    yield Pair("running", f"{name} start", [instant(period["period_start"]) for period in periods], [start])
    for period in periods:
        charged = {charge["product"]: Decimal(charge["amount"]) for charge in period["charges"]}
        yield Pair("running", f"{name} charges", charged, lines)
        yield Pair("running", f"{name} estimate", Decimal(period["estimated_subtotal"]), sum(lines.values(), -billed))


def limits(answers: Answers, fold: Fold, account: str, now: datetime) -> Iterator[Pair]:
    """What each limit grants, has used and has left; whether the feature may be used."""
    listed = answers.limits(account)
    yield Pair("limits", f"{account}: limits", {_name(limit) for limit in listed}, set(vendor.LIMITS))
    for limit in listed:
        start, end = instant(limit["from"]), instant(limit["to"])
        span = minute_of(start) if limit["reset"] == "minute" else month_of(account, now)
        yield Pair("limits", f"{account}: span of {_name(limit)}", (start, end), span)
        granted = vendor.LIMITS.get(_name(limit), Decimal(0))
        if limit["of"] == "amount":  # a limit in money is on the charges of its own profile
            used = fold.lines(account, *span)["tokens"]
        else:
            used = fold.usage(account, vendor.LIMITED[limit["feature"]], *span)
        expected = {
            "granted": granted, "used": used, "remaining": max(granted - used, Decimal(0)),
            "overage": max(used - granted, Decimal(0)),
        }  # fmt: skip
        counted = {field: Decimal(limit[field]) for field in expected}
        yield Pair("limits", f"{account}: {_name(limit)}", counted, expected)
    for feature in vendor.LIMITED:
        own = [limit for limit in listed if limit["feature"] == feature]
        left = all(Decimal(limit["used"]) < Decimal(limit["granted"]) for limit in own)
        yield Pair("limits", f"{account}: {feature} is allowed", [limit["allowed"] for limit in own], [left] * len(own))


def _name(limit: Document) -> tuple[str, str]:
    return limit["feature"], limit["reset"]


def crossings(listed: list[Document], expected: list[tuple[str, str, str, str, int]]) -> Iterator[Pair]:
    """Alerts as (account, rule, threshold, state, episode): how often each was said."""
    said = [(item["account_id"], item["rule"], item["threshold"], item["state"], item["episode"]) for item in listed]
    for alert in sorted({*said, *expected}):
        yield Pair("alerts", f"{alert} is said", said.count(alert), expected.count(alert))


def invoices(documents: list[Document], account: str, bills: list[Bill]) -> Iterator[Pair]:
    """All invoices of an account: usage lines, what is taken off for interim ones, what is drawn on prepaid credit,
    and the total."""
    yield Pair("invoices", f"{account}: number of invoices", len(documents), len(bills))
    for document, bill in zip(documents, bills, strict=False):
        name = f"{account}: {document['invoice_id']}"
        charged = used(document)
        yield Pair("invoices", f"{name}: lines", charged, bill.lines)
        yield Pair("invoices", f"{name}: before credit", sum(charged.values(), _sum(document, "adjustment")), bill.due)
        yield Pair("invoices", f"{name}: drawn", -_sum(document, "credit"), bill.drawn)
        yield Pair("invoices", f"{name}: total", Decimal(document["total"]), bill.total)


def used(document: Document) -> Lines:
    """The amounts of an invoice's usage lines."""
    return {line["product"]: Decimal(line["amount"]) for line in document["lines"] if line["kind"] == "usage"}


def _sum(document: Document, kind: str) -> Decimal:
    return sum((Decimal(line["amount"]) for line in document["lines"] if line["kind"] == kind), Decimal(0))
