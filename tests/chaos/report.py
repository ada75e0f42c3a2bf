"""What a run found, as a table for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos.audit import Verdict


@dataclass(slots=True)
class Struck:
    """One fault that was injected: its row in the table, its target, and the seconds from its end to recovery."""

    label: str
    target: str
    recovery_s: float | None = None


@dataclass(slots=True)
class Report:
    """Everything a run found. ``problems`` are sentences; none of them, and a clean verdict: the run has passed."""

    seed: int
    seconds: float = 0.0
    faults: list[Struck] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    producers: dict[str, int] = field(default_factory=dict)
    peak_mib: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    proxy_hits: int = 0
    checkpoints: int = 0
    acknowledgements: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing double, no difference, and every fault recovered from."""
        return self.verdict.clean and not self.problems and all(one.recovery_s is not None for one in self.faults)

    def to_json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        recovered = [one.recovery_s for one in self.faults if one.recovery_s is not None]
        summary = {
            "passed": self.passed,
            "faults": len(self.faults),
            "recovery_p50_s": quantile(recovered, 0.5),
            "recovery_max_s": max(recovered, default=None),
        }
        return (
            summary
            | {"kinds": [dict(zip(_COLUMNS, row, strict=True)) for row in _rows(self.faults)]}
            | asdict(self)
            | {"faults": len(self.faults), "struck": [asdict(one) for one in self.faults]}
        )

    def text(self) -> str:
        """The table and the verdict."""
        rows = _rows(self.faults)
        recovered = [one.recovery_s for one in self.faults if one.recovery_s is not None]
        rows.append(("all", len(self.faults), quantile(recovered, 0.5), max(recovered, default=None)))
        found = self.verdict
        lines = [_line(_COLUMNS), *(_line(row) for row in rows), ""]
        lines += [
            f"events acknowledged {found.events:,}   lost {found.lost}   double {found.double}   "
            f"from nowhere {found.foreign}",
            f"copies in the log {found.copies:,}: {found.duplicates:,} duplicates, {found.conflicts:,} conflicts; "
            f"{found.voided:,} events voided",
            f"totals compared {found.totals:,}: {len(found.differences)} differ   books: {len(found.imbalances)} "
            f"imbalances   weir verify: {len(found.verify)} differences",
            f"alerts fired {found.alerts.fired:,} ({found.alerts.anew:,} anew), recovered {found.alerts.recovered:,}:"
            f" {len(found.alerts.wrong)} not as the fold of what was acknowledged",
            f"peak memory (MiB): {_pairs(self.peak_mib)}",
            "restarts by themselves: "
            f"{_pairs({name: count for name, count in self.restarts.items() if count}) or 'none'}",
            f"acknowledged offsets compared with durable ones {self.acknowledgements} times: never ahead"
            if not any("durable up to" in problem for problem in self.problems)
            else "acknowledged offsets were ahead of durable ones",
            f"requests: {_pairs(self.producers)}",
            f"checkpoints cut {self.checkpoints}; connections and inserts struck on the way {self.proxy_hits}; "
            f"seed {self.seed}; {self.seconds:.0f} s",
        ]
        for what in (
            *self.problems,
            *found.differences[:10],
            *found.imbalances[:10],
            *found.verify[:10],
            *found.alerts.wrong[:10],
        ):
            lines.append(f"WRONG: {what}")
        lines.append("passed" if self.passed else "FAILED")
        return "\n".join(lines)


_COLUMNS = ("fault", "count", "recovery p50 s", "recovery max s")


def quantile(values: Sequence[float], share: float) -> float | None:
    """The least value that ``share`` of the values do not exceed; None without values."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def _rows(faults: Sequence[Struck]) -> list[tuple[Any, ...]]:
    by_label: dict[str, list[Struck]] = {}
    for one in faults:
        by_label.setdefault(one.label, []).append(one)
    rows: list[tuple[Any, ...]] = []
    for label, ones in sorted(by_label.items()):
        seconds = [one.recovery_s for one in ones if one.recovery_s is not None]
        rows.append((label, len(ones), quantile(seconds, 0.5), max(seconds) if len(seconds) == len(ones) else None))
    return rows


def _line(row: Sequence[Any]) -> str:
    cells = [f"{cell:.1f}" if isinstance(cell, float) else "never" if cell is None else str(cell) for cell in row]
    return f"{cells[0]:24}" + "".join(f"{cell:>16}" for cell in cells[1:])


def _pairs(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in sorted(values.items()))
