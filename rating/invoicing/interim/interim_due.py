"""When an interim invoice can be made of a subscription's running period. Pure."""

from __future__ import annotations

from rating.invoices.chain import episode_of, last_period, next_sequence, periods_to_reissue, voids_of
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.due import ChainPosition, Due, fees_in_advance
from rating.subscriptions.billing_periods import spans
from rating.subscriptions.timeline import Timeline


def interim_due(line: Timeline, standing: StandingInvoices, as_of_us: int) -> Due | None:
    """The next interim invoice of the period that contains ``as_of_us``; None where that does not directly follow what
    the chain has billed: an interim invoice waits for the invoices of all periods before its own, and of fees in
    advance at the start. It is an invoice over no time at the period's start, as one that settles a change."""
    chain = standing.chain(line.namespace, line.subscription)
    last_billed = last_period(chain)
    if next(periods_to_reissue(chain), None) is not None:
        return None
    span = next(spans(line, last_billed.period_end if last_billed else None), None)
    if span is None or not span.parts or not span.start_us <= as_of_us < span.end_us:
        return None
    if last_billed is None and fees_in_advance(span):
        return None
    begun = [part for part in span.parts if part.start_us <= as_of_us]
    part, start_us = begun[-1] if begun else span.parts[0], span.start_us
    predecessor, after = (chain[-1].invoice_id, chain[-1].run_id) if chain else ("", "")
    return Due(
        namespace=line.namespace, subscription=line.subscription, account_id=line.account_id,
        plan=part.plan, plan_version=part.plan_version, time_zone=line.time_zone,
        start_us=start_us, end_us=start_us,
        position=ChainPosition(predecessor, next_sequence(chain, start_us), voids_of(chain), after),
        kind="interim", change_us=as_of_us, advance=span.parts, episode=episode_of(chain, start_us),
    )  # fmt: skip
