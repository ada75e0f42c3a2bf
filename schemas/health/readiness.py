"""Why a process is not ready, or takes no events: named reasons, which /readyz lists and `weir status` shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. ``name`` is a word for programs (snake_case), ``detail`` a sentence with the numbers, ``remedy`` what
    to do; both without a full stop. ``refuses``: no event is taken meanwhile (503 with this reason). ``lasting``: it
    does not pass by itself, so a stack that starts does not wait for it, but shows it."""

    name: str
    detail: str
    remedy: str
    refuses: bool = False
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.detail}; {self.remedy}"


Check = Callable[[], Iterable[Reason]]
"""Looks at what is in memory, and never waits: it is asked for every request. Whoever has to ask Kafka does so in a
task of his own."""


class Readiness:
    """The reasons of one process, from its checks in the order in which they were added."""

    def __init__(self, *checks: Check) -> None:
        self._checks = list(checks)

    def add(self, check: Check) -> None:
        """From now on ``check`` is asked, too."""
        self._checks.append(check)

    def reasons(self) -> tuple[Reason, ...]:
        """All that stand now; none: ready."""
        return tuple(reason for check in self._checks for reason in check())

    def refusal(self) -> Reason | None:
        """The first reason for which no event is taken."""
        return next((reason for check in self._checks for reason in check() if reason.refuses), None)


def to_json(reasons: Iterable[Reason]) -> list[JsonObject]:
    """The member ``reasons`` of /readyz."""
    return [asdict(reason) for reason in reasons]


def from_json(document: Mapping[str, Any]) -> tuple[Reason, ...]:
    """The reasons that an answer of /readyz lists; unknown members are passed over."""
    return tuple(
        Reason(
            str(item.get("name", "")), str(item.get("detail", "")), str(item.get("remedy", "")),
            bool(item.get("refuses")), bool(item.get("lasting")),
        )
        for item in document.get("reasons", ())
    )  # fmt: skip
