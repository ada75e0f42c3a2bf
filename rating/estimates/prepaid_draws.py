"""What prepaid credits pay with what is not billed yet, of estimated accounts."""

from __future__ import annotations

from rating.estimates.account_state import AccountEstimate
from rating.invoices.amounts.prepaid.live_balances import DrawnInAll
from rating.invoices.amounts.prepaid_credits import drawn
from rating.pricing import PriceError
from rating.subscriptions.timeline import PlanningError


def drawn_in_all(estimate: AccountEstimate) -> tuple[DrawnInAll, list[str]]:
    """(what is drawn by now, with what has ended, with what is running; what cannot be rated, in sentences)."""
    failed = {**estimate.problems, **estimate.unbilled}
    problems = [f"subscription {name}: {why}" for name, why in failed.items()]
    ended = drawn(estimate.inputs.standing.invoices(estimate.inputs.view.namespace))
    wallet = estimate.inputs.wallet()
    for period in estimate.periods:
        try:
            period.invoice(period.totals, estimate.run, wallet)
        except (PlanningError, PriceError, ValueError) as error:  # it leaves out its own subscription alone
            problems.append(f"subscription {period.running.line.subscription}: {error}")
    return DrawnInAll(estimate.drawn, ended, wallet.used), problems
