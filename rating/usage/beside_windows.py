"""What there is beside the windows that a usage query reads, and how far these are folded. Pure.

Most accounts have no voided event in a period, and some namespaces nothing beyond the last checkpoint. A statement that
looks for all of it at once takes ClickHouse longer to read and plan than to answer, so that this is asked first
(``rating.usage.existence``), and what there is nothing of is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


class FoldEnd(NamedTuple):
    """The epoch, and the checkpoint with which the fold ends; 0 where there is none."""

    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class BesideWindows:
    """``voids``: an account of the query may have a voided event in its interval. ``appended``: there may be records
    beyond the windows' cut; ``appended_us``: none of them was appended earlier, microseconds UTC (None: not known).
    ``fold``: the newest up to the cut, below which folds are read in place of windows (None: not known)."""

    voids: bool
    appended: bool
    appended_us: int | None = None
    fold: FoldEnd | None = None


ANYTHING: Final = BesideWindows(voids=True, appended=True)
"""Where nobody has looked."""
