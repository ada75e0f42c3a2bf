"""Accounts at an instant: their subscriptions, what was billed, which periods run, and what these would be billed. By
the close's own code, for many accounts of a namespace by few queries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.invoices.amounts.prepaid_credits import Owned, drawn, grants_of_account
from rating.invoices.chain import begun_us
from rating.invoices.ledger import StandingInvoices
from rating.invoices.read import read_chains
from rating.invoices.stored_invoice import WholeInvoice
from rating.invoicing.due import current_span
from rating.invoicing.expected_invoice import EstimateInputs, Expected, Running, expect
from rating.invoicing.late.late_usage import LateBySubscription, find_late
from rating.invoicing.measure import measure
from rating.pricing import PriceError
from rating.subscriptions.period_lock import PeriodLock
from rating.subscriptions.timeline import PlanningError, Timeline, timeline_of
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints, Run
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice

PERMANENT: Final = (PlanningError, PriceError, LookupError, ValueError, ArithmeticError)
"""What only another catalog mends: looking again does not help."""


@dataclass(frozen=True, slots=True)
class AccountEstimate:
    """The running periods of accounts in the order in which they are billed, as if nothing more was used. ``inputs``:
    after what has ended was billed; ``problems``: subscription → why it has no estimate; ``unbilled``: why what has
    ended of it cannot be billed, of those without a running period; ``drawn``: grant → what invoices that stand drew
    on it."""

    inputs: EstimateInputs
    periods: list[Expected]
    problems: Mapping[str, str]
    run: Run
    unbilled: Mapping[str, str]
    drawn: Mapping[str, Decimal]


@dataclass(frozen=True)
class AccountState:
    """Accounts at ``now_us`` (microseconds UTC). ``lines``: their subscriptions; ``unplanned``: subscription → why it
    cannot be planned; ``billed``: their invoices, each chain in order."""

    view: NamespaceView
    accounts: Sequence[str]
    now_us: int
    lines: Sequence[Timeline]
    unplanned: Mapping[str, str]
    billed: Sequence[WholeInvoice]

    @cached_property
    def _records(self) -> list[Invoice]:
        return [invoice.record() for invoice in self.billed]

    def standing(self) -> StandingInvoices:
        """Their invoices; where the instant is in the past, those that had begun by then."""
        return StandingInvoices.holding([invoice for invoice in self._records if begun_us(invoice) <= self.now_us])

    def account_of(self, subscription: str) -> str:
        """Whose it is, also where it cannot be planned; "" where the catalog has none of this name."""
        versions = self.view.history("subscription", subscription)
        return versions[-1].model.account if versions else ""

    def at(self, accounts: Collection[str], instant_us: int) -> AccountState:
        """Some of the accounts at another instant."""
        lines = [line for line in self.lines if line.account_id in accounts]
        names = {line.subscription for line in lines}
        billed = [
            invoice
            for invoice in self.billed
            if invoice.head.subscription in names or invoice.head.account_id in accounts
        ]
        return AccountState(self.view, list(accounts), instant_us, lines, self.unplanned, billed)

    def running(self, problems: dict[str, str]) -> Iterator[Running]:
        """The period of each subscription that contains the instant; ``problems`` gets subscription → why it has
        none."""
        standing = self.standing()
        for line in self.lines:
            chain = standing.chain(self.view.namespace, line.subscription)
            billed_until = max((invoice.period_end for invoice in chain), default=None)
            try:
                current_period = current_span(line, billed_until, self.now_us)
            except (PlanningError, ValueError) as error:
                problems[line.subscription] = str(error)
                continue
            if current_period is not None:
                yield Running(line, current_period[0])

    def unbilled(self, problems: dict[str, str]) -> Iterator[Running]:
        """``running`` without periods that were billed since, where the instant is in the past."""
        billed = {
            (invoice.head.subscription, invoice.head.period_start_us)
            for invoice in self.billed
            if invoice.head.state != VOID and invoice.head.period_start_us < invoice.head.period_end_us
        }
        for period in self.running(problems):
            if (period.line.subscription, period.span.start_us) not in billed:
                yield period

    def late(
        self, client: Client, checkpoints: Checkpoints, standing: StandingInvoices, accounts: Iterable[str]
    ) -> LateBySubscription:
        """What came late for what was billed of some of the accounts. ``standing``: their invoices. Blocking; raises as
        ``find_late``."""
        carried = {version.profile_id for version in profile_versions(self.view) if version.carry_over}
        lock, name = PeriodLock.of(self.view), self.view.namespace
        return find_late(client, name, standing, checkpoints, None, carried, accounts=list(accounts), lock=lock)

    def estimate(self, client: Client, checkpoints: Checkpoints, also: Iterable[Owned] = ()) -> AccountEstimate:
        """What the running periods would be billed; ``also``: if there were these grants besides. Blocking. Raises
        UnknownCheckpoint for an invoice of a checkpoint that is not known yet."""
        view, now_us, standing = self.view, self.now_us, self.standing()
        later = StandingInvoices.holding([invoice for invoice in self._records if begun_us(invoice) > now_us])
        late = self.late(client, checkpoints, standing, self.accounts)
        late = {name: usage for name, usage in late.items() if not later.chain(view.namespace, name)}
        grants = (*(grant for account in self.accounts for grant in grants_of_account(view, account)), *also)
        newest = checkpoints.last
        run = Run("", newest.number + 1 if newest else 1, view.before, now_us, {})
        problems = dict(self.unplanned)
        running = list(self.running(problems))
        used = drawn(standing.invoices(view.namespace))
        inputs, periods, failed = expect(
            EstimateInputs(view, standing, self.lines, grants, late),
            running,
            run,
            lambda needs: measure(client, view.namespace, needs, None, lambda *_: None, checkpoints=checkpoints),
        )
        active = {period.line.subscription for period in running}
        problems |= {name: why for name, why in failed.items() if name in active}
        unbilled = {name: why for name, why in failed.items() if name not in active}
        return AccountEstimate(inputs, periods, problems, run, unbilled, used)


def read_accounts(client: Client, view: NamespaceView, accounts: Collection[str], now_us: int) -> AccountState:
    """The accounts with their invoices. Blocking."""
    unplanned: dict[str, str] = {}
    lines: list[Timeline] = []
    for account_id in accounts:
        for versions in view.histories_referring("subscription", "account", account_id):
            if versions[-1].model.account != account_id:
                continue
            try:
                if (line := timeline_of(view, versions)) is not None:
                    lines.append(line)
            except (PlanningError, ValueError) as error:
                unplanned[versions[-1].code] = str(error)
    billed = read_chains(client, view.namespace, list(accounts), [line.subscription for line in lines])
    return AccountState(view, list(accounts), now_us, lines, unplanned, billed)
