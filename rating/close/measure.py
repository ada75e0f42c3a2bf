"""Totals for many invoices at once: one query a (profile, interval), for all accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rating.close.lines import Need, Totals
from rating.close.progress import Progress
from rating.usage import UsageQuery, UsageRow, usage_totals
from schemas.checkpoints import Cut

# Parameters travel in the request's URL, whose length servers limit.
MAX_NAMED_BYTES: Final = 8000


def query_for(namespace: str, need: Need, accounts: Iterable[str], as_of: Cut | None) -> UsageQuery:
    """The query that answers ``need`` for ``accounts``: records for one account or live, else windows.

    Where the names of the accounts are longer than MAX_NAMED_BYTES the whole namespace is read.
    """
    named = tuple(sorted(set(accounts)))
    short = sum(len(name.encode()) + 4 for name in named) <= MAX_NAMED_BYTES
    return UsageQuery(
        namespace,
        need.profile,
        need.start_us,
        need.end_us,
        accounts=named if short else None,
        by_account=True,
        dimensions=need.dimensions,
        as_of=as_of,
        rolled_up=as_of,
        plan="windows" if len(named) > 1 and as_of is not None else "records",
    )


def measure(
    client: Any,
    namespace: str,
    needs: Mapping[Need, Iterable[str]],
    as_of: Cut | None,
    on_progress: Progress,
) -> Totals:
    """Every need's totals by account; ``needs`` says for which. ``as_of``: a cut that is rolled up, None: live. Blocking."""
    totals: dict[Need, dict[str, list[UsageRow]]] = {}
    for number, (need, accounts) in enumerate(needs.items(), 1):
        by_account: dict[str, list[UsageRow]] = {}
        for row in usage_totals(client, query_for(namespace, need, accounts, as_of)):
            by_account.setdefault(row.account_id or "", []).append(row)
        totals[need] = by_account
        on_progress("rating", number, len(needs))
    return totals
