"""What verification finds, bounded: a broken table must not become a report of millions of lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

PER_CHECK: Final = 50

Progress = Callable[[str, int, int], None]
"""Called with (what is being checked, done, total)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be. ``what``: a word for programs; ``where``: enough to find the row."""

    what: str
    where: str
    expected: str
    found: str
    remedy: str

    def to_json(self) -> dict[str, str]:
        """Ready for json.dumps."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: expected {self.expected}, found {self.found}; {self.remedy}"


class Findings:
    """The differences of one check: the first PER_CHECK, then one line that says how many more."""

    def __init__(self) -> None:
        self._kept: list[Difference] = []
        self._more = 0

    @property
    def full(self) -> bool:
        """Whether details of further differences would be dropped."""
        return len(self._kept) >= PER_CHECK

    @property
    def room(self) -> int:
        """How many more are kept."""
        return PER_CHECK - len(self._kept)

    def add(self, what: str, where: str, expected: Any, found: Any, remedy: str) -> None:
        """Keep one, or count it."""
        if self.full:
            self._more += 1
        else:
            self._kept.append(Difference(what, where, str(expected), str(found), remedy))

    def add_more(self, count: int) -> None:
        """Count differences that were seen but not looked at one by one."""
        self._more += count

    def differences(self) -> list[Difference]:
        """Those kept, and a line for the rest."""
        if not self._more:
            return self._kept
        note = Difference(
            "truncated", f"after {len(self._kept)} differences", "none", f"at least {self._more} more",
            "mend those above and verify again",
        )  # fmt: skip
        return [*self._kept, note]
