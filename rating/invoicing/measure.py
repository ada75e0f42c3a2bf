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
from rating.usage import Measured, UsageGroup, UsageQuery, of_account_intervals, stream_groups, usage_totals
from schemas.ledgers.checkpoints import Cut
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
    """A query with the needs it answers: one need, or several by (account, start), or several by profile."""

    query: UsageQuery
    need: Need | None
    each: Mapping[tuple[str, int], Need] = field(default_factory=dict)
    by_profile: Mapping[str, Need] = field(default_factory=dict)


def shared_queries(
    namespace: str, needs: Mapping[Need, Iterable[str]], as_of: Cut | None, windows: bool = True
) -> Iterator[SharedQuery]:
    """The queries that answer all ``needs``: one per need shared by many accounts, and combined ones for the
    others, such as first periods that start at sign-up. Live, profiles that are measured alike for the same few
    accounts share one. Pure."""
    alike: dict[tuple[Measured, tuple[str, ...]], list[Need]] = {}
    shared = list(_of_profiles(namespace, needs)) if as_of is None else []
    if len(shared) >= len({need.profile for query in shared for need in query.by_profile.values()}):
        shared = []  # several periods of few profiles: one query for each profile answers all of its periods
    yield from shared
    together = {need for query in shared for need in query.by_profile.values()}
    for need, accounts in needs.items():
        if need in together:
            continue
        if need.profile.carry_over or len(set(accounts)) > FEW:
            yield SharedQuery(query_for(namespace, need, accounts, as_of, windows), need)
        else:
            alike.setdefault((need.profile, need.dimensions), []).append(need)
    for (profile, dimensions), needs_alike in alike.items():
        for lot in _lots((need, account) for need in needs_alike for account in sorted(set(needs[need]))):
            if len(set(lot.values())) == 1:
                need = next(iter(lot.values()))
                named = [account for account, _ in lot]
                yield SharedQuery(query_for(namespace, need, named, as_of, windows), need)
                continue
            intervals = [(account, start, need.end_us) for (account, start), need in lot.items()]
            yield SharedQuery(of_account_intervals(namespace, profile, intervals, dimensions, as_of), None, lot)


def _of_profiles(namespace: str, needs: Mapping[Need, Iterable[str]]) -> Iterator[SharedQuery]:
    """A live query for each lot of profiles that are measured alike, over one period, for the same few accounts; two
    needs of a profile are never in one lot."""
    alike: dict[Any, dict[str, Need]] = {}
    for need, accounts in needs.items():
        profile, named = need.profile, frozenset(accounts)
        of_its_own = need.dimensions or profile.carry_over or profile.backfilled or profile.keyed
        if not of_its_own and len(named) <= FEW:
            key = (profile.aggregation, need.start_us, need.end_us, named)
            alike.setdefault(key, {}).setdefault(profile.profile_id, need)
    for (*_, named), by_profile in alike.items():
        ids = list(by_profile)
        for start in range(0, len(ids), MAX_PROFILES):
            lot = ids[start : start + MAX_PROFILES]
            if len(lot) > 1:
                query = query_for(namespace, by_profile[lot[0]], named, None)
                yield SharedQuery(
                    replace(query, alike=tuple(lot[1:])), None, by_profile={name: by_profile[name] for name in lot}
                )


def _lots(pairs: Iterable[tuple[Need, str]]) -> Iterator[dict[tuple[str, int], Need]]:
    """Groups limited by the size of query parameters; no two needs of an account in a group start at the same
    instant."""
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
    needs: Mapping[Need, Collection[str]],
    as_of: Cut | None,
    on_progress: Progress,
    listed: int = LISTED_VALUES,
    windows: bool = True,
) -> Totals:
    """Totals of every need by account; ``needs``: need → accounts. ``as_of``: a rolled-up cut, None: live; any other
    cut without ``windows``. ``listed``: limit on combinations of dimension values of an account that the need does not
    name; all others are one group. Blocking."""
    totals: dict[Need, dict[str, list[UsageGroup]]] = {need: {} for need in needs}
    queries = list(shared_queries(namespace, needs, as_of, windows))
    for number, query in enumerate(queries, 1):
        for account, need, rows in _by_need(client, query):
            if account in needs[need]:  # anybody's, where the query is of the whole namespace
                totals[need][account] = bounded(rows, need.named, listed) if need.dimensions else list(rows)
        on_progress("rating", number, len(queries))
    return totals


def _by_need(client: Any, query: SharedQuery) -> Iterator[tuple[str, Need, Iterator[UsageGroup]]]:
    """(account, need, its groups) of a query, one after another."""
    groups = stream_groups(client, query.query) if query.query.dimensions else usage_totals(client, query.query)
    for (profile, account, start_us), rows in groupby(
        groups, key=lambda row: (row.profile_id, row.account_id or "", row.bucket_us or 0)
    ):
        if profile is not None:
            yield account, query.by_profile[profile], (replace(row, profile_id=None) for row in rows)
            continue
        need = query.need or query.each[account, start_us]
        yield account, need, (replace(row, bucket_us=None) if row.bucket_us is not None else row for row in rows)
