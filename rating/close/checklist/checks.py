"""The checklist of a run, computed from observations, the catalog and the planned invoices. Pure; it only warns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from rating.close.checklist.cautions import billed_twice, withdrawn_currencies
from rating.close.checklist.optional_properties import left_out
from rating.invoices.draft_decisions import awaiting
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.run_plan import RunPlan
from rating.pricing import plain
from rating.subscriptions.timeline import PlanningError, Timeline, timeline
from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

MAX_EXAMPLES: Final = 20
_TELLS: Final = frozenset({"awaiting", "billed_twice", "withdrawn_currencies"})
"""Checks that only inform and do not stop a strict close, since not billing would not help."""


@dataclass(frozen=True, slots=True)
class ChecklistPoint:
    """One item: the number of findings (0 is fine), and the first MAX_EXAMPLES of them as ``examples``."""

    name: str
    count: int
    text: str
    examples: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """As it stands in the run's announcement."""
        return {"check": self.name, "count": self.count, "text": self.text, "examples": list(self.examples)}

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> ChecklistPoint:
        """The item that ``to_json`` gave."""
        return ChecklistPoint(fields["check"], fields["count"], fields["text"], tuple(fields["examples"]))


@dataclass(frozen=True, slots=True)
class Observations:
    """Observations of a namespace over [start_us, end_us), the time that a run bills.

    ``waiting``: inbox records not yet admitted. ``rejected``: (stage, reason) → events refused since ``start_us``
    and not replayed. ``used``: (account, profile) pairs with usage. ``unmatched``: event names that no meter
    counts. ``unmeterable``: (profile, reason).
    """

    start_us: int = 0
    end_us: int = 0
    waiting: int = 0
    rejected: Mapping[tuple[str, str], int] | None = None
    used: Collection[tuple[str, str]] = ()
    unmatched: Collection[str] = ()
    unmeterable: Collection[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class ChecklistLimits:
    """A line's change is reported if it is at least ``factor`` times, or at most 1/``factor`` of, the previous one,
    and differs by at least ``amount`` in major units of its currency."""

    factor: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedInvoices:
    """The invoices (or drafts) that a run would publish for ``plan``. ``view``: the run's catalog; ``problems``:
    messages about what cannot be billed."""

    plan: RunPlan
    view: NamespaceView
    invoices: Sequence[Invoice]
    standing: StandingInvoices
    problems: Sequence[str]


def checklist(
    seen: Observations, planned: PlannedInvoices, billed: Collection[tuple[str, str]], limits: ChecklistLimits
) -> tuple[ChecklistPoint, ...]:
    """The checklist of a run; ``billed``: (account, profile) pairs for which its invoices have a line."""
    view, invoices, standing = planned.view, planned.invoices, planned.standing
    silent, changed = _compared(invoices, standing, limits)
    accounts, uncharged = _unbilled(seen, view, billed)
    rejected = seen.rejected or {}
    reasons = [f"{reason} ({stage}): {events} events" for (stage, reason), events in sorted(rejected.items())]
    unmetered = [f"events {name}: no meter counts them" for name in sorted(seen.unmatched)]
    unmetered += [
        f"{profile}: {reason}"
        for profile, reason in sorted(seen.unmeterable)
        if not left_out(view, profile, reason, seen.start_us, seen.end_us)
    ]
    return (
        ChecklistPoint("lag", seen.waiting, "records in the inbox that are not taken in yet"),
        _check("silent_accounts", "accounts with usage in their last period and none in this one", silent),
        ChecklistPoint(
            "rejections", sum(rejected.values()), "events refused since the period began and not replayed; `weir "
                "rejected list`",
            tuple(reasons[:MAX_EXAMPLES]),
        ),
        _check("unbilled_accounts", "accounts with usage and no subscription in the period", accounts),
        _check("uncharged_profiles", "profiles with usage of subscribed accounts whose plans do not "
            "charge it", uncharged),
        _check("unmetered_events", "kinds of events in the period that are not metered", unmetered),
        _check("changed_lines", f"lines {plain(limits.factor)} times or 1/{plain(limits.factor)} of those of the "
            "last period,"
               f" and {plain(limits.amount)} or more away", changed),
        _check("unplanned", "subscriptions that cannot be billed", planned.problems),
        _check("billed_twice", "charges that can bill one event both; allowed, look whether it is meant",
               billed_twice(view, seen.start_us, seen.end_us)),
        _check("withdrawn_currencies", "currencies of periods that began when they were no "
            "longer in use", withdrawn_currencies(invoices)),
        _check("awaiting", "drafts that wait for approval or are held", awaiting(standing.drafts(view.namespace))),
    )  # fmt: skip


def warnings(checks: Iterable[ChecklistPoint]) -> list[ChecklistPoint]:
    """The checks with findings that need correction."""
    return [check for check in checks if check.count and check.name not in _TELLS]


def _check(name: str, text: str, cases: Sequence[str]) -> ChecklistPoint:
    return ChecklistPoint(name, len(cases), text, tuple(cases[:MAX_EXAMPLES]))


def _compared(
    invoices: Sequence[Invoice], standing: StandingInvoices, limits: ChecklistLimits
) -> tuple[list[str], list[str]]:
    """Silent accounts and strongly changed lines, comparing each invoice with that of the previous period."""
    of_subscription: dict[str, list[Invoice]] = {}
    for invoice in invoices:
        of_subscription.setdefault(invoice.subscription, []).append(invoice)
    silent: dict[str, bool] = {}
    changed: list[str] = []
    for invoice in invoices:
        name = invoice.subscription
        previous = _period_before(invoice, [*standing.chain(invoice.namespace, name), *of_subscription[name]])
        if previous is None:
            continue
        account = invoice.account_id
        was = _events(previous)
        if was:
            silent[account] = silent.get(account, True) and not _events(invoice)
        if _alike(previous, invoice):
            old = _amounts(previous)
            changed += [
                f"{account} {charge}: {plain(amount)} {invoice.currency} in the period from"
                f" {rfc3339(invoice.period_start)}, {plain(old[charge, product])} before"
                for (charge, product), amount in _amounts(invoice).items()
                if (charge, product) in old and differs(old[charge, product], amount, limits)
            ]
    return sorted(account for account, quiet in silent.items() if quiet), changed


def _period_before(invoice: Invoice, chain: Iterable[Invoice]) -> Invoice | None:
    """The newest invoice with usage lines of the period that ends where ``invoice`` starts; None if ``invoice`` has
    no usage lines."""
    if not _amounts(invoice):
        return None
    start = invoice.period_start
    ends = [
        invoice for invoice in chain if invoice.period_start < start == invoice.period_end and invoice.state != VOID
    ]
    return next((invoice for invoice in reversed(ends) if _amounts(invoice)), None)


def differs(previous: Decimal, now: Decimal, limits: ChecklistLimits) -> bool:
    """Whether an amount differs strongly from the previous one; a change of sign always does, beyond the minimum
    amount."""
    if abs(now - previous) < limits.amount:
        return False
    low, high = sorted((abs(previous), abs(now)))
    return high >= low * limits.factor or (previous < 0) != (now < 0)


def _alike(billed: Invoice, previous: Invoice) -> bool:
    low, high = sorted(invoice.period_end - invoice.period_start for invoice in (billed, previous))
    return bool(low * 5 >= high * 4)


def _events(invoice: Invoice) -> int:
    return sum(int(line.events or 0) for line in invoice.lines if line.kind == "usage")


def _amounts(invoice: Invoice) -> dict[tuple[str, str], Decimal]:
    sums: dict[tuple[str, str], Decimal] = {}
    for line in invoice.lines:
        if line.kind == "usage":
            key = line.charge, line.product
            sums[key] = sums.get(key, Decimal(0)) + Decimal(line.amount)
    return sums


def _unbilled(
    seen: Observations, view: NamespaceView, billed: Collection[tuple[str, str]]
) -> tuple[list[str], list[str]]:
    """Accounts without a subscription in the time, and profiles that the subscribed accounts' plans do not charge."""
    open_pairs = [pair for pair in seen.used if pair not in billed]
    if not open_pairs:
        return [], []
    accounts = {account for account, _ in open_pairs}
    subscriptions: dict[str, list[str]] = {}
    for versions in view.histories("subscription"):
        if (account := versions[-1].body.get("account")) in accounts:
            subscriptions.setdefault(str(account), []).append(versions[-1].code)
    charged: dict[str, set[str] | None] = {}
    for account in accounts:
        lines = [line for code in subscriptions.get(account, ()) if (line := _planned(view, code)) is not None]
        charged[account] = _charged(view, lines, seen.start_us, seen.end_us)
    without = sorted(account for account, addresses in charged.items() if addresses is None)
    uncharged: dict[str, int] = {}
    for account, profile in open_pairs:
        addresses = charged[account]
        if addresses is not None and profile not in addresses and profile.partition(".")[0] not in addresses:
            uncharged[profile] = uncharged.get(profile, 0) + 1
    return without, [f"{profile}: {count} accounts" for profile, count in sorted(uncharged.items())]


def _planned(view: NamespaceView, code: str) -> Timeline | None:
    try:
        return timeline(view, code)
    except (PlanningError, ValueError):  # reported separately
        return None


def _charged(view: NamespaceView, lines: Iterable[Timeline], start_us: int, end_us: int) -> set[str] | None:
    """Addresses (meter.profile, or a meter with one profile) charged in the time; None if no subscription is in
    force."""
    segments = [
        segment
        for line in lines
        for segment in line.segments
        if segment.start_us < end_us and start_us < segment.end_us
    ]
    if not segments:
        return None
    products = {charge.product for segment in segments for charge in segment.plan.charges}
    found_products = (view.get("product", code) for code in products)
    return {entry.model.profile for entry in found_products if entry is not None and entry.model.profile is not None}
