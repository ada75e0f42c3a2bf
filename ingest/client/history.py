"""Sends history to the streaming route in parts, so that a broken connection costs at most one part."""

from __future__ import annotations

import gzip
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ingest.client.sending import pause_before
from ingest.client.sync import Client
from ingest.client.wire import AttemptAnswer, GatewayUnavailable, Refusal, problem_of, retried
from schemas.values.json_text import JsonObject

PATH: Final = "/v1/events/stream"
PART_LINES: Final = 20_000
PART_BYTES: Final = 32 * 1024 * 1024
_KEPT: Final = 1000


@dataclass(slots=True)
class HistorySummary:
    """Totals of a run.

    ``refusals``: the first 1,000, each with ``line`` (from 1, in the whole input), reason, path and detail.
    ``warnings``: likewise, for accepted lines that a profile cannot measure.
    """

    lines: int = 0
    accepted: int = 0
    refused: int = 0
    retries: int = 0
    seconds: float = 0.0
    refusals: list[JsonObject] = field(default_factory=list)
    warnings: list[JsonObject] = field(default_factory=list)


def send_history(
    client: Client,
    lines: Iterable[bytes],
    *,
    part: int = PART_LINES,
    deadline: float = 300.0,
    on_part: Callable[[HistorySummary], None] = lambda _summary: None,
) -> HistorySummary:
    """Send NDJSON lines (each an event with idempotency_key and timestamp) part by part, until all are
    acknowledged.

    ``lines`` is read lazily; ``on_part`` is called after each part. Raises Refusal if the gateway does not accept
    history from this sender (wrong key, unknown namespace, an age limit), and GatewayUnavailable if a part was not
    completed within ``deadline`` seconds; sending everything again is safe.
    """
    summary = HistorySummary()
    started = time.monotonic()
    for chunk in _parts(iter(lines), part):
        _send_part(client, chunk, summary, time.monotonic() + deadline)
        summary.lines += len(chunk)
        summary.seconds = time.monotonic() - started
        on_part(summary)
    return summary


def _parts(lines: Iterator[bytes], size: int, most: int = PART_BYTES) -> Iterator[list[bytes]]:
    """Parts of ``size`` lines, or fewer once they reach ``most`` bytes."""
    chunk: list[bytes] = []
    length = 0
    for line in lines:
        chunk.append(line.rstrip(b"\r\n") + b"\n")
        length += len(chunk[-1])
        if len(chunk) >= size or length >= most:
            yield chunk
            chunk, length = [], 0
    if chunk:
        yield chunk


def _send_part(client: Client, chunk: list[bytes], summary: HistorySummary, ends: float) -> None:
    done, attempt = 0, 0
    while True:
        attempt += 1
        body = gzip.compress(b"".join(chunk[done:]), 1)
        answer = client.attempt(PATH, body, **{"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"})
        lines = _lines_of(answer) if answer.status == 200 else []
        last = lines[-1] if lines and lines[-1].get("type") == "summary" else None
        if last is not None:
            for refused in (line for line in lines if line.get("type") == "refused"):
                if len(summary.refusals) < _KEPT:
                    summary.refusals.append(refused | {"line": summary.lines + done + refused["line"]})
            for warned in (line for line in lines if line.get("type") == "warning"):
                if len(summary.warnings) < _KEPT:
                    summary.warnings.append(warned | {"line": summary.lines + done + warned["line"]})
            summary.accepted += last["accepted"]
            summary.refused += last["refused"]
            if last["complete"]:
                return
            # Continue after the last acknowledged line.
            done += last["last_acknowledged_line"]
        elif answer.status != 200 and not retried(answer):
            raise Refusal(answer.status, problem_of(answer))
        summary.retries += 1
        pause = pause_before(attempt, answer.retry_after, random.random())
        if time.monotonic() + pause > ends:
            what = last["trouble"] if last is not None else problem_of(answer).get("detail", "no answer")
            raise GatewayUnavailable(f"history is acknowledged up to line {summary.lines + done}: {what}", ())
        threading.Event().wait(pause)


def _lines_of(answer: AttemptAnswer) -> list[JsonObject]:
    try:
        return [msgspec.json.decode(line) for line in answer.body.splitlines()]
    except msgspec.DecodeError:  # cut by a broken connection
        return []
