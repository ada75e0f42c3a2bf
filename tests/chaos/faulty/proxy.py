"""The way between the workers and ClickHouse, which can refuse, stall, cut inserts half-way and lose their answers.

It reads just enough HTTP to know where a request's body begins and ends; everything else passes as it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from typing import Final, Literal

Mode = Literal["pass", "refuse", "stall", "cut", "deafen"]
_CHUNK: Final = 65_536


class Proxy:
    """Listens on a free port of loopback (``port``) from ``start`` to ``stop``; ``target`` is ClickHouse's port.

    ``refuse`` resets every connection; ``stall`` lets nothing through until the mode changes; ``cut`` breaks every
    other insert off in the middle of its rows; ``deafen`` lets inserts through and breaks off before their answer.
    ``hits`` counts what was struck.
    """

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"proxy {seed}")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.target = 0
        self.hits = 0
        self._mode: Mode = "pass"
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._end: asyncio.Event | None = None

    def start(self, target: int) -> None:
        """Serve in a thread of its own."""
        self.target = target
        self._thread.start()

    def stop(self) -> None:
        """Close everything."""

        def end() -> None:
            if self._end is not None:
                self._end.set()

        self._loop.call_soon_threadsafe(end)
        self._thread.join(10)

    def set(self, mode: Mode) -> None:
        """From now on; returns once it is so."""
        asyncio.run_coroutine_threadsafe(self._set(mode), self._loop).result(10)

    async def _set(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == "refuse":
            for writer in list(self._open):
                self._hit(writer)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._connected, sock=self._listener)
        await self._end.wait()
        server.close()
        for writer in list(self._open):
            writer.transport.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hit(self, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "refuse":
            self._hit(writer)
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        # One direction ends, so does the other: a half-open connection would hide an abort from the peer.
        connection = _Connection(self, reader, writer, up_reader, up_writer)
        self._open |= {writer, up_writer}
        tasks = [asyncio.ensure_future(connection.requests()), asyncio.ensure_future(connection.answers())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self._open -= {writer, up_writer}
            for one in (writer, up_writer):
                one.transport.abort()

    async def gate(self) -> None:
        """Wait while everything stalls."""
        while self._mode == "stall":
            self.hits += 1
            await self._changed.wait()

    def cuts(self) -> bool:
        """Whether this insert is to be broken off in its rows."""
        return self._mode == "cut" and self._dice.random() < 0.5

    def deafens(self) -> bool:
        """Whether an insert's answer is to be lost."""
        return self._mode == "deafen"


class _Connection:
    def __init__(
        self,
        proxy: Proxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._up_reader, self._up_writer = up_reader, up_writer
        self._inserting = False

    async def requests(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = await self._reader.readuntil(b"\r\n\r\n")
                await self._proxy.gate()
                length, chunked = _framing(head)
                body = await self._body(length, chunked)
                self._inserting = b"INSERT" in head or b"INSERT" in body[:4096]
                if self._inserting and self._proxy.cuts():
                    self._proxy.hits += 1
                    self._up_writer.write(head + body[: len(body) // 2])
                    await self._up_writer.drain()
                    return
                self._up_writer.write(head + body)
                await self._up_writer.drain()

    async def answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._up_reader.read(_CHUNK):
                await self._proxy.gate()
                if self._inserting and self._proxy.deafens():
                    self._proxy.hits += 1
                    return
                self._writer.write(data)
                await self._writer.drain()

    async def _body(self, length: int, chunked: bool) -> bytes:
        if not chunked:
            return await self._reader.readexactly(length)
        parts = []
        while True:
            line = await self._reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            parts += [line, await self._reader.readexactly(size + 2)]
            if size == 0:
                return b"".join(parts)


def _framing(head: bytes) -> tuple[int, bool]:
    length, chunked = 0, False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif name.lower() == b"transfer-encoding":
            chunked = b"chunked" in value.lower()
    return length, chunked
