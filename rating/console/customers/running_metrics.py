"""What an account's subscriptions bill now, by the catalog alone: where its page opens. Pure."""

from __future__ import annotations

from itertools import dropwhile

from rating.subscriptions.billing_periods import Span, near, spans
from rating.subscriptions.timeline import PlanningError, timeline
from schemas.catalog.state import NamespaceView


def running_metrics(view: NamespaceView, account_id: str, now_us: int) -> tuple[list[str], tuple[int, int] | None]:
    """The metrics that are billed at an instant, and the running period, microseconds UTC, of the first subscription
    that bills any, else of the first; None where none runs, or the catalog has it wrong."""
    metrics: dict[str, None] = {}
    metered: list[Span] = []
    others: list[Span] = []
    for entry in view.referring("subscription", "account", account_id):
        span = _running(view, entry.code, now_us)
        if span is None:
            continue
        products = [view.get("product", charge.product) for charge in span.plan.charges]
        billed = [product.model.profile for product in products if product is not None and product.model.profile]
        metrics |= dict.fromkeys(billed)
        (metered if billed else others).append(span)
    first = next(iter((*metered, *others)), None)
    return list(metrics), None if first is None else (first.start_us, first.end_us)


def _running(view: NamespaceView, subscription: str, now_us: int) -> Span | None:
    try:
        line = timeline(view, subscription)
        if line is None or not line.start_us <= now_us < line.end_us:
            return None
        return next(dropwhile(lambda span: span.end_us <= now_us, spans(line, near(line, None, now_us))), None)
    except PlanningError:
        return None
