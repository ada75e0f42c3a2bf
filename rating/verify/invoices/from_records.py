"""Invoices against records. Every usage line is totalled again straight from usage_records as of the invoice's
checkpoint, by SQL of its own, voided events left out, and priced again from the price pinned on the line."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from functools import lru_cache
from typing import Final

from msgspec import Struct

from rating.pricing import MatrixQuantity, PriceError, plain, rate
from rating.pricing.exact import exactly
from rating.verify.backfills.backfilled_records import Pin, Pins, counted_sql
from rating.verify.chains import COPY_REMEDY, Head, StoredLine, check_chains
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.independent.discounts_and_credits import Drawn, check_granted, check_lot, is_reduction
from rating.verify.independent.restricted_draws import check_pinned_products
from rating.verify.invoices.account_lots import AccountLot, account_lots
from rating.verify.invoices.earlier_billing import EarlierBilling
from rating.verify.invoices.locked_periods import check_unlocked
from rating.verify.scope import Scope, below
from schemas.catalog.meters import Aggregation
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.ledgers.invoice_claims import VOID
from schemas.prices import MatrixPrice, pinned_price
from schemas.values.json_text import canonical, exact

NAME: Final = "invoices from records"
_REMEDY: Final = "void the invoice and bill the period again; the records are the truth"

# A record counts for every period that contains it: accounts of other time zones have other periods.
_TOTALS: Final = """
SELECT tupleElement(period, 1), tupleElement(period, 2), account_id, {dims} AS dims, count(),
    toString(sum(toDecimal256(quantity, 12))),
    toString(max(quantity)), toString(min(quantity)), toString(argMax(quantity, (timestamp, unique_value, quantity))),
    uniqExactIf(unique_value, has({{unique:Array(UInt32)}}, profile_version))
FROM (
    SELECT * FROM (
        SELECT *, toUnixTimestamp64Micro(timestamp) AS us FROM usage_records FINAL
        WHERE namespace = {{ns:String}} AND profile_id = {{profile:String}} AND {cut}
            AND account_id >= {{first_account:String}} AND account_id <= {{last_account:String}}
            AND timestamp >= fromUnixTimestamp64Micro({{first:Int64}}, 'UTC')
                AND timestamp < fromUnixTimestamp64Micro({{last:Int64}}, 'UTC')
    ) AS records
    LEFT ANTI JOIN (
        SELECT generation, partition, offset, `index` FROM voided_events WHERE namespace = {{ns:String}} AND {voided}
    ) AS voids USING (generation, partition, offset, `index`)
)
ARRAY JOIN arrayFilter(p -> us >= tupleElement(p, 1) AND us < tupleElement(p, 2),
    {{periods:Array(Tuple(Int64, Int64))}}) AS period
GROUP BY period, account_id, dims"""
# A price's cell is for a text: "7" and 7 are one value, "" and none another.
_DIMENSION: Final = """multiIf({raw} = '', '""',
    trim(BOTH '"' FROM {raw}) IN ('true', 'false', 'null')
        OR (toString(toDecimal128OrZero(trim(BOTH '"' FROM {raw}), 6)) = trim(BOTH '"' FROM {raw})
            AND abs(toDecimal128OrZero(trim(BOTH '"' FROM {raw}), 6)) < if(position({raw}, '.') = 0, 1e15, 1e9)),
    trim(BOTH '"' FROM {raw}), {raw})"""
_ROWS_A_QUERY: Final = 20_000
_QUERIES_KEPT: Final = 8
# Parameters travel in the request's URL, whose length servers limit.
_PERIODS_A_QUERY: Final = 100
_EVER: Final = 0  # no event is earlier; what is carried over may be as old

Period = tuple[int, int]
_PLACES: Final[dict[Aggregation, int]] = {"count": 0, "sum": 1, "max": 2, "min": 3, "latest": 4, "count_unique": 5}


class _Need(Struct, frozen=True, cache_hash=True):
    """A profile as of a checkpoint, by dimensions, for all accounts; ``pins``: what was backfilled for it; ``unique``:
    its versions that have unique values: only those of count_unique."""

    namespace: str
    profile_id: str
    checkpoint: int
    dimensions: tuple[str, ...]
    pins: tuple[Pin, ...]
    unique: tuple[int, ...]


class _Total(Struct, frozen=True):
    """All aggregates of one account, period and combination of dimension values, as ClickHouse wrote them."""

    values: tuple[str, ...]
    numbers: tuple[int | str, ...]

    @property
    def events(self) -> int:
        """How many records were counted."""
        return int(self.numbers[0])

    def quantity(self, aggregation: Aggregation) -> Decimal:
        """The quantity under an aggregation."""
        return Decimal(self.numbers[_PLACES[aggregation]])


def check_against_records(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """The newest version of every invoice that is not void: lines, sum, and its place in the chain."""
    used: Drawn = {}
    done = 0
    for lot in account_lots(scope):
        on_progress(NAME, done, lot.of)
        _check_lot(scope, lot, findings)
        check_lot(lot.heads, lot.lines, used, findings)
        check_pinned_products(lot.heads, lot.lines, scope.catalog, findings)
        done += len(lot.heads)
    check_granted(used, scope.catalog, findings)
    on_progress(NAME, done, done)


def _check_lot(scope: Scope, lot: AccountLot, findings: Findings) -> None:
    heads, lines = lot.heads, lot.lines
    check_chains(heads, findings, scope.since_us)
    book, earlier_billing = _Book(scope, lot), EarlierBilling(heads, lines)
    work: list[tuple[Head, StoredLine]] = []
    for head in heads:
        if head.state == VOID:
            continue
        of_head = lines.get((head.namespace, head.invoice_id, head.version), [])
        if 1 <= head.checkpoint <= len(scope.checkpoints.cuts):
            work.extend((head, line) for line in of_head if not is_reduction(line))
        else:
            known = f"one of the {len(scope.checkpoints.cuts)} in usage.checkpoints"
            findings.add("invoice", f"{head.place}, checkpoint", known, head.checkpoint, COPY_REMEDY)
        with exactly():
            total = sum((line.amount for line in of_head), Decimal(0))
        if total != head.total:
            expected = f"{plain(total)}, the sum of its lines"
            findings.add("invoice", f"{head.place}, total", expected, plain(head.total), COPY_REMEDY)
    # Lines of one profile and period stand together, so that each query is asked once and its answer then forgotten.
    work.sort(key=lambda pair: (pair[1].profile_id, pair[0].checkpoint, pair[1].start_us))
    for head, line in work:
        check_unlocked(head, line, earlier_billing.adjusted_by(head, line), scope.catalog, findings)
        _check_line(head, line, book, earlier_billing, findings)


def _check_line(head: Head, line: StoredLine, book: _Book, earlier_billing: EarlierBilling, findings: Findings) -> None:
    def location() -> str:
        return f"{head.place}, line {line.number}"

    try:
        price = pinned_price(line.price, head.currency)
        if not line.profile_id:  # a flat fee, or the adjustment of one that was billed in advance
            amount, unrounded = _rated(line.price, head.currency, Decimal(1), None)
        else:
            dimensions = price.dimensions if isinstance(price, MatrixPrice) else ()
            version, unique = book.counted_by(head, line)
            pins = book.pins.of(head, line)
            need = _Need(head.namespace, line.profile_id, head.checkpoint, dimensions, pins, unique)
            if version is None:
                known = f"a profile in the catalog at offset {head.catalog_offset}"
                findings.add("invoice line", f"{location()}, profile", known, line.profile_id, COPY_REMEDY)
                return
            totals = within = book.totals(need, (line.start_us, line.end_us), head.account_id)
            if version.carry_over:
                totals = book.totals(need, (_EVER, line.end_us), head.account_id)
            quantities = [MatrixQuantity(total.values, total.quantity(version.aggregation)) for total in totals]
            with exactly():
                quantity = sum((part.quantity for part in quantities), Decimal(0))
            events = sum(total.events for total in within)
            if (line.quantity, line.events) != (quantity, events):
                findings.add(
                    "invoice line",
                    f"{location()}, {version.aggregation} of {line.profile_id}",
                    f"{plain(quantity)} from {events} records",
                    f"{'nothing' if line.quantity is None else plain(line.quantity)} from {line.events} records",
                    _REMEDY,
                )
            if dimensions:
                priced = rate(price, quantity, currency=head.currency, events=Decimal(events), quantities=quantities)
                amount, unrounded = priced.amount, priced.unrounded
            else:
                amount, unrounded = _rated(line.price, head.currency, quantity, events)
    except (PriceError, ValueError) as error:
        findings.add(
            "invoice line", f"{location()}, price", "a price that can be applied", f"{line.price}: {error}", COPY_REMEDY
        )
        return
    if line.kind == "adjustment":
        with exactly():
            amount = unrounded = amount - earlier_billing.amount_before(head, line)
    if (line.amount, line.unrounded) != (amount, plain(unrounded)):
        findings.add(
            "invoice line",
            f"{location()}, amount",
            f"{plain(amount)} ({plain(unrounded)})",
            f"{plain(line.amount)} ({line.unrounded})",
            _REMEDY,
        )


@lru_cache(maxsize=8192)  # fees, and usage of nothing, are the same on many invoices
def _rated(price: str, currency: str, quantity: Decimal, events: int | None) -> tuple[Decimal, Decimal]:
    """(amount, unrounded) of a quantity that is not told apart by dimensions. Raises PriceError, ValueError."""
    counted = None if events is None else Decimal(events)
    priced = rate(pinned_price(price, currency), quantity, currency=currency, events=counted)
    return priced.amount, priced.unrounded


class _Book:
    """Totals and aggregations. Lines are asked for in order of profile, checkpoint and period, so few answers are
    kept."""

    def __init__(self, scope: Scope, lot: AccountLot) -> None:
        heads, lines = lot.heads, lot.lines
        self._scope = scope
        self.pins = Pins(scope, heads)
        self._counted_by: dict[
            tuple[str, int, str, tuple[int, ...]], tuple[ProfileVersion | None, tuple[int, ...]]
        ] = {}
        self._versions: dict[tuple[str, int], dict[str, tuple[ProfileVersion, ...]]] = {}
        self._totals: dict[tuple[_Need, int], dict[tuple[Period, str], list[_Total]]] = {}
        periods_by_need: dict[tuple[str, str, int], set[Period]] = {}
        accounts: set[str] = set()
        for head in heads:
            accounts.add(head.account_id)
            for line in lines.get((head.namespace, head.invoice_id, head.version), ()):
                key = (head.namespace, line.profile_id, head.checkpoint)
                periods_by_need.setdefault(key, set()).add((line.start_us, line.end_us))
                if (version := self.counted_by(head, line)[0]) is not None and version.carry_over:
                    periods_by_need[key].add((_EVER, line.end_us))
        self._accounts = min(accounts, default=""), max(accounts, default="")
        self._periods = {key: sorted(periods) for key, periods in periods_by_need.items()}
        self._size = max(1, min(_PERIODS_A_QUERY, _ROWS_A_QUERY // max(1, len(accounts))))

    def counted_by(self, head: Head, line: StoredLine) -> tuple[ProfileVersion | None, tuple[int, ...]]:
        """(the last version pinned on the line, or the profile's last where none was valid in the period; the versions
        of its profile that aggregate by count_unique, ascending)."""
        key = (head.namespace, head.catalog_offset, line.profile_id, line.profile_versions)
        known = self._counted_by.get(key)
        if known is None:
            versions = self._versions_of(head, line.profile_id)
            pinned = [version for version in versions if version.version in line.profile_versions] or versions
            unique = tuple(version.version for version in versions if version.aggregation == "count_unique")
            known = self._counted_by[key] = pinned[-1] if pinned else None, unique
        return known

    def _versions_of(self, head: Head, profile_id: str) -> tuple[ProfileVersion, ...]:
        key = (head.namespace, head.catalog_offset)
        if key not in self._versions:
            by_profile: dict[str, tuple[ProfileVersion, ...]] = {}
            for version in profile_versions(self._scope.catalog.view(*key)):
                by_profile[version.profile_id] = (*by_profile.get(version.profile_id, ()), version)
            self._versions[key] = by_profile
        return self._versions[key].get(profile_id, ())

    def totals(self, need: _Need, period: Period, account_id: str) -> list[_Total]:
        """The account's totals, one a combination of dimension values, from records below the checkpoint's offsets."""
        periods = self._periods[need.namespace, need.profile_id, need.checkpoint]
        number = bisect_left(periods, period) // self._size
        query_totals = self._totals.get((need, number))
        if query_totals is None:
            while len(self._totals) >= _QUERIES_KEPT:
                self._totals.pop(next(iter(self._totals)))
            query_totals = self._totals[need, number] = self._read(need, periods[number * self._size :][: self._size])
        return query_totals.get((period, account_id), [])

    def _read(self, need: _Need, periods: list[Period]) -> dict[tuple[Period, str], list[_Total]]:
        names = {f"d{number}": name for number, name in enumerate(need.dimensions)}
        raw = ", ".join(_DIMENSION.format(raw=f"JSONExtractRaw(dimensions, {{{name}:String}})") for name in names)
        rows = self._scope.rows(
            _TOTALS.format(
                dims=f"[{raw}]" if raw else "emptyArrayString()",
                cut=counted_sql(below(self._scope.checkpoints.cut(need.checkpoint).offsets), need.pins),
                voided=below(self._scope.checkpoints.cut(need.checkpoint).offsets, "void_"),
            ),
            {
                "ns": need.namespace,
                "profile": need.profile_id,
                "periods": periods,
                "unique": list(need.unique),
                "first": periods[0][0],
                "last": max(end for _, end in periods),
                "first_account": self._accounts[0],
                "last_account": self._accounts[1],
                **names,
            },
        )
        totals: dict[tuple[Period, str], list[_Total]] = {}
        for start, end, account, values, *numbers in rows:
            total = _Total(tuple(map(_value, values)), tuple(numbers))
            totals.setdefault(((int(start), int(end)), str(account)), []).append(total)
        return totals


def _value(raw: str) -> str:
    """A dimension's value as prices name it; empty where the event had none."""
    if not raw:
        return ""
    value = exact(raw)
    return value if isinstance(value, str) else canonical(value)
