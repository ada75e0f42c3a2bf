"""Totals for many invoices at once: one query a (profile, interval) that many accounts share, and one for many
intervals of few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rating.invoices.waiting import Progress
from rating.invoicing.charges import Need, Totals
from rating.usage import Measured, UsageGroup, UsageQuery, of_account_intervals, usage_totals
from schemas.ledgers.checkpoints import Cut

# Parameters travel in the request's URL, whose length servers limit.
MAX_NAMED_BYTES: Final = 8000
FEW: Final = 20
"""So many accounts or fewer are asked for with others: their records are fewer than what a query by itself costs."""
_INSTANT_BYTES: Final = 60  # two instants, and what URL-encoding makes of separators


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


@dataclass(frozen=True, slots=True)
class Asked:
    """One query, and whose answers are in it: one need's, or those of several by (account, start)."""

    query: UsageQuery
    need: Need | None
    each: Mapping[tuple[str, int], Need] = field(default_factory=dict)


def asked(namespace: str, needs: Mapping[Need, Iterable[str]], as_of: Cut | None) -> Iterator[Asked]:
    """The queries that answer all of ``needs``: one a need that many accounts share; the others, such as first periods,
    which start when somebody signs up, many at once. Pure."""
    alike: dict[tuple[Measured, tuple[str, ...]], list[Need]] = {}
    for need, accounts in needs.items():
        if need.profile.carry_over or len(set(accounts)) > FEW:
            yield Asked(query_for(namespace, need, accounts, as_of), need)
        else:
            alike.setdefault((need.profile, need.dimensions), []).append(need)
    for (profile, dimensions), needs_alike in alike.items():
        for lot in _lots((need, account) for need in needs_alike for account in sorted(set(needs[need]))):
            if len(lot_needs := set(lot.values())) == 1:
                (need,) = lot_needs
                yield Asked(query_for(namespace, need, [account for account, _ in lot], as_of), need)
                continue
            intervals = [(account, start, need.end_us) for (account, start), need in lot.items()]
            yield Asked(of_account_intervals(namespace, profile, intervals, dimensions, as_of), None, lot)


def _lots(pairs: Iterable[tuple[Need, str]]) -> Iterator[dict[tuple[str, int], Need]]:
    """As many at a time as parameters may name; no two of an account that start at once."""
    lot: dict[tuple[str, int], Need] = {}
    size = 0
    for need, account in pairs:
        length = 2 * len(account.encode()) + _INSTANT_BYTES
        if lot and (size + length > MAX_NAMED_BYTES or (account, need.start_us) in lot):
            yield lot
            lot, size = {}, 0
        lot[account, need.start_us] = need
        size += length
    if lot:
        yield lot


def measure(
    client: Any,
    namespace: str,
    needs: Mapping[Need, Iterable[str]],
    as_of: Cut | None,
    on_progress: Progress,
) -> Totals:
    """Every need's totals by account; ``needs`` says for which. ``as_of``: a cut that is rolled up, None: live.
    Blocking."""
    totals: dict[Need, dict[str, list[UsageGroup]]] = {need: {} for need in needs}
    queries = list(asked(namespace, needs, as_of))
    for number, query in enumerate(queries, 1):
        for row in usage_totals(client, query.query):
            account = row.account_id or ""
            need = query.need or query.each[account, row.bucket_us or 0]
            totals[need].setdefault(account, []).append(
                replace(row, bucket_us=None) if row.bucket_us is not None else row
            )
        on_progress("rating", number, len(queries))
    return totals
