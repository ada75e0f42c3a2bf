"""Measures totals for many invoices at once: one query per (profile, interval) shared by many accounts, and
combined queries for intervals of few accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Protocol

from rating.invoices.waiting import Progress
from rating.invoicing.bounded_groups import bounded
from rating.invoicing.charges import Need, Totals
from rating.usage import (
    AccountInterval,
    Measured,
    UsageGroup,
    UsageQuery,
    of_account_intervals,
    stream_groups,
    usage_totals,
)
from schemas.clickhouse.errors import code_of
from schemas.ledgers.checkpoints import Checkpoints, Cut, rolled_up
from schemas.settings import LISTED_VALUES
from schemas.values.record_copy import replace

# Parameters travel in the request's URL, whose length servers limit.
MAX_NAMED_BYTES: Final = 8000
FEW: Final = 20
"""Needs of at most this many accounts are combined with others, since a separate query would cost more than reading
their records."""
MAX_PROFILES: Final = 50
"""Profiles of one query, whose ids travel in the request's URL."""
_INSTANT_BYTES: Final = 60  # two instants with URL-encoded separators
_FEW_ROWS: Final = 200_000
_ROWS_OF_NOTHING: Final = 300_000
"""What ClickHouse reads of an account and profile with next to no records: a granule of each part of a month."""
_TOO_LARGE: Final = {158, 241}
"""ClickHouse's errors TOO_MANY_ROWS and MEMORY_LIMIT_EXCEEDED."""


class MeasuredInvoice(Protocol):
    """An invoice to create, as far as it says what is measured for it."""

    @property
    def account_id(self) -> str:
        """Whose usage it bills."""

    @property
    def needs(self) -> Iterable[Need | None]:
        """The totals that its lines are made of; None for a line of none."""


def needs_of(billings: Iterable[MeasuredInvoice]) -> dict[Need, set[str]]:
    """Every total that the invoices need → the accounts for which they need it."""
    needs: dict[Need, set[str]] = {}
    for billing in billings:
        for need in billing.needs:
            if need is not None:
                needs.setdefault(need, set()).add(billing.account_id)
    return needs


def query_for(
    namespace: str, need: Need, accounts: Iterable[str], as_of: Cut | None, windows: bool = True
) -> UsageQuery:
    """The query for ``need`` and ``accounts``: from records for one account or live, else from windows if ``windows``.

    If the names of the accounts exceed MAX_NAMED_BYTES, the whole namespace is read.
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
        plan="windows" if windows and len(named) > 1 and as_of is not None else "records",
    )


@dataclass(frozen=True, slots=True)
class SharedQuery:
    """A query with the needs it answers: one need; or several by profile; or several by (profile, account, start),
    where the profile is "" in a query of a single one."""

    query: UsageQuery
    need: Need | None = None
    each: Mapping[tuple[str, str, int], Need] = field(default_factory=dict)
    by_profile: Mapping[str, Need] = field(default_factory=dict)


Lot = dict[tuple[str, int], Need]
"""Needs of one profile by account and start, that one query answers."""


def shared_queries(
    namespace: str, needs: Mapping[Need, Iterable[str]], as_of: Cut | None, windows: bool = True
) -> Iterator[SharedQuery]:
    """The queries that answer all ``needs``: one per need shared by many accounts, and combined ones for the
    others, such as first periods that start at sign-up. Live, profiles that are measured for the same few accounts
    over the same intervals share one, whatever their aggregations. Pure."""
    alike: dict[tuple[Measured, tuple[str, ...]], list[Need]] = {}
    for need, accounts in needs.items():
        if need.profile.carry_over or len(set(accounts)) > FEW:
            yield SharedQuery(query_for(namespace, need, accounts, as_of, windows), need)
        else:
            alike.setdefault((need.profile, need.dimensions), []).append(need)
    shareable: dict[frozenset[AccountInterval], list[dict[str, Lot]]] = {}
    for (profile, dimensions), needs_alike in alike.items():
        for lot in _lots((need, account) for need in needs_alike for account in sorted(set(needs[need]))):
            if as_of is not None or dimensions or profile.backfilled or profile.keyed:
                yield _query_of(namespace, {profile.profile_id: lot}, as_of, windows)
                continue
            groups = shareable.setdefault(frozenset(_intervals(lot)), [])
            # Of a profile that aggregates differently in one of its periods, each aggregation has a query.
            if not groups or profile.profile_id in groups[-1] or len(groups[-1]) == MAX_PROFILES:
                groups.append({})
            groups[-1][profile.profile_id] = lot
    for groups in shareable.values():
        for by_profile in groups:
            yield _query_of(namespace, by_profile, as_of, windows)


def _intervals(lot: Lot) -> Iterator[AccountInterval]:
    return ((account, start, need.end_us) for (account, start), need in lot.items())


def _query_of(namespace: str, by_profile: Mapping[str, Lot], as_of: Cut | None, windows: bool) -> SharedQuery:
    """The query that answers a lot of each profile, all over the same intervals of accounts."""
    first = next(iter(by_profile.values()))
    firsts = {profile: next(iter(lot.values())) for profile, lot in by_profile.items()}
    need, *others = firsts.values()
    together = tuple(other.profile for other in others)
    if len(set(first.values())) == 1:
        query = query_for(namespace, need, [account for account, _ in first], as_of, windows)
        if not together:
            return SharedQuery(query, need)
        return SharedQuery(replace(query, together=together), by_profile=firsts)
    query = of_account_intervals(namespace, need.profile, _intervals(first), need.dimensions, as_of)
    each = {
        (profile if together else "", *key): need for profile, lot in by_profile.items() for key, need in lot.items()
    }
    return SharedQuery(replace(query, together=together), each=each)


def _lots(pairs: Iterable[tuple[Need, str]]) -> Iterator[Lot]:
    """Groups limited by the size of query parameters; no two needs of an account in a group start at the same
    instant."""
    lot: Lot = {}
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
    needs: Mapping[Need, Collection[str]],
    as_of: Cut | None,
    on_progress: Progress,
    listed: int = LISTED_VALUES,
    windows: bool = True,
    checkpoints: Checkpoints | None = None,
) -> Totals:
    """Totals of every need by account; ``needs``: need → accounts. ``as_of``: a rolled-up cut, None: live; any other
    cut without ``windows``. ``listed``: limit on combinations of dimension values of an account that the need does not
    name; all others are one group. ``checkpoints``: live, what would read many records is read from windows, and from
    the records beyond these. Blocking."""
    totals: dict[Need, dict[str, list[UsageGroup]]] = {need: {} for need in needs}

    def take(query: SharedQuery) -> None:
        for account, need, rows in _by_need(client, query):
            if account in needs[need]:  # anybody's, where the query is of the whole namespace
                totals[need][account] = bounded(rows, need.named, listed) if need.dimensions else list(rows)

    queries = list(shared_queries(namespace, needs, as_of, windows))
    for number, query in enumerate(queries, 1):
        if as_of is not None or checkpoints is None or query.query.accounts is None:
            take(query)
        else:
            try:
                take(_bounded_rows(query))
            except Exception as error:  # the client's own, which what is pure does not import
                if code_of(error) not in _TOO_LARGE:
                    raise
                for part in from_windows(query, needs, checkpoints.rolled_up(rolled_up(client))):
                    take(part)
        on_progress("rating", number, len(queries))
    return totals


def _bounded_rows(shared: SharedQuery) -> SharedQuery:
    query = shared.query
    least = _ROWS_OF_NOTHING * len(query.accounts or ()) * (1 + len(query.together))
    return replace(shared, query=replace(query, most_rows=_FEW_ROWS + least))


def from_windows(shared: SharedQuery, needs: Mapping[Need, Collection[str]], cut: Cut | None) -> Iterator[SharedQuery]:
    """The queries that answer, live, what a query from records answers, each need by itself: from the windows up to
    ``cut``, which is rolled up, and the records beyond. The query itself where there are none, or more needs than are
    cheaper to ask one after another. Pure."""
    answered = {shared.need} if shared.need is not None else {*shared.by_profile.values(), *shared.each.values()}
    if cut is None or len(answered) > MAX_PROFILES:
        yield shared
        return
    for need in answered:
        accounts = set(needs[need]).intersection(shared.query.accounts or needs[need])
        query = query_for(shared.query.namespace, need, accounts, None)
        yield SharedQuery(replace(query, plan="windows", rolled_up=cut), need)


def _by_need(client: Any, query: SharedQuery) -> Iterator[tuple[str, Need, Iterator[UsageGroup]]]:
    """(account, need, its groups) of a query, one after another."""
    groups = stream_groups(client, query.query) if query.query.dimensions else usage_totals(client, query.query)
    for (profile, account, start_us), rows in groupby(
        groups, key=lambda row: (row.profile_id, row.account_id or "", row.bucket_us or 0)
    ):
        need = query.need or query.by_profile.get(profile or "") or query.each[profile or "", account, start_us]
        plain = profile is None and not query.query.account_intervals
        yield account, need, (row if plain else replace(row, profile_id=None, bucket_us=None) for row in rows)
