"""Reasons why a process is not ready or accepts no events; listed by /readyz and shown by `weir status`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class UnreadyReason:
    """One reason.

    ``name``: for programs (snake_case); ``detail``: a sentence with the numbers; ``remedy``: what to do; both
    without a full stop. ``refuses``: no events are accepted meanwhile (503 with this reason). ``lasting``: it does
    not pass by itself, so a starting stack does not wait for it.
    """

    name: str
    detail: str
    remedy: str
    refuses: bool = False
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.detail}; {self.remedy}"


ReadinessCheck = Callable[[], Iterable[UnreadyReason]]
"""Returns reasons from memory without waiting, since it is called for every request. Queries of Kafka must run in a
separate task."""


class Readiness:
    """The reasons of one process, collected from its checks in the order of their registration."""

    def __init__(self, *checks: ReadinessCheck) -> None:
        self._checks = list(checks)

    def add(self, check: ReadinessCheck) -> None:
        """Register a check."""
        self._checks.append(check)

    def reasons(self) -> tuple[UnreadyReason, ...]:
        """All present reasons; none: ready."""
        return tuple(reason for check in self._checks for reason in check())

    def refusal(self) -> UnreadyReason | None:
        """The first reason for which events are refused, None if they are accepted."""
        for check in self._checks:
            for reason in check():
                if reason.refuses:
                    return reason
        return None


def to_json(reasons: Iterable[UnreadyReason]) -> list[JsonObject]:
    """The member ``reasons`` of /readyz."""
    return [asdict(reason) for reason in reasons]


def from_json(document: Mapping[str, Any]) -> tuple[UnreadyReason, ...]:
    """The reasons in a response of /readyz; unknown members are ignored."""
    return tuple(
        UnreadyReason(
            str(item.get("name", "")),
            str(item.get("detail", "")),
            str(item.get("remedy", "")),
            bool(item.get("refuses")),
            bool(item.get("lasting")),
        )
        for item in document.get("reasons", ())
    )
