"""Determines the periods of a subscription to bill, from its timeline, the valid invoices, and an instant. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from typing import Final, Literal

from msgspec import Struct

from rating.invoices.chain import last_period, next_sequence, periods_to_reissue, voids_of
from rating.invoices.ledger import StandingInvoices
from rating.subscriptions.billing_periods import PeriodPart, Span, near, span_of, spans
from rating.subscriptions.timeline import Timeline
from schemas.catalog.base import BillingInterval
from schemas.catalog.models import Plan
from schemas.ledgers.invoice_claims import VOID, invoice_id
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import SECOND
from schemas.values.record_copy import replace

SETTLED_AT_ONCE: Final[frozenset[BillingInterval]] = frozenset({"quarter", "year"})
"""Intervals long enough that a change of fees in advance is billed at once; for shorter ones, with the period."""


Kind = Literal["period", "change", "interim", "further"]
"""period: it bills a period, or opens the chain with fees in advance; change: it settles the running period's fees in
advance at a change of them; interim: it bills what was used of the running period so far; further: another invoice of a
period that is billed, with adjustments alone."""


class ChainPosition(Struct, frozen=True):
    """The position of an invoice in its subscription's chain.

    ``predecessor``: id of the previous invoice, "" for none; ``after``: that one's run if it is already valid, else
    it belongs to the same run. ``sequence``: 1, 2, … for further invoices with the same start. ``voids``: sorted
    ids of the chain's void invoices.
    """

    predecessor: str = ""
    sequence: int = 0
    voids: tuple[str, ...] = ()
    after: str = ""


class Reissue(Struct, frozen=True):
    """The void invoice whose period is billed again. ``keeps_fees``: the following period is billed already, so the
    fees in advance are billed as on the void invoice."""

    invoice_id: str
    keeps_fees: bool = False


class Due(Struct, frozen=True, kw_only=True, dict=True):  # a dict for what is computed once
    """An invoice to create for the period [start_us, end_us) of a subscription.

    It bills the usage and the flat fees in arrears of ``parts``, and the fees in advance of ``advance``, the parts
    of the following period. A subscription with such fees begins with an invoice at its start, over no time.
    ``advanced``: an earlier invoice of the same run bills this period's fees in advance. ``change_us``: instant of
    a change, or as of which it is an interim invoice; ``episode``: which one of its period, 1, 2, …, and ``advance``
    then the parts of the running period. ``holds``: how often its draft was held and released.
    """

    namespace: str
    subscription: str
    account_id: str
    plan: Plan
    plan_version: int
    time_zone: str
    start_us: int
    end_us: int
    position: ChainPosition
    kind: Kind = "period"
    change_us: int = 0
    episode: int = 0
    parts: tuple[PeriodPart, ...] = ()
    advance: tuple[PeriodPart, ...] = ()
    advanced: bool = False
    reissue: Reissue | None = None
    holds: int = 0

    @property
    def of_running(self) -> bool:
        """Whether it is of a period that has not ended, over no time at its start."""
        return self.kind in ("change", "interim")

    @property
    def ready_us(self) -> int:
        """The instant from which it may be billed: the period's end plus the plan's grace; the start, or the
        change, for an invoice at one."""
        return self.change_us if self.of_running else self.end_us + self.grace_us

    @property
    def grace_us(self) -> int:
        """The plan's grace; none at a start."""
        return 0 if self.start_us == self.end_us else self.plan.grace_seconds * SECOND

    @property
    def moment_us(self) -> int:
        """The last instant it is for (at a start the start itself), which determines its terms."""
        return self.change_us if self.of_running else max(self.end_us - 1, self.start_us)

    @cached_property
    def invoice_id(self) -> str:
        """The deterministic invoice id."""
        return invoice_id(self.namespace, self.subscription, self.start_us, self.position.sequence)

    def after_run(self, run_id: str) -> Due:
        """A copy that follows an invoice of that run."""
        return replace(self, position=replace(self.position, after=run_id))


def due_of(line: Timeline, standing: StandingInvoices, as_of_us: int) -> Iterator[Due]:
    """The ended and unbilled periods of one subscription in chain order, including those within grace
    (``Due.ready_us`` distinguishes them).

    The first period starts at the subscription's start, each further one where the previous stored invoice ended.
    """
    chain = standing.chain(line.namespace, line.subscription)
    predecessor = chain[-1].invoice_id if chain else ""
    voids = voids_of(chain)
    last_billed = last_period(chain)
    last_start = last_billed.period_start if last_billed else None
    last_sequence = next_sequence(chain, last_start) - 1 if last_start is not None else 0
    following = spans(line, last_billed.period_end if last_billed else None)
    span = next(following, None)
    advanced = False
    for due in _again(line, chain, voids, span):
        if due.end_us > as_of_us:
            return
        yield due
        predecessor = due.invoice_id
        last_sequence = due.position.sequence if due.start_us == last_start else last_sequence
        advanced = span is not None and due.end_us == span.start_us
    if last_billed is None and span is not None and fees_in_advance(span):
        first_part = span.parts[0]
        opening = replace(
            _due(line, span, ChainPosition()),
            end_us=span.start_us,
            plan=first_part.plan,
            plan_version=first_part.plan_version,
            parts=(),
            advance=span.parts,
        )
        if opening.ready_us > as_of_us:
            return
        yield opening
        predecessor, last_start, advanced = opening.invoice_id, span.start_us, True
    while span is not None:
        sequence = last_sequence + 1 if span.start_us == last_start else 0
        due = _due(line, span, ChainPosition(predecessor, sequence, voids), advanced and span.in_advance)
        if due.end_us > as_of_us:
            return
        next_due = next(following, None)
        yield replace(due, advance=next_due.parts) if next_due is not None and fees_in_advance(next_due) else due
        span, predecessor, last_start, advanced = next_due, due.invoice_id, due.start_us, True


def _again(line: Timeline, chain: list[Invoice], voids: tuple[str, ...], following: Span | None) -> Iterator[Due]:
    """The stored periods whose invoices are void; ``following``: the first period without any invoice."""
    vacancies = list(periods_to_reissue(chain))
    predecessor = chain[-1].invoice_id if chain else ""
    previous: Due | None = None
    upcoming: Span | None
    for number, void in enumerate(vacancies):
        start, end = void.period_start, void.period_end
        span = span_of(line, start, end)
        follower = next(
            (invoice for invoice in chain if invoice.period_start == end and invoice.period_end > end), None
        )
        follows = vacancies[number + 1] if number + 1 < len(vacancies) else None
        if follows is not None and follows.period_start == end:
            upcoming = span_of(line, end, follows.period_end)
        else:
            upcoming = following if follower is None else None
        sequence = next_sequence(chain, start) + (previous is not None and previous.start_us == start)
        advanced = previous is not None and previous.end_us == start and span.in_advance
        due = replace(
            _due(line, span, ChainPosition(predecessor, sequence, voids), advanced),
            time_zone=void.time_zone,
            reissue=Reissue(void.invoice_id, keeps_fees=upcoming is None and follower is not None),
            advance=upcoming.parts if upcoming is not None and fees_in_advance(upcoming) else (),
        )
        yield due
        predecessor, previous = due.invoice_id, due


def fees_in_advance(span: Span) -> bool:
    """Whether the period has fees that are billed with the invoice before it."""
    return span.in_advance and any(charge.in_advance for part in span.parts for charge in part.plan.charges)


def _due(line: Timeline, span: Span, position: ChainPosition, advanced: bool = False) -> Due:
    return Due(
        namespace=line.namespace, subscription=line.subscription, account_id=line.account_id,
        plan=span.plan, plan_version=span.plan_version, time_zone=line.time_zone,
        start_us=span.start_us, end_us=span.end_us, position=position, parts=span.parts, advanced=advanced,
    )  # fmt: skip


def change_due(line: Timeline, standing: StandingInvoices, as_of_us: int) -> Due | None:
    """A separate invoice, over no time, that settles fees in advance at a change of plan or prices within a long
    period, instead of with the period. None if nothing changed by then, or if the fees were not billed in advance.

    ``advance``: the running period's parts, which may turn out to owe exactly what was billed.
    """
    chain = standing.chain(line.namespace, line.subscription)
    last_billed = last_period(chain)
    if last_billed is None or len(line.segments) < 2:
        return None
    span = next(spans(line, last_billed.period_end), None)
    if span is None or span.plan.interval not in SETTLED_AT_ONCE or not _fees_ahead(chain, span):
        return None
    if not span.start_us <= as_of_us < span.end_us:
        return None
    billed = {line.period_start for invoice in chain if invoice.period_end == span.start_us for line in invoice.lines}
    parts = tuple(_begun(span.parts, billed, as_of_us))
    part, start_us = [part for part in parts if part.start_us <= as_of_us][-1], span.start_us
    return Due(
        namespace=line.namespace, subscription=line.subscription, account_id=line.account_id,
        plan=part.plan, plan_version=part.plan_version, time_zone=line.time_zone, start_us=start_us, end_us=start_us,
        position=ChainPosition(chain[-1].invoice_id, next_sequence(chain, start_us), voids_of(chain)),
        kind="change", change_us=part.start_us, advance=parts,
    )  # fmt: skip


def _begun(parts: Iterable[PeriodPart], billed: Collection[int], as_of_us: int) -> Iterator[PeriodPart]:
    """The parts without future changes, except those from whose start on fees are billed already."""
    latest: PeriodPart | None = None
    for part in parts:
        if latest is None or part.start_us <= as_of_us or part.start_us in billed:
            if latest is not None:
                yield latest
            latest = part
        else:
            latest = replace(latest, end_us=part.end_us)
    if latest is not None:
        yield latest


def _fees_ahead(chain: list[Invoice], span: Span) -> bool:
    """Whether a valid invoice was in a position to bill the period's fees in advance."""
    ends = any(invoice.period_end == span.start_us and invoice.state != VOID for invoice in chain)
    return span.in_advance and ends


def further_invoice_due(line: Timeline, standing: StandingInvoices) -> Due | None:
    """A further invoice for the last period of an ended and completely billed subscription, for late usage and
    credits that no next invoice can contain; None if another period follows or nothing was billed."""
    chain = standing.chain(line.namespace, line.subscription)
    latest = last_period(chain)
    if latest is None or latest.period_end < line.end_us:
        return None
    segment = line.segments[-1]
    position = ChainPosition(chain[-1].invoice_id, next_sequence(chain, latest.period_start), voids_of(chain))
    return Due(
        namespace=line.namespace, subscription=line.subscription, account_id=line.account_id,
        plan=segment.plan, plan_version=segment.plan_version, time_zone=latest.time_zone,
        start_us=latest.period_start, end_us=latest.period_end, position=position, kind="further",
    )  # fmt: skip


def current_span(line: Timeline, billed_until_us: int | None, now_us: int) -> tuple[Span, Span | None] | None:
    """The period that contains ``now_us``, and the next one if there is one; None before the start and after the
    end.

    ``billed_until_us``: end of the last invoice's period, None for no invoice; earlier instants are searched from
    the start.
    """
    begins_us = billed_until_us if billed_until_us is not None and billed_until_us <= now_us else None
    following = spans(line, near(line, begins_us, now_us))
    for span in following:
        if now_us < span.end_us:
            return (span, next(following, None)) if span.start_us <= now_us else None
    return None
