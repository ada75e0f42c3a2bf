"""Late records of usage, looked for as of all checkpoints of a namespace's invoices together: one question, however
many checkpoints there are.

A record lies beyond the cuts of the first so many checkpoints, which is its *reach*; a void of it may lie beyond those
of more. ClickHouse counts records by both and by how many of the checkpoints' ends they lie behind, so that what is
late for any one of the checkpoints is a sum of such cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import EVENT, position_below
from schemas.ledgers.checkpoints import Cut

_MOST_ENDS: Final = 4_000
"""Of partitions in one question, in whose URL they travel: 1,000 checkpoints where four partitions are written."""
_STEPS: Final = 8
"""Groups of checkpoints by whose first cut and last end records are looked up, before the reach of each is."""


@dataclass(frozen=True, slots=True)
class Late:
    """Records of one profile that arrived or were voided after the checkpoint of a subscription's last invoice,
    with event times in [first_us, last_us]."""

    profile_id: str
    first_us: int
    last_us: int
    events: int


@dataclass(frozen=True, slots=True)
class BilledAsOf:
    """Invoices whose usage was counted as of a cut, of periods that ended at or before ``until_us`` (microseconds
    UTC)."""

    cut: Cut
    until_us: int


@dataclass(frozen=True, slots=True)
class _Cell:
    """Records that are late for the checkpoints [low, high) of their lot, and lie behind ``ended`` of its ends."""

    late: Late
    low: int
    high: int
    ended: int


@dataclass(frozen=True, slots=True)
class _Lot:
    """``ordinals``: checkpoint → (its position in the lot, ends of the lot before its own); ``cells``: by account."""

    ordinals: Mapping[int, tuple[int, int]]
    cells: Mapping[str, Sequence[_Cell]]


@dataclass(frozen=True, slots=True)
class LateRecords:
    """What came, or was voided, beyond each of the checkpoints that were asked for."""

    lots: tuple[_Lot, ...]

    @property
    def accounts(self) -> frozenset[str]:
        """Those that have a record that is late for one of the checkpoints."""
        return frozenset(account for lot in self.lots for account in lot.cells)

    def of(self, checkpoint: int, account: str) -> list[Late]:
        """The account's records that are late for a checkpoint and lie before its end, by profile; none for a
        checkpoint that was not asked for."""
        totals: dict[str, Late] = {}
        for lot in self.lots:
            if checkpoint not in lot.ordinals:
                continue
            position, ended = lot.ordinals[checkpoint]
            for cell in lot.cells.get(account, ()):
                if cell.low <= position < cell.high and cell.ended <= ended:
                    totals[cell.late.profile_id] = _sum(totals.get(cell.late.profile_id), cell.late)
        return [totals[profile] for profile in sorted(totals)]


def late_records(
    client: Any, namespace: str, billed: Iterable[BilledAsOf], as_of: Cut | None, accounts: Sequence[str] | None
) -> LateRecords:
    """The records of before the ends of ``billed`` (a checkpoint each) that came, or were voided, beyond their cuts and
    up to ``as_of`` (None: live); of ``accounts`` (None: of all). Backfilled records are not late usage: billed periods
    stay as they were counted. Blocking."""
    return LateRecords(
        tuple(_asked(client, namespace, lot, as_of, accounts) for lot in _lots(sorted(billed, key=_number)))
    )


def _number(billed: BilledAsOf) -> int:
    return billed.cut.number


def _lots(billed: Sequence[BilledAsOf]) -> Iterator[Sequence[BilledAsOf]]:
    """In order, in groups that one question takes."""
    width = max((len(item.cut.offsets) for item in billed), default=0)
    size = max(_MOST_ENDS // max(width, 1), 1)
    return (billed[start : start + size] for start in range(0, len(billed), size))


def _sum(total: Late | None, late: Late) -> Late:
    if total is None:
        return late
    first_us, last_us = min(total.first_us, late.first_us), max(total.last_us, late.last_us)
    return Late(late.profile_id, first_us, last_us, total.events + late.events)


def _asked(
    client: Any, namespace: str, lot: Sequence[BilledAsOf], as_of: Cut | None, accounts: Sequence[str] | None
) -> _Lot:
    ends = sorted({item.until_us for item in lot})
    bind = Binder()
    sql = _question(bind, namespace, lot, ends, as_of, accounts)
    cells: dict[str, list[_Cell]] = {}
    for account, profile, low, high, ended, *late in client.query(sql, parameters=bind.parameters).result_rows:
        first_us, last_us, events = map(int, late)
        cells.setdefault(account, []).append(
            _Cell(Late(profile, first_us, last_us, events), int(low), int(high), int(ended))
        )
    ordinals = {item.cut.number: (position, ends.index(item.until_us)) for position, item in enumerate(lot)}
    return _Lot(ordinals, cells)


def _question(
    bind: Binder,
    namespace: str,
    lot: Sequence[BilledAsOf],
    ends: Sequence[int],
    as_of: Cut | None,
    accounts: Sequence[str] | None,
) -> str:
    of_namespace = f"namespace = {bind('namespace', 'String', namespace)}"
    scope = f"{of_namespace} AND timestamp < {bind.instant('until', ends[-1])}"
    if accounts is not None:
        scope += f" AND account_id IN {bind('accounts', 'Array(String)', list(accounts))}"
    # No table is sorted by position; the append time of the first batch beyond the first cut prunes older parts. If
    # there is none it is NULL, which matches no record.
    since = (
        f"append_time >= (SELECT minOrNull(append_time) FROM usage_batches WHERE {of_namespace}"
        f" AND NOT {position_below(lot[0].cut.offsets, bind, 'step_0')})"
    )
    voids = f"FROM voided_events WHERE {scope} AND {_beyond(lot, as_of, bind, 'void_')}"
    counts = f"(checkpoint = 0 AND {_up_to(as_of, bind, '')})"
    bind("cuts", "Array(Tuple(UInt32, UInt32, UInt64, UInt32))", _reaches(lot))
    bind("cut_count", "UInt32", len(lot))
    bind("ends", "Array(Int64)", list(ends))
    bind("ends_up_to", "Array(Int64)", _ends_up_to(lot))
    came = f"""(SELECT account_id, profile_id, timestamp, generation, partition, offset FROM usage_records FINAL
        WHERE {scope} AND {since} AND checkpoint = 0 AND {_beyond(lot, as_of, bind, "")})"""
    voided = f"""(SELECT account_id, profile_id, timestamp, generation, partition, offset, voids.reach AS high,
            {counts} AS counts
        FROM (SELECT * FROM usage_records FINAL WHERE {scope}
            AND account_id IN (SELECT account_id {voids}) AND {EVENT} IN (SELECT {EVENT} {voids})) AS records
        INNER JOIN (SELECT generation, partition, offset, `index`, max({_REACH}) AS reach
            FROM (SELECT * {voids}) AS records {_JOIN.format(prefix="void_")}
            GROUP BY generation, partition, offset, `index`) AS voids USING (generation, partition, offset, `index`))"""
    # The reach of what lies beyond no cut is 0, the end of which is 0, so that no record lies before it.
    return f"""
WITH cuts AS (SELECT 1 AS known, entry.1 AS cut_generation, entry.2 AS cut_partition, entry.3 AS cut_end,
        entry.4 AS reach
    FROM (SELECT arrayJoin({{cuts:Array(Tuple(UInt32, UInt32, UInt64, UInt32))}}) AS entry))
SELECT account_id, profile_id, low, high, arrayCount(end_us -> end_us <= at_us, {{ends:Array(Int64)}}) AS ended,
    min(at_us), max(at_us), count()
FROM (
    SELECT account_id, profile_id, toUnixTimestamp64Micro(timestamp) AS at_us, toUInt32(0) AS low,
        toUInt32({_REACH}) AS high
    FROM {came} AS records {_JOIN.format(prefix="")}
    UNION ALL
    SELECT account_id, profile_id, toUnixTimestamp64Micro(timestamp) AS at_us, toUInt32(if(counts, {_REACH}, 0)) AS low,
        toUInt32(records.high) AS high
    FROM {voided} AS records {_JOIN.format(prefix="")}
)
WHERE low < high AND at_us < {{ends_up_to:Array(Int64)}}[high + 1]
GROUP BY account_id, profile_id, low, high, ended ORDER BY account_id, profile_id, low, high, ended"""


# A partition that no cut has was written since, so what is in it lies beyond all of them.
_REACH: Final = "if(cuts.known = 1, cuts.reach, {cut_count:UInt32})"
_JOIN: Final = """ASOF LEFT JOIN cuts ON records.{prefix}generation = cuts.cut_generation
        AND records.{prefix}partition = cuts.cut_partition AND records.{prefix}offset >= cuts.cut_end"""


def _beyond(lot: Sequence[BilledAsOf], as_of: Cut | None, bind: Binder, prefix: str) -> str:
    """A condition that holds of all that is late for one of the checkpoints, and of little else."""
    size = -(-len(lot) // _STEPS)
    groups = [lot[start : start + size] for start in range(0, len(lot), size)]
    until, steps = 0, []
    for number, group in enumerate(groups):
        until = max(until, *(item.until_us for item in group))
        steps.append(
            f"NOT {position_below(group[0].cut.offsets, bind, f'step_{number}', prefix)}"
            f" AND timestamp < {bind.instant(f'step_{number}_until', until)}"
        )
    return f"({' OR '.join(f'({step})' for step in steps)}) AND {_up_to(as_of, bind, prefix)}"


def _up_to(as_of: Cut | None, bind: Binder, prefix: str) -> str:
    return "true" if as_of is None else position_below(as_of.offsets, bind, "as_of", prefix)


def _reaches(lot: Sequence[BilledAsOf]) -> list[tuple[int, int, int, int]]:
    """(generation, partition, offset, number of cuts that lie at or below it there) wherever that number changes. Cuts
    in order of their numbers never go back, and one that lacks a partition ends there at 0."""
    reaches: dict[tuple[int, int, int], int] = {}
    for partition in sorted({key for item in lot for key in item.cut.offsets}):
        reaches[(*partition, 0)] = 0
        for number, item in enumerate(lot, 1):
            reaches[(*partition, item.cut.offsets.get(partition, 0))] = number
    return [(*position, number) for position, number in reaches.items()]


def _ends_up_to(lot: Sequence[BilledAsOf]) -> list[int]:
    """By number of cuts, from 0: the greatest end of the checkpoints of the first so many cuts."""
    ends = [0]
    for item in lot:
        ends.append(max(ends[-1], item.until_us))
    return ends
