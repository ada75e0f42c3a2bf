"""What keeps the running services from being ready, as they say themselves at /readyz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.local.stack_state import StackState
    from schemas.health.readiness import UnreadyReason

_PORTS = ("http", "web", "metrics")
_SAYING = ("gateway", "worker", "rating", "webhooks", "scheduler")


def reasons_not_ready(state: StackState) -> list[tuple[str, UnreadyReason]]:
    """(process, reason) of everything that runs and is not ready, or takes no events."""
    from deploy.local.probes import reasons_of

    return [
        (name, reason)
        for name, process in state.processes.items()
        if name.partition("-")[0] in _SAYING and process.phase in ("starting", "ready")
        for kind in _PORTS
        if kind in process.ports
        for reason in reasons_of("127.0.0.1", process.ports[kind]) or ()
    ]


def lines(reasons: Iterable[tuple[str, UnreadyReason]]) -> Iterator[str]:
    """For people: what is wrong, and what to do."""
    from schemas.health.backlogs import PIPELINE_STANDS

    for process, reason in reasons:
        if reason.name == PIPELINE_STANDS:
            yield f"needs you: {reason}"
            continue
        trouble = "takes no events" if reason.refuses else "needs you" if reason.lasting else "is not ready"
        yield f"{process} {trouble}: {reason}"
