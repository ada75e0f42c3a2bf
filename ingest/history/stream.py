"""POST /v1/events/stream: imports history as NDJSON, one native event per line, of any length, in bounded memory.

Lines are judged one by one. A refused line is reported with its number and reason and recorded on usage.rejected;
the import continues. Each line needs its own key and timestamp, so that sending the whole file again is safe. The
response is sent while the body is read: refusals, progress, and a summary as its last line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest.delivery.in_flight import NotDelivered
from ingest.events.events_api import EventsApi
from ingest.history.body_lines import Lines, NumberedLine
from ingest.history.chunks import Ended, chunks_of, drain
from ingest.history.line_judgement import RefusedLine, WarnedLine, judge_lines
from ingest.history.stream_limits import StreamLimits
from ingest.http.auth import Guard
from ingest.http.decompression import ENCODINGS, BrokenBody, Inflater
from ingest.http.gateway_problems import Problem, unavailable
from schemas.catalog.state import NamespaceView
from schemas.events.acceptance import AcceptedEvent
from schemas.events.measurable import measurable
from schemas.events.raw_events import Refused
from schemas.events.refused_body import Sketch, sketch
from schemas.values.json_text import JsonObject

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/x-ndjson"
GROUP_LINES: Final = 500
GROUP_BYTES: Final = 256 * 1024
GROUPS_IN_FLIGHT: Final = 8  # beyond this reading pauses, and the sender has to wait
WARNED: Final = 100  # limit on reported warnings
LISTED: Final = 1000  # limit on reported refusals: a sender that reads only at the end must not block the response
PROGRESS_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.25


@dataclass(slots=True)
class ImportCounts:
    """Counts so far. ``warned``: accepted lines that a profile cannot measure, as far as checked. Every line up to
    ``last_acknowledged_line`` is in Kafka, or refused and recorded."""

    accepted: int = 0
    refused: int = 0
    refused_unlisted: int = 0
    warned: int = 0
    last_acknowledged_line: int = 0


@dataclass(slots=True)
class _LineGroup:
    lines: list[NumberedLine] = field(default_factory=list)
    size: int = 0


class HistoryApi:
    """Starts imports."""

    def __init__(
        self, guard: Guard, events: EventsApi, now_us: Callable[[], int], stopping: Callable[[], bool]
    ) -> None:
        self._guard = guard
        self._events = events
        self._now_us = now_us
        self._stopping = stopping

    async def open(self, request: Request) -> Response:
        """The response that imports the body; the scope was checked by the route's guard. Raises Problem before
        anything is read."""
        namespace, settings = await self._events.target(request, request.state.access)
        if settings.max_event_age_seconds is not None:
            remedy = "apply it with max_event_age_seconds: null, or send recent events to /v1/events/batch"
            detail = f"namespace {namespace} has an age limit of {settings.max_event_age_seconds} s; {remedy}"
            raise Problem(409, "age_limited", detail)
        encoding = request.headers.get("content-encoding", "").strip().lower().replace("identity", "")
        if encoding and encoding not in ENCODINGS:
            understood = ", ".join(ENCODINGS)
            raise Problem(415, "encoding", f"Content-Encoding {encoding[:40]!r} is not understood; send {understood}")
        limits = StreamLimits(self._guard, request)
        return HistoryStream(self._events, limits, namespace, encoding, self._now_us, self._stopping)


class HistoryStream(Response):
    """Reads, judges, delivers and reports concurrently. Reading never waits for the client to read the response."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        events: EventsApi,
        limits: StreamLimits,
        namespace: str,
        encoding: str,
        now_us: Callable[[], int],
        stopping: Callable[[], bool],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Connection": "close"})
        del self.headers["content-length"]
        self._events = events
        self._limits = limits
        self._namespace = namespace
        self._inflater = Inflater(encoding)
        self._lines = Lines()
        self._now_us = now_us
        self._stopping = stopping
        self._counts = ImportCounts()
        self._unreported: deque[RefusedLine | WarnedLine] = deque()
        self._in_flight: deque[asyncio.Task[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        started = asyncio.get_running_loop().time()
        # Read the first chunk before starting the response: it makes the server send "100 Continue" to clients that
        # wait for it.
        chunks = chunks_of(receive, self._stopping)
        try:
            first_chunk = await anext(chunks, None)
        except Ended as error:
            await unavailable(str(error)).response()(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        finished = asyncio.Event()
        reporting = asyncio.create_task(self._report_progress(send, finished))
        try:
            trouble = await self._take(first_chunk, chunks)
        finally:
            for task in self._in_flight:
                task.cancel()
            finished.set()
            await asyncio.wait({reporting})
        summary = {"type": "summary", "complete": trouble is None, "lines": self._lines.number} | asdict(self._counts)
        summary["seconds"] = round(asyncio.get_running_loop().time() - started, 3)
        if trouble is not None:
            summary["trouble"] = (
                f"{trouble}; send on from line {self._counts.last_acknowledged_line + 1}, or the whole again: both "
                "are safe"
            )
        await self._send_lines(send, [*self._refusals(), summary], last=True)

    async def _take(self, first_chunk: bytes | None, chunks: AsyncIterator[bytes | None]) -> str | None:
        """Read to the end of the body; returns the reason if it ended prematurely, else None."""
        group = _LineGroup()
        try:
            chunk = first_chunk
            while chunk is not None:
                self._limits.bytes(len(chunk), 0)
                for piece in self._inflater.feed(chunk):
                    self._limits.bytes(0, len(piece))
                    for line in self._lines.feed(piece):
                        group = await self._add(group, line)
                    await self._limits.lines(self._lines.number, self._stopping)
                if not chunk and group.lines:  # no data for a while: deliver what is there
                    group = await self._close(group)
                await self._settle(GROUPS_IN_FLIGHT)
                chunk = await anext(chunks, None)
            self._inflater.finish()
            for line in self._lines.finish():
                group = await self._add(group, line)
            await self._close(group)
            await self._settle(1)
            self._counts.last_acknowledged_line = self._lines.number
        except (BrokenBody, NotDelivered, Ended) as error:
            trouble = await self._wind_up(group, str(error))
        except Exception:
            log.exception("a stream of history failed")
            trouble = await self._wind_up(_LineGroup(), "the gateway failed; its log says more")
        else:
            return None
        await drain(chunks, self._limits.bytes)
        return trouble

    async def _wind_up(self, group: _LineGroup, trouble: str) -> str:
        """Deliver the complete lines read so far, if possible."""
        try:
            await self._close(group)
            await self._settle(1)
        except NotDelivered as error:
            return str(error)
        except Exception:
            log.exception("a stream of history could not be wound up")
        return trouble

    async def _add(self, group: _LineGroup, line: NumberedLine) -> _LineGroup:
        group.lines.append(line)
        group.size += len(line.text)
        if len(group.lines) < GROUP_LINES and group.size < GROUP_BYTES:
            return group
        return await self._close(group)

    async def _close(self, group: _LineGroup) -> _LineGroup:
        if group.lines:
            await self._limits.lines(self._lines.number, self._stopping)
            await self._settle(GROUPS_IN_FLIGHT)
            previous_part = self._in_flight[-1] if self._in_flight else None
            self._in_flight.append(asyncio.create_task(self._deliver(group.lines, previous_part)))
        return _LineGroup()

    async def _settle(self, fewer_than: int) -> None:
        """Wait until fewer than ``fewer_than`` groups are in flight. Raises NotDelivered."""
        while self._in_flight and (self._in_flight[0].done() or len(self._in_flight) >= fewer_than):
            await self._in_flight[0]
            self._in_flight.popleft()

    async def _deliver(self, lines: Sequence[NumberedLine], previous_part: asyncio.Task[None] | None) -> None:
        """Deliver one group, retrying for a while, and count it after the previous group was counted."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                refused, warned = await self._attempt(lines)
                break
            except NotDelivered:
                if loop.time() > deadline or self._stopping():
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
        await asyncio.gather(*(self._record(line, why, refused_body) for line, why, refused_body in refused))
        if previous_part is not None:
            await asyncio.wait({previous_part})
            if previous_part.cancelled() or previous_part.exception() is not None:
                raise NotDelivered("lines before were not delivered")
        self._count(lines, [RefusedLine(line.number, why.reason, why.path, why.detail) for line, why, _ in refused])
        self._unreported.extend(warned[: max(0, WARNED - self._counts.warned)])
        self._counts.warned += len(warned)

    async def _attempt(
        self, lines: Sequence[NumberedLine]
    ) -> tuple[list[tuple[NumberedLine, Refused, Sketch]], list[WarnedLine]]:
        """Send the accepted lines; returns the refused lines and the warnings."""
        refusals: list[tuple[NumberedLine, Refused, Sketch]] = []
        warned: list[WarnedLine] = []

        def judged(view: NamespaceView) -> list[AcceptedEvent]:
            accepted, refused = judge_lines(lines, view, self._now_us())
            refusals.extend((line, why, sketch(line.text, None, view.settings, single=True)) for line, why in refused)
            bad = {line.number for line, _ in refused}
            numbers = [line.number for line in lines if line.number not in bad]
            for warning in measurable(view).warnings(accepted):
                warned.append(WarnedLine(numbers[warning.index], warning.profile_id, warning.reason, warning.detail))
            return accepted

        await self._events.hand_over(self._namespace, judged)
        return refusals, warned

    async def _record(self, line: NumberedLine, why: Refused, refused_body: Sketch) -> None:
        await self._events.record(self._namespace, why.reason, f"line {line.number}: {why}", refused_body, line.text)

    def _count(self, lines: Sequence[NumberedLine], refused: Sequence[RefusedLine]) -> None:
        counts = self._counts
        self._events.count_accepted(len(lines) - len(refused))
        counts.accepted += len(lines) - len(refused)
        counts.refused += len(refused)
        listed = refused[: max(0, LISTED - (counts.refused - len(refused)))]
        counts.refused_unlisted += len(refused) - len(listed)
        self._unreported.extend(listed)
        counts.last_acknowledged_line = lines[-1].number

    async def _report_progress(self, send: Send, finished: asyncio.Event) -> None:
        while not finished.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(finished.wait(), PROGRESS_SECONDS)
            if not finished.is_set():  # sent even if nothing changed, to keep the connection alive
                progress = {"type": "progress", "lines": self._lines.number} | asdict(self._counts)
                await self._send_lines(send, [*self._refusals(), progress])

    def _refusals(self) -> list[JsonObject]:
        refusals = [
            {"type": "refused" if isinstance(item, RefusedLine) else "warning"} | asdict(item)
            for item in self._unreported
        ]
        self._unreported.clear()
        return refusals

    @staticmethod
    async def _send_lines(send: Send, documents: Sequence[JsonObject], *, last: bool = False) -> None:
        body = b"".join(msgspec.json.encode(document) + b"\n" for document in documents)
        await send({"type": "http.response.body", "body": body, "more_body": not last})
