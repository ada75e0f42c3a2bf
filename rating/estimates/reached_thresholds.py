"""Which subscriptions have reached their ``invoice_threshold``, by the close's own code, of accounts that are looked at
anyway: one more query where some of them have a threshold, else none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from rating.estimates.account_state import AccountState
from rating.invoicing.interim.interim_plan import lines_with_threshold, plan_interims, reached
from rating.invoicing.measure import measure, needs_of
from rating.subscriptions.timeline import Timeline
from rating.topups.floors import FloorOwners
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints, Run


@dataclass(frozen=True, slots=True)
class ReachedThresholds:
    """``subscriptions``: also those with an interim invoice that has no number, since a close that died does not give
    it one; the next one does. ``problems``: why it cannot be told of others."""

    subscriptions: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


def threshold_owners(view: NamespaceView) -> FloorOwners:
    """The subscriptions and plans (of any version) of the namespace that declare a threshold."""

    def read() -> tuple[FloorOwners, int]:
        subscriptions, plans = (
            frozenset(
                versions[0].code
                for versions in view.histories(kind)
                if any(version.body.get("invoice_threshold") for version in versions)
            )
            for kind in ("subscription", "plan")
        )
        return FloorOwners(frozenset(), subscriptions, plans), 1 + len(subscriptions) + len(plans)

    return view.derived("threshold_owners", ("subscription", "plan"), read)


def reached_thresholds(client: Client, checkpoints: Checkpoints, state: AccountState) -> ReachedThresholds:
    """Of the accounts at the instant of ``state``, by live usage. Blocking; raises what ClickHouse's client raises, and
    UnknownCheckpoint for an invoice of a checkpoint that is not known yet."""
    view, now_us = state.view, state.now_us
    lines = lines_with_threshold(state.lines, now_us)
    if not lines:
        return ReachedThresholds()
    standing = state.standing()
    late = state.late(client, checkpoints, standing, dict.fromkeys(line.account_id for line in lines))
    plan = plan_interims(view, standing, now_us, late, lines)
    subscriptions = _unfinished(state, lines)
    if plan.billings:
        totals = measure(
            client, view.namespace, needs_of(plan.billings), None, lambda *_: None, checkpoints=checkpoints
        )
        subscriptions |= reached(plan, totals, Run("", 0, view.before, now_us, {}))
    return ReachedThresholds(subscriptions, plan.problems)


def _unfinished(state: AccountState, lines: Iterable[Timeline]) -> frozenset[str]:
    names = {line.subscription for line in lines}
    heads = (invoice.head for invoice in state.billed)
    return frozenset(
        head.subscription
        for head in heads
        if head.number is None and head.body.interim is not None and head.subscription in names
    )
