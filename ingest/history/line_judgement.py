"""Judges lines of history one by one: each an event with a key and a timestamp of its own, or refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.history.body_lines import MAX_LINE, NumberedLine
from schemas.catalog.state import NamespaceView
from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.event_types import event_types
from schemas.events.raw_events import Refused, decode_event


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A refused line with the reason."""

    line: int
    reason: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class WarnedLine:
    """An accepted line that a profile cannot measure."""

    line: int
    profile: str
    reason: str
    detail: str


def judge_line(line: NumberedLine, view: NamespaceView, now_us: int) -> AcceptedEvent:
    """The event of one line. Raises Refused."""
    if line.too_long:
        raise Refused("too_large", "$", f"the line is longer than {MAX_LINE} bytes")
    [raw] = decode_event(line.text)
    for name, value in (("idempotency_key", raw.idempotency_key), ("timestamp", raw.timestamp)):
        if value is None:
            raise Refused(
                "missing", f"$.{name}", "missing; a line of history needs its own, so that it can be sent again"
            )
    [accepted] = accept(
        view.namespace, view.settings, [raw], now_us=now_us, mint_key=lambda _: "", types=event_types(view), single=True
    )  # fmt: skip
    return accepted


def judge_lines(
    lines: Iterable[NumberedLine], view: NamespaceView, now_us: int
) -> tuple[list[AcceptedEvent], list[tuple[NumberedLine, Refused]]]:
    """Judge each line separately: the events of accepted lines, and the refusals of the others."""
    accepted: list[AcceptedEvent] = []
    refused: list[tuple[NumberedLine, Refused]] = []
    for line in lines:
        try:
            accepted.append(judge_line(line, view, now_us))
        except Refused as why:
            refused.append((line, why))
    return accepted, refused
