"""What verification finds, bounded: a broken table must not become a report of millions of lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

PER_CHECK: Final = 50

VerifyProgress = Callable[[str, int, int], None]
"""Called with (what is being checked, done, total)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is not as it must be. ``what``: a word for programs; ``where``: enough to find the row."""

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
        self._differences: list[Difference] = []
        self._further = 0

    @property
    def full(self) -> bool:
        """Whether details of further differences would be dropped."""
        return len(self._differences) >= PER_CHECK

    @property
    def room(self) -> int:
        """How many further differences are kept."""
        return PER_CHECK - len(self._differences)

    def add(self, what: str, where: str, expected: object, actual: object, remedy: str) -> None:
        """Keep a difference, or count it once PER_CHECK are kept."""
        if self.full:
            self._further += 1
        else:
            self._differences.append(Difference(what, where, str(expected), str(actual), remedy))

    def add_more(self, count: int) -> None:
        """Count differences that were seen but not looked at one by one."""
        self._further += count

    def differences(self) -> list[Difference]:
        """The differences that were kept, and one that says how many further ones there are."""
        if not self._further:
            return self._differences
        note = Difference(
            "truncated",
            f"after {len(self._differences)} differences",
            "none",
            f"at least {self._further} more",
            "mend those above and verify again",
        )
        return [*self._differences, note]
