"""Builds an invoice and its lines from measured usage. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Final

from msgspec import Struct, field

from rating.invoices.amounts import credited_in_all
from rating.invoices.amounts.billed_of_period import OF_PERIOD
from rating.invoices.amounts.line_balances import NOTHING_NOTED, ChainCredits, taken_back
from rating.invoices.amounts.line_plans import pinned
from rating.invoices.amounts.prepaid.given_back import DrawnOn, to_give_back
from rating.invoices.amounts.prepaid_credits import Wallet
from rating.invoices.amounts.reductions import NO_AGREEMENT, Agreed, given_back, paid, reduced
from rating.invoices.chain import is_interim
from rating.invoices.transitions import due_date
from rating.invoicing.charges import ResolvedCharge, Totals
from rating.invoicing.due import Due
from rating.invoicing.prepaid.returned_credit import beyond_own, billed_anew, given_back_of_products
from rating.invoicing.rated_items import flat_lines, line_of, rate_items
from rating.pricing import PriceError, money_text, plain
from rating.pricing.exact import exact_sum
from rating.subscriptions.period_terms import NO_TERMS, Terms
from rating.subscriptions.timeline import PlanningError
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_claims import FINALIZED, PAID
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
    LinePlan,
    body_of,
)
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject, to_json
from schemas.values.record_copy import replace
from schemas.values.time_zones import VERSION


class Adjusting(Struct, frozen=True, kw_only=True):
    """The adjustments of earlier invoices: ``lines``, of which ``settled`` adjust fees of the invoice's own period
    billed in advance. ``note_credits``: what credit notes credited of the adjusted invoices; ``drawn``: what those drew
    on grants; ``of_void``: what is credited of what void ones added to those; ``noted``: the standing invoices,
    if any of them has credit notes; ``fees_of``: those that stand, if one billed fees of the period in advance off
    which its discounts may be; ``interims``: interim invoices of its period, if it takes charges of any off, those of
    which it does last; ``of_running``: the last interim one of the running period whose fees it changes, "" for
    none."""

    lines: Sequence[Line] = ()
    settled: Sequence[Line] = ()
    note_credits: ChainCredits = NOTHING_NOTED
    drawn: Sequence[DrawnOn] = ()
    of_void: Mapping[str, Decimal] = field(default_factory=dict)
    noted: Sequence[Invoice] = ()
    fees_of: Sequence[Invoice] = ()
    interims: Sequence[str] = ()
    of_running: str = ""


NOTHING_ADJUSTED: Final = Adjusting()


def build_invoice(
    due: Due,
    items: Sequence[ResolvedCharge],
    totals: Totals,
    run: Run,
    *,
    agreed: Agreed = NO_AGREEMENT,
    adjusting: Adjusting = NOTHING_ADJUSTED,
    wallet: Wallet | None = None,
) -> Invoice:
    """Build the Invoice record: charges, lines from the terms of their periods, ``adjusting``, and credits from
    ``wallet``, which is drawn on. Deterministic: equal bytes in every process for one ``run``. Raises
    PlanningError."""
    further, settled, note_credits, drawn = adjusting.lines, adjusting.settled, adjusting.note_credits, adjusting.drawn
    lines: list[Line] = []
    currency = due.plan.currency
    flat = flat_lines(currency)
    try:
        used = rate_items([item for item in items if item.need], totals, due.account_id, currency)
        lines += [flat(item) if item.need is None else line_of(next(used)) for item in items]
    except (PriceError, PlanningError) as error:
        raise PlanningError(f"subscription {due.subscription}, {error}") from None
    term_lines = by_terms(lines, due, agreed, settled) if agreed != NO_AGREEMENT else []
    if note_credits.lines:
        further = [
            *further,
            *taken_back(note_credits, further, currency, _effects(lines, due, agreed, settled, term_lines)),
        ]
    if adjusting.noted:
        further = [*further, *lines_above_notes([*lines, *term_lines, *further], due, agreed, adjusting.noted)]
    lines += term_lines
    lines += further
    subtotal = exact_sum(Decimal(line.amount) for line in lines)
    number_of_charges = len(lines)
    restrictions = next((draw.restrictions for draw in drawn), {})
    of_products = given_back_of_products(lines, due, agreed, drawn) if restrictions else []
    due_sum = exact_sum((subtotal, *(part for *_, part in of_products)))
    if wallet and (balances := wallet.balances(due.account_id, due.subscription, currency, due.moment_us)):
        payable = _payable(due_sum, further, adjusting.of_void)
        lines += paid(payable, balances, currency, due.start_us, due.end_us, lines)
    lines += given_back(of_products, currency, due.start_us, due.end_us, restrictions)
    if due_sum < 0 and drawn:
        lines += given_back(
            to_give_back(
                due_sum,
                drawn,
                [
                    *((line.adjusts, Decimal(line.amount)) for line in further),
                    beyond_own(lines, due, agreed),
                    billed_anew(lines, adjusting.interims),
                    *_beyond_fees(lines, due, adjusting),
                ],
                of_products,
            ),
            currency,
            due.start_us,
            due.end_us,
        )
    total = exact_sum((subtotal, *(Decimal(line.amount) for line in lines[number_of_charges:])))
    subtotal_text = money_text(subtotal, currency)
    total_text = subtotal_text if len(lines) == number_of_charges else money_text(total, currency)
    line_plans = pinned(lines, LinePlan(due.plan.code, due.plan_version))
    lines = [_numbered(line, number) for number, line in enumerate(lines, 1)]
    body: JsonObject = {
        "subtotal": subtotal_text, "tax_amount": None,
        "due_date": due_date(run.as_of_us, due.time_zone, due.plan.payment_terms_days),
    }  # fmt: skip
    if (overage := due.plan.overage) is not None:
        body["overage"] = {"currency": overage.currency, "rate": plain(overage.rate)}
    if due.time_zone != "UTC":
        body["time_zone_data"] = VERSION  # the tzdata release by which the period's bounds were computed
    if agreed.terms != NO_TERMS:
        body["terms"] = agreed.terms.to_json()
    if agreed.ahead != NO_TERMS:
        body["terms_ahead"] = agreed.ahead.to_json()
    if agreed.terms != NO_TERMS or agreed.ahead != NO_TERMS or any(line.adjusts for line in lines):
        body["terms_of"] = OF_PERIOD
    changed = {line.adjusts for line in further}
    counts = {
        item.invoice_id: len(body_of(item).credit_notes) for item in adjusting.noted if item.invoice_id in changed
    }
    if noted := {name: count for name, count in (counts | dict(note_credits.notes)).items() if count}:
        body["noted"] = noted
    if any(line.adjusts for line in lines) or (
        adjusting.fees_of and credited_in_all.moves_fees(adjusting.fees_of, _billed(lines, due, agreed), currency)
    ):
        body["after_note"] = note_credits.order
    if line_plans:
        body["line_plans"] = line_plans
    position = due.position
    if position.voids:
        body["voids"] = list(position.voids)
    if due.reissue is not None:
        body["reissues"] = due.reissue.invoice_id
    if position.predecessor:
        body["after"] = position.after or run.run_id
    if due.holds:
        body["holds"] = due.holds
    if due.of_running:
        body["change"] = rfc3339(due.change_us)
    if due.kind == "interim":
        body["interim"] = interim_body(due)
    invoice = Invoice(
        namespace=due.namespace, invoice_id=due.invoice_id, version=1, predecessor=position.predecessor,
        subscription=due.subscription, sequence=position.sequence, account_id=due.account_id,
        plan=due.plan.code, plan_version=due.plan_version,
        period_start=due.start_us, period_end=due.end_us, time_zone=due.time_zone,
        run_id=run.run_id, checkpoint=run.number, catalog_offset=run.catalog_offset, as_of=run.as_of_us,
        state=FINALIZED if total else PAID, currency=currency, total=total_text,
        lines=tuple(lines), body=to_json(body), claim_id=claim_id(run.run_id, due.invoice_id),
    )  # fmt: skip
    if wallet:
        wallet.draw(invoice)
    return invoice


def _payable(subtotal: Decimal, further: Iterable[Line], of_void: Mapping[str, Decimal]) -> Decimal:
    """What grants may pay of an invoice: not what other invoices credit in money already."""
    if not of_void:
        return subtotal
    added: dict[str, Decimal] = {}
    for line in further:
        added[line.adjusts] = exact_sum((added.get(line.adjusts, Decimal(0)), Decimal(line.amount)))
    covered = (-min(max(amount, Decimal(0)), of_void.get(name, Decimal(0))) for name, amount in added.items())
    return max(exact_sum((subtotal, *covered)), min(subtotal, Decimal(0)))


def lines_above_notes(lines: Sequence[Line], due: Due, agreed: Agreed, noted: Sequence[Invoice]) -> list[Line]:
    """The lines that an invoice with these needs so that none of ``noted`` comes to less than was credited of it."""
    return credited_in_all.kept_above_notes(noted, _billed(lines, due, agreed), due.plan.currency)


def _billed(lines: Sequence[Line], due: Due, agreed: Agreed) -> credited_in_all.BilledInvoice:
    change = due.of_running
    terms = agreed.ahead if change else agreed.terms
    has_terms = change or (due.kind != "further" and terms != NO_TERMS)
    discounts = Terms(terms.discounts) if has_terms else None
    return credited_in_all.BilledInvoice(due.invoice_id, due.start_us, due.end_us, lines, discounts, change)


def by_terms(lines: Sequence[Line], due: Due, agreed: Agreed, settled: Sequence[Line]) -> list[Line]:
    """Lines from the terms of the invoice's own period, and discounts of the next period on its fees in advance."""
    currency = due.plan.currency
    if due.of_running:  # all of it is of the running period, which has no end yet
        charged = [(line.product, Decimal(line.amount)) for line in [*lines, *settled]]
        last_advance = due.advance[-1]
        of_plan = LinePlan(last_advance.plan.code, last_advance.plan_version)
        changes = reduced(charged, agreed.ahead, currency, due.start_us, last_advance.end_us, agreed.ahead_before)
        return [replace(line, of_plan=of_plan) for line in changes]
    ahead = [line for line in lines if line.period_start >= due.end_us]
    lines_of_period = [line for line in lines if line.period_start < due.end_us]
    charged = [(line.product, Decimal(line.amount)) for line in [*lines_of_period, *settled]]
    reductions = reduced(charged, agreed.terms, currency, due.start_us, due.end_us, agreed.before)
    if ahead:
        charged = [(line.product, Decimal(line.amount)) for line in ahead]
        until = max(line.period_end for line in ahead)
        lines_ahead = reduced(charged, agreed.ahead, currency, due.end_us, until, agreed.ahead_before)
        reductions += [replace(line, of_plan=ahead[-1].of_plan) for line in lines_ahead]
    return reductions


def _beyond_fees(lines: Sequence[Line], due: Due, adjusting: Adjusting) -> Iterator[tuple[str, Decimal]]:
    """(the running period's last interim invoice, amount below zero), if there is one: what a change of the period
    leaves its discounts to take off beyond all fees in advance, so off what that one billed."""
    fees_of = credited_in_all.carriers((item for item in adjusting.fees_of if not is_interim(item)), due.start_us)
    if adjusting.of_running and fees_of:
        left = (draw.left for draw in adjusting.drawn if draw.invoice_id in fees_of)
        fees = (Decimal(line.amount) for line in lines if line.kind != "credit" and line.adjusts in {"", *fees_of})
        beyond = exact_sum((*left, *fees))
        if beyond < 0:
            yield adjusting.of_running, beyond


def _effects(
    lines: Sequence[Line], due: Due, agreed: Agreed, settled: Sequence[Line], term_lines: Sequence[Line]
) -> dict[str, Decimal]:
    """Adjusted invoice → change of the invoice's own terms because ``settled`` adjusts it, computed cumulatively in
    line order so that the parts add up to the effect of all of ``settled``."""
    names = list(dict.fromkeys(line.adjusts for line in settled))
    if not names or agreed == NO_AGREEMENT:
        return {}
    effects: dict[str, Decimal] = {}
    sum_before = _sum(by_terms(lines, due, agreed, ()))
    for number, name in enumerate(names, 1):
        settled_lines = [line for line in settled if line.adjusts in names[:number]]
        until = _sum(by_terms(lines, due, agreed, settled_lines)) if number < len(names) else _sum(term_lines)
        effects[name] = exact_sum((until, -sum_before))
        sum_before = until
    return effects


def interim_body(due: Due) -> JsonObject:
    """What an interim invoice says of itself: which one of its period it is, and the plan's threshold, if any."""
    threshold = due.plan.invoice_threshold
    return {"episode": due.episode} | ({} if threshold is None else {"threshold": plain(threshold)})


def _sum(lines: Iterable[Line]) -> Decimal:
    return exact_sum(Decimal(line.amount) for line in lines)


def claim_id(run_id: str, invoice: str) -> str:
    """A deterministic claim id, so that a second process of the same run writes the same bytes."""
    return blake2b(f"{len(run_id)}:{run_id}{invoice}:1".encode(), digest_size=12).hexdigest()


class _NumberedLines:
    """Lines with their numbers, each made once, so that invoices share the lines that are alike. Keyed by the line's
    identity; beyond ``most`` entries it is emptied."""

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._entries: dict[tuple[int, int], tuple[Line, Line]] = {}

    def __call__(self, line: Line, number: int) -> Line:
        entry = self._entries.get((id(line), number))
        if entry is None:
            if len(self._entries) >= self._most:
                self._entries.clear()
            numbered = replace(line, number=number, of_plan=None)  # the body has its plan
            entry = self._entries[id(line), number] = line, numbered
        return entry[1]


_numbered: Final = _NumberedLines()
