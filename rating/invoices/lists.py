"""Lists invoices and drafts in pages, each read from ``invoice_lists`` in the list's own order: a page costs a page,
however many invoices there are.

A list by state looks at keys and states alone until its page is full; open drafts are looked for among all drafts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from rating.invoices.read import HEAD_COLUMNS, heads_of
from rating.invoices.stored_invoice import StoredInvoiceHead
from schemas.errors import WeirError
from schemas.ledgers.invoice_claims import DRAFT
from schemas.values.json_text import JsonObject

MAX_LIMIT: Final = 500
_FIRST_LOT: Final = 1_000
_GROWTH: Final = 8
"""Of the lots in which a list by state is looked through."""


class BadCursor(WeirError, ValueError):
    """An invalid cursor; use ``next_cursor`` of the previous page."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of invoices, newest period first; ``next_cursor``: None on the last page."""

    invoices: tuple[StoredInvoiceHead, ...]
    next_cursor: str | None


_Place = tuple[int, str]
"""(period start, place in its chain): where an invoice stands in every list."""
_SEQUENCE_DIGITS: Final = 10
"""Of the sequence number in ``place``, as migration 072 writes it: subscription, a space, the number."""
_LISTS: Final = (("run_id", "run"), ("subscription", "subscription"), ("account_id", "account"))
"""(filter, its list), the narrowest first."""
_ROWS: Final = """FROM invoice_lists
WHERE namespace = {namespace:String} AND draft = {draft:Bool} AND list = {list:String} AND of = {of:String}"""
# All of the sorting key, so that ClickHouse reads in its order and stops.
_ORDER: Final = """ORDER BY namespace DESC, draft DESC, list DESC, of DESC, period_start DESC, place DESC,
    invoice_id DESC, version DESC LIMIT 1 BY period_start, place, invoice_id LIMIT {limit:UInt32}"""
_AFTER: Final = """ AND (period_start < fromUnixTimestamp64Micro({after_us:Int64}, 'UTC')
    OR (period_start = fromUnixTimestamp64Micro({after_us:Int64}, 'UTC') AND place < {after_place:String}))"""
_LOT: Final = "SELECT toUnixTimestamp64Micro(period_start) AS start_us, place, invoice_id, version, state "
_LOOK: Final = """SELECT count(), min((start_us, place)), min(start_us), max(start_us),
    arrayReverseSort(groupArrayIf((start_us, place), state = {{state:String}})) FROM {}"""
_UNBILLED: Final = """SELECT start_us, place FROM {}
WHERE state = {{state:String}} AND invoice_id NOT IN (SELECT invoice_id FROM invoice_lists
    WHERE namespace = {{namespace:String}} AND draft = false AND list = 'all' AND of = ''
    AND period_start >= fromUnixTimestamp64Micro({{low_us:Int64}}, 'UTC')
    AND period_start <= fromUnixTimestamp64Micro({{high_us:Int64}}, 'UTC'))
ORDER BY start_us DESC, place DESC"""
_STANDING: Final = f"""SELECT {HEAD_COLUMNS} FROM invoice_lists
WHERE namespace = {{namespace:String}} AND draft = {{draft:Bool}} AND list = 'all' AND of = ''
AND (period_start, place) IN (SELECT fromUnixTimestamp64Micro(place.1, 'UTC'), place.2
    FROM (SELECT arrayJoin({{places:Array(Tuple(Int64, String))}}) AS place))
ORDER BY period_start DESC, place DESC, invoice_id DESC, version DESC LIMIT 1 BY period_start, place, invoice_id"""


def in_list_order(heads: Iterable[StoredInvoiceHead]) -> list[StoredInvoiceHead]:
    """The invoices in the order of every list."""
    return sorted(heads, key=lambda head: (head.period_start_us, head.subscription, head.sequence), reverse=True)


def cursor_behind(head: StoredInvoiceHead) -> str:
    """The cursor of what stands behind the invoice in any list."""
    # The subscription stands last, whose code may hold what stands between the parts.
    return f"{head.period_start_us}_{head.sequence}_{head.subscription}"


def cursor_before(start_us: int) -> str:
    """The cursor of what has periods that begin before ``start_us``, microseconds UTC."""
    return f"{start_us}_0_!"  # sorts before any code of a subscription


def list_invoices(
    client: Client,
    namespace: str,
    *,
    account_id: str | None = None,
    subscription: str | None = None,
    state: str | None = None,
    run_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """A page of invoices, latest period first; those of one period by subscription, and of one subscription as its
    chain goes on, all backwards: an interim invoice stands below the period's own, a void one below what was issued
    anew. Drafts only if ``state`` asks for them. Raises BadCursor. Blocking."""
    limit = min(max(limit, 1), MAX_LIMIT)
    only = {"account_id": account_id, "subscription": subscription, "run_id": run_id}
    filters = {name: value for name, value in only.items() if value is not None}
    of_list = next(((name, filters[column]) for column, name in _LISTS if column in filters), ("all", ""))
    parameters: JsonObject = {
        "namespace": namespace, "draft": state == DRAFT, "list": of_list[0], "of": of_list[1], "state": state,
        **filters,
    }  # fmt: skip
    rows = _ROWS + "".join(f" AND {column} = {{{column}:String}}" for column in filters)
    after = None if cursor is None else _parse_cursor(cursor)
    if state is None:
        condition, bound = _after(parameters, after)
        sql = f"SELECT {HEAD_COLUMNS} {rows}{condition} {_ORDER}"
        listed = client.query(sql, parameters=bound | {"limit": limit + 1}).result_rows
        heads = heads_of(client, namespace, listed)
    else:
        heads = []
        for places in _places(client, rows, parameters, after, limit + 1):
            # Of a draft the newest version decides what it is of, which is perhaps in another list.
            heads += [
                head
                for head in _standing(client, parameters, places)
                if head.state == state and all(getattr(head, column) == value for column, value in filters.items())
            ]
            if len(heads) > limit:
                break
    page = heads[:limit]
    following = cursor_behind(page[-1]) if len(heads) > limit else None
    return Page(tuple(page), following)


def _after(parameters: JsonObject, position: _Place | None) -> tuple[str, JsonObject]:
    """(condition, parameters) of what stands behind a place in a list."""
    if position is None:
        return "", parameters
    return _AFTER, parameters | {"after_us": position[0], "after_place": position[1]}


def _places(
    client: Client, rows: str, parameters: JsonObject, after: _Place | None, at_once: int
) -> Iterator[list[_Place]]:
    """Where invoices in the state of ``parameters`` stand behind ``after``, in order, ``at_once`` of them at most;
    drafts that have become invoices are left out."""
    lot = _FIRST_LOT
    while True:
        condition, bound = _after(parameters, after)
        bound = bound | {"limit": lot}
        newest = f"({_LOT}{rows}{condition} {_ORDER})"
        ((count, last, low, high, listed),) = client.query(_LOOK.format(newest), parameters=bound).result_rows
        if parameters["draft"] and listed:
            span = {"low_us": int(low), "high_us": int(high)}
            listed = client.query(_UNBILLED.format(newest), parameters=bound | span).result_rows
        for first in range(0, len(listed), at_once):
            yield [(int(start), str(name)) for start, name in listed[first : first + at_once]]
        if int(count) < lot:
            return
        after, lot = (int(last[0]), str(last[1])), lot * _GROWTH


def _standing(client: Client, parameters: JsonObject, places: list[_Place]) -> list[StoredInvoiceHead]:
    """The newest versions of the invoices or drafts at these places, in order."""
    rows: list[Any] = list(client.query(_STANDING, parameters=parameters | {"places": places}).result_rows)
    return heads_of(client, str(parameters["namespace"]), rows)


def _parse_cursor(cursor: str) -> _Place:
    start, _, remainder = cursor.partition("_")
    sequence, _, subscription = remainder.partition("_")
    numeric = (start + sequence).isascii() and start.removeprefix("-").isdigit() and sequence.isdigit()
    if not subscription or not numeric or len(start) > 18 or len(sequence) > _SEQUENCE_DIGITS:
        raise BadCursor(f"{cursor[:40]!r} is no cursor of this list; take next_cursor of the page before")
    return int(start), f"{subscription} {sequence:0>{_SEQUENCE_DIGITS}}"
