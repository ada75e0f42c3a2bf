"""Checks that a namespace stays a sandbox or live, and that a sandbox's clock never goes back. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ingest.catalog.document import Fault
from schemas.catalog.models import Namespace

_PATH: Final = "$.namespace"


def as_it_stands(standing: Namespace | None, declared: Namespace) -> Namespace:
    """The declared settings, with what they leave out of sandbox and clock as it stands."""
    if standing is None:
        return declared
    update: dict[str, object] = {}
    if "sandbox" not in declared.model_fields_set:
        update["sandbox"] = standing.sandbox
    if declared.clock_ahead_seconds is None:
        update["clock_ahead_seconds"] = standing.clock_ahead_seconds
    return declared.model_copy(update=update)


def sandbox_faults(standing: Namespace | None, declared: Namespace) -> Iterator[Fault]:
    """A live namespace that would become a sandbox or the other way round, a clock of a live one, and a clock that goes
    back. ``declared``: of ``as_it_stands``.

    A clock that only grows keeps the window of deduplication true: a copy is refused as too old no later than without
    it.
    """
    if standing is not None and declared.sandbox != standing.sandbox:
        kind, other = ("a sandbox", "live") if standing.sandbox else ("live", "a sandbox")
        yield Fault(
            f"{_PATH}.sandbox", f"{standing.code} is {kind} and never becomes {other}; declare another namespace"
        )
        return
    ahead, stood = declared.clock_ahead_seconds or 0, (standing.clock_ahead_seconds or 0) if standing else 0
    if ahead and not declared.sandbox:
        yield Fault(f"{_PATH}.clock_ahead_seconds", "only a sandbox has a clock of its own; leave it out")
    if ahead < stood:
        yield Fault(
            f"{_PATH}.clock_ahead_seconds",
            f"goes only forward, and is {stood}: what was billed is not taken back; use {stood} or more, or another"
            " sandbox",
        )
