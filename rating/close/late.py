"""Late usage: what came, or was voided, for periods that are already billed, and the lines that bill it (DESIGN invariant 10)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from rating.close.chain import billed_up_to
from rating.close.charges import ChargeBook, Need, Totals
from rating.close.line_plans import OF_PLAN, LinePlan, plan_in
from rating.close.lines import rate_rows, same_line, steps_text
from rating.close.standing import Invoice, Line, Standing
from rating.close.timeline import PlanningError
from rating.pricing import PriceError, money_text, parse_price, plain
from rating.pricing.exact import exact_sum
from rating.usage.render import Binder, below
from rating.usage.voided import POSITION
from schemas.catalog.profiles import FOREVER
from schemas.checkpoints import Checkpoints, Cut
from schemas.instants import rfc3339
from schemas.invoices import VOID
from schemas.prices import Price


@dataclass(frozen=True, slots=True)
class Late:
    """Records of one profile that came, or were voided, beyond the checkpoint of a subscription's last invoice: [first_us, last_us]
    by event time."""

    profile_id: str
    first_us: int
    last_us: int
    events: int


@dataclass(frozen=True, slots=True)
class Prior:
    """A line that was billed and may have changed: ``billed`` is its amount with all its adjustments so far."""

    invoice_id: str
    line: Mapping[str, Any]
    price: Price
    need: Need
    billed: Decimal
    plan: LinePlan | None = None


LateUsage = Mapping[str, tuple[Late, ...]]
"""Subscription → late records of periods that it was billed for."""


def find_late(
    client: Any,
    namespace: str,
    standing: Standing,
    checkpoints: Checkpoints,
    as_of: Cut | None,
    carried: Collection[str] = (),
) -> LateUsage:
    """Late records as of a cut (None: live). A superset: re-rating decides whether they change anything. Blocking.

    ``carried``: profiles whose last value is carried over, so that a late record may change every later period.
    What an invoice is as of, its predecessors were adjusted as of, so only what lies beyond the last one's checkpoint counts; where
    one was voided since, beyond that of the last one before which nothing was.
    """
    by_checkpoint: dict[int, list[list[Invoice]]] = {}
    for chain in standing.chains(namespace):
        by_checkpoint.setdefault(billed_up_to(chain), []).append(chain)
    found: dict[str, tuple[Late, ...]] = {}
    for number, chains in sorted(by_checkpoint.items()):
        ends = [max(invoice["period_end"] for invoice in chain) for chain in chains]
        after = checkpoints.cut(number) if number else Cut(0, {}, 0, 0)
        by_account = _late_records(client, namespace, after, as_of, max(ends))
        for chain, end in zip(chains, ends, strict=True):
            mine = tuple(
                replace(one, last_us=FOREVER) if one.profile_id in carried else one
                for one in by_account.get(chain[-1]["account_id"], ())
                if one.first_us < end
            )
            if mine and prior_lines(chain, mine):
                found[chain[-1]["subscription"]] = mine
    return found


def _late_records(client: Any, namespace: str, after: Cut, as_of: Cut | None, until_us: int) -> dict[str, list[Late]]:
    bind = Binder()
    came, voided = (
        f"NOT {below(after, bind, prefix=prefix)}"
        + ("" if as_of is None else f" AND {below(as_of, bind, 'as_of', prefix)}")
        for prefix in ("", "void_")
    )
    scope = f"namespace = {bind('namespace', 'String', namespace)} AND timestamp < {bind.instant('until', until_us)}"
    # A backfill makes no line late: what is billed stays as it was counted then.
    late = f"(checkpoint = 0 AND {came})"
    # Positions order no table. By append time all parts are left out that are older than the first batch beyond the checkpoint; NULL,
    # where there is none, is true of no record.
    batches = (
        f"FROM usage_batches WHERE namespace = {bind('namespace', 'String', namespace)} AND NOT {below(after, bind)}"
    )
    since = f"append_time >= (SELECT minOrNull(append_time) {batches})"
    voids = f"FROM voided_events WHERE {scope} AND {voided}"
    sql = f"""
SELECT account_id, profile_id, toUnixTimestamp64Micro(min(timestamp)), toUnixTimestamp64Micro(max(timestamp)), count()
FROM (
    SELECT account_id, profile_id, timestamp FROM usage_records FINAL WHERE {scope} AND {since} AND {late}
    UNION ALL
    SELECT account_id, profile_id, timestamp FROM usage_records FINAL WHERE {scope} AND NOT {late}
        AND account_id IN (SELECT account_id {voids}) AND {POSITION} IN (SELECT {POSITION} {voids})
)
GROUP BY account_id, profile_id ORDER BY account_id, profile_id"""
    result: dict[str, list[Late]] = {}
    for account, profile, first, last, events in client.query(sql, parameters=bind.parameters).result_rows:
        result.setdefault(account, []).append(Late(profile, int(first), int(last), int(events)))
    return result


def prior_lines(chain: Iterable[Invoice], late: Iterable[Late]) -> list[tuple[Invoice, Mapping[str, Any]]]:
    """Usage lines of invoices that stand, to whose profile and period late records may belong."""
    records = tuple(late)
    return [
        (invoice, line)
        for invoice in chain
        if invoice["state"] != VOID
        for line in invoice["lines"]
        if line["kind"] == "usage"
        and any(
            one.profile_id == line["profile_id"]
            and one.first_us < line["period_end"]
            and one.last_us >= line["period_start"]
            for one in records
        )
    ]


def priors(chain: list[Invoice], late: Iterable[Late], book: ChargeBook) -> tuple[Prior, ...]:
    """What has to be rated again for a subscription. Raises PlanningError."""
    result: list[Prior] = []
    for invoice, line in prior_lines(chain, late):
        try:
            price = parse_price(json.loads(line["price"]), invoice["currency"])
        except (PriceError, ValueError) as error:
            raise PlanningError(f"invoice {invoice['invoice_id']}, line {line['number']}: {error}") from None
        need = book.need(line["profile_id"], price, line["period_start"], line["period_end"])
        if need.profile.backfilled:
            need = replace(need, profile=need.profile.as_pinned(invoice["catalog_offset"], invoice["checkpoint"]))
        billed = _billed(chain, invoice["invoice_id"], line)
        result.append(Prior(invoice["invoice_id"], line, price, need, billed, plan_in(invoice, line)))
    return tuple(result)


def _billed(chain: Iterable[Invoice], invoice_id: str, line: Mapping[str, Any]) -> Decimal:
    return exact_sum(
        Decimal(other["amount"])
        for invoice in chain
        if invoice["state"] != VOID
        for other in invoice["lines"]
        if same_line(other, line)
        and (other["adjusts"] == invoice_id or (other is line and invoice["invoice_id"] == invoice_id))
    )


def adjustments(found: Iterable[Prior], totals: Totals, account_id: str, currency: str) -> list[Line]:
    """A line for each prior one whose amount is now another. Raises PlanningError."""
    lines: list[Line] = []
    for prior in found:
        rows = totals[prior.need].get(account_id)
        try:
            priced, usage, note = rate_rows(prior.price, prior.need, rows, currency)
        except PriceError as error:
            raise PlanningError(f"adjustment of {prior.invoice_id}, line {prior.line['number']}: {error}") from None
        difference = exact_sum((priced.amount, -prior.billed))
        if not difference:
            continue
        was = f"{plain(priced.amount)} for {plain(usage.quantity or Decimal(0))} instead of {plain(prior.billed)}"
        span = f"{rfc3339(prior.line['period_start'])} to {rfc3339(prior.line['period_end'])}"
        lines.append(
            dict(prior.line)
            | {
                "kind": "adjustment", "description": f"{prior.line['description']}, adjusted for late or voided usage",
                "quantity": plain(usage.quantity or Decimal(0)), "events": str(usage.events),
                "amount": money_text(difference, currency), "unrounded": plain(difference), "steps": steps_text(priced),
                "note": "; ".join(part for part in (f"{span}: {was}", note) if part), "adjusts": prior.invoice_id,
                **({} if prior.plan is None else {OF_PLAN: prior.plan}),
            }
        )  # fmt: skip
    return lines
