"""What keeps the running services from being ready, as they say themselves at /readyz."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from deploy.local.state import StackState
    from schemas.readiness import Reason

_PORTS = ("http", "web", "metrics")
_SAYING = ("gateway", "worker", "rating", "webhooks")
NO_ANSWER: Final = "no_answer"
ANSWER_SECONDS: Final = 5.0

Asked = Callable[[int], "tuple[Reason, ...] | None"]


def standing(state: StackState, ask: Asked | None = None) -> list[tuple[str, Reason]]:
    """(process, reason) of everything that runs and is not ready, or takes no events. ``ask``: the reasons of the process at a port of this
    machine, None where it gives no answer; one that was ready before and gives none stands still as a whole."""
    from schemas.readiness import Reason

    ask = ask or _ask
    found: list[tuple[str, Reason]] = []
    for name, process in state.processes.items():
        if name.partition("-")[0] not in _SAYING or process.phase not in ("starting", "ready"):
            continue
        for port in (process.ports[kind] for kind in _PORTS if kind in process.ports):
            reasons = ask(port)
            if reasons is None and process.phase == "ready":
                detail = f"it gives no answer at http://127.0.0.1:{port}/readyz within {ANSWER_SECONDS:g} s"
                reasons = (Reason(NO_ANSWER, detail, f"look at the machine's load and at {process.log}"),)
            found += [(name, reason) for reason in reasons or ()]
    return found


def _ask(port: int) -> tuple[Reason, ...] | None:
    from deploy.local.probes import reasons_of

    return reasons_of("127.0.0.1", port, seconds=ANSWER_SECONDS)


def lines(reasons: Iterable[tuple[str, Reason]]) -> Iterator[str]:
    """For people: what is wrong, and what to do."""
    for process, reason in reasons:
        trouble = "takes no events" if reason.refuses else "needs you" if reason.lasting else "is not ready"
        yield f"{process} {trouble}: {reason}"
