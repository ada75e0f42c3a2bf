"""Late usage of locked invoices, which nothing bills: what their lines would be adjusted by, were they not locked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import ChargeBook, Totals
from rating.invoicing.late.adjustments import adjusted
from rating.invoicing.late.changed_line import ChangedLine, lines_json
from rating.invoicing.late.late_records import BilledAsOf, Late, late_records
from rating.invoicing.late.late_usage import (
    ChainPriors,
    Prior,
    carried_on,
    needs_of_priors,
    prior_lines,
    priors_of,
)
from rating.invoicing.measure import measure
from rating.subscriptions.period_lock import PeriodLock
from rating.subscriptions.timeline import PlanningError
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

DAYS: Final = 92
"""So long before the lock date invoices are looked at, unless the question names a day."""
_LONGEST_PERIOD: Final = timedelta(days=370)
_ZONES: Final = timedelta(hours=14)  # a date begins at most so much later than in UTC, in the last of all zones
_CUTS: Final = """SELECT checkpoint, toUnixTimestamp64Micro(max(period_end)) FROM invoice_lists
WHERE namespace = {namespace:String} AND draft = false AND list = {list:String} AND of = {of:String}
    AND period_start >= fromUnixTimestamp64Micro({first:Int64}, 'UTC')
    AND period_end > fromUnixTimestamp64Micro({since:Int64}, 'UTC')
    AND period_end <= fromUnixTimestamp64Micro({until:Int64}, 'UTC')
GROUP BY checkpoint ORDER BY checkpoint"""

LateByCheckpoint = Callable[[int, str], Collection[Late]]
"""(Checkpoint of invoices, account) → its records that came, or were voided, after that and lie before their ends."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """``lines``: of invoices that ``lock_date`` covers and whose period ended after the beginning of ``since`` (UTC),
    by account and subscription; ``problems``: messages about what cannot be rated. All is empty without a lock."""

    lock_date: date | None = None
    since: date | None = None
    lines: tuple[ChangedLine, ...] = ()
    problems: tuple[str, ...] = ()

    def to_json(self, limit: int) -> JsonObject:
        """The first ``limit`` lines; ``totals`` and ``count`` cover all."""
        return {
            "lock_date": None if self.lock_date is None else self.lock_date.isoformat(),
            "since": None if self.since is None else self.since.isoformat(),
            **lines_json(self.lines, limit),
            "problems": list(self.problems),
        }


def left_out(
    client: Any,
    view: NamespaceView,
    standing: StandingInvoices,
    checkpoints: Checkpoints,
    carried: Collection[str],
    since: date | None = None,
    account_id: str | None = None,
) -> LeftOut:
    """Live; of one account if given. ``carried``: profiles whose last value is carried over; ``since`` None: ``DAYS``
    before the lock date. Blocking. Raises UnknownCheckpoint."""
    lock = PeriodLock.of(view)
    if lock.day is None:
        return LeftOut()
    first_day = since or lock.day - timedelta(days=DAYS)
    since_us, named = _utc_us(first_day), None if account_id is None else [account_id]
    cuts = _cuts(client, view.namespace, first_day, lock.day, account_id)
    billed = [BilledAsOf(checkpoints.cut(number), end_us) for number, end_us in cuts]
    late = late_records(client, view.namespace, billed, None, named)
    accounts = late.accounts
    heads = [chain[-1] for chain in standing.chains(view.namespace) if chain[-1].account_id in accounts]
    for head in heads:
        standing.expand(view.namespace, head.subscription)
    chains = [standing.chain(view.namespace, head.subscription) for head in heads]
    by_chain, problems = _locked_priors(view, chains, late.of, carried, since_us)
    totals = measure(client, view.namespace, needs_of_priors(by_chain), None, lambda *_: None)
    lines = changed_lines(by_chain, totals, problems)
    return LeftOut(lock.day, first_day, tuple(lines), tuple(problems))


def _locked_priors(
    view: NamespaceView,
    chains: Iterable[list[Invoice]],
    late: LateByCheckpoint,
    carried: Collection[str],
    since_us: int,
) -> tuple[list[ChainPriors], list[str]]:
    """(chain, its locked lines that late records may touch), and messages about what cannot be rated."""
    book = ChargeBook(view)
    by_chain: list[ChainPriors] = []
    problems: list[str] = []
    for chain in chains:
        try:
            if found := locked_priors(chain, late, book, carried, since_us):
                by_chain.append((chain, found))
        except (PlanningError, ValueError) as error:
            problems.append(f"subscription {chain[-1].subscription}: {error}")
    return by_chain, problems


def locked_priors(
    chain: list[Invoice], late: LateByCheckpoint, book: ChargeBook, carried: Collection[str] = (), since_us: int = 0
) -> tuple[Prior, ...]:
    """The lines of locked invoices, of periods that ended after ``since_us``, to which late records may belong; each
    invoice's are those beyond its own checkpoint, whatever later invoices adjusted. Raises PlanningError."""

    def touched(invoice: Invoice) -> list[Late]:
        return list(carried_on(late(invoice.checkpoint, chain[-1].account_id), carried))

    locked = [invoice for invoice in chain if book.lock.covers(invoice) and invoice.period_end > since_us]
    return priors_of(chain, [pair for invoice in locked for pair in prior_lines([invoice], touched(invoice))], book)


def changed_lines(
    by_chain: Iterable[tuple[list[Invoice], Iterable[Prior]]], totals: Totals, problems: list[str]
) -> list[ChangedLine]:
    """What would be adjusted, by account and subscription; adds to ``problems`` what cannot be rated."""
    lines: list[ChangedLine] = []
    for chain, billed in by_chain:
        head, checkpoints = chain[-1], {invoice.invoice_id: invoice.checkpoint for invoice in chain}
        try:
            lines += (
                ChangedLine.of(head, checkpoints[line.adjusts], line, prior.billed)
                for line, prior in adjusted(billed, totals, head.account_id, head.currency)
            )
        except PlanningError as error:
            problems.append(f"subscription {head.subscription}: {error}")
    return sorted((line for line in lines if line.difference), key=lambda line: line.order)


def _cuts(client: Any, namespace: str, since: date, lock_date: date, account_id: str | None) -> list[tuple[int, int]]:
    """(checkpoint, the last end of a period) of the invoices that may be locked and whose period ended after ``since``.

    From the list in the order of periods, so that it costs what lies between the two dates.
    """
    until = datetime.combine(lock_date, time(), UTC) + _ZONES
    rows = client.query(
        _CUTS,
        parameters={
            "namespace": namespace,
            "list": "all" if account_id is None else "account",
            "of": account_id or "",
            "first": micros(datetime.combine(since, time(), UTC) - _LONGEST_PERIOD),
            "since": _utc_us(since),
            "until": micros(until),
        },
    ).result_rows
    return [(int(number), int(end_us)) for number, end_us in rows]


def _utc_us(day: date) -> int:
    return micros(datetime.combine(day, time(), UTC))
