"""The ClickHouse of the local stack: chDB behind ClickHouse's HTTP interface, in one small process.

``python -m deploy.local.clickhouse.front --path DIR --host 127.0.0.1 --port N``

An unmodified ``clickhouse-connect`` cannot tell it from a server for what Weir does: queries in any format, server-side
parameters, settings a request, inserts as binary blocks, external tables, ClickHouse's error codes. It has two users,
the stack's own and ``analyst`` (``access``), answers loopback names alone, and ignores session ids: a temporary table
lives for one request. Passwords come in WEIR_CLICKHOUSE_PASSWORD and WEIR_CLICKHOUSE_ANALYST_PASSWORD. Answers are
never compressed, since they cross loopback only; a body may come in gzip, zstd, lz4 or deflate.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import os
import signal
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import uvicorn

from deploy.local.clickhouse.engine_access import AccessError, Accounts, Role, check_origin
from deploy.local.clickhouse.request import RequestError, Statement, read_statement
from schemas.resting_server import RestingServer

if TYPE_CHECKING:
    from deploy.local.clickhouse.engine import Engine, EngineError, QueryResult

EXIT_WRITE_REFUSED = 74
# An answer under way is sent before the process ends.
_LAST_WORDS_S = 0.2
_WATCH_S = 5.0
_Headers = list[tuple[bytes, bytes]]
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
# More than enough for every client of one machine; beyond it requests wait in line.
_THREADS = 24
# ClickHouse's own mapping for the codes a client of ours can meet; any other is 500.
_STATUS = dict.fromkeys((6, 20, 26, 27, 33, 36, 38, 41, 43, 44, 53, 62, 69, 70, 72, 115, 117, 130, 131, 354, 457), 400)
_STATUS |= dict.fromkeys((16, 34, 46, 47, 50, 52, 56, 60, 63, 64, 81), 404)
_STATUS |= {48: 501, 159: 408, 497: 403, 501: 405, 516: 403}


class Front:
    """The ASGI application that answers as a ClickHouse server would, over one engine."""

    def __init__(self, engine: Engine, accounts: Accounts) -> None:
        self._engine = engine
        self._accounts = accounts
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="query")

    async def __call__(self, scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] in ("/ping", "/replicas_status") or (
            scope["path"] == "/" and scope["method"] == "GET" and not scope["query_string"]
        ):
            await _answer(send, 200, [(b"content-type", b"text/plain; charset=UTF-8")], b"Ok.\n")
            return
        headers = dict(scope["headers"])
        try:
            if scope["method"] not in ("GET", "POST"):
                raise AccessError(501, f"method {scope['method']} is not served; use POST, or GET for reading")
            check_origin(headers)
            arguments = dict(parse_qsl(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True))
            role = self._accounts.role(*credentials(headers, arguments))
        except AccessError as error:
            await _answer(send, *self._refusal(error))
            return
        chunks = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        status, out, body = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._serve, role, scope, headers, b"".join(chunks)
        )
        await _answer(send, status, out, body)
        if self._engine.broken:
            asyncio.get_running_loop().call_later(_LAST_WORDS_S, _end_broken)

    def watch(self, stop: threading.Event) -> None:
        """Until ``stop``: end the process when the engine could not write something nobody waits for, such as a merge,
        before the parts that were merged are deleted."""
        from deploy.local.clickhouse.engine import EngineError

        while not stop.wait(_WATCH_S):
            try:
                self._engine.check_writes()
            except EngineError:
                if self._engine.broken:
                    _end_broken()

    def _serve(
        self, role: Role, scope: dict[str, Any], headers: dict[bytes, bytes], body: bytes
    ) -> tuple[int, _Headers, bytes]:
        from deploy.local.clickhouse.engine import EngineError

        try:
            statement = read_statement(scope["query_string"], headers, body)
            answer = self._engine.execute(statement, role, changes=scope["method"] == "POST")
        except (EngineError, RequestError, AccessError) as error:
            return self._refusal(error)
        return 200, _headers(statement, answer), answer.body

    def _refusal(self, error: EngineError | RequestError | AccessError) -> tuple[int, _Headers, bytes]:
        text = str(error)
        if "(version " not in text:
            text += f" (version {self._engine.version} (official build))"
        code = str(error.code).encode()
        out = [(b"content-type", b"text/plain; charset=UTF-8"), (b"x-clickhouse-exception-code", code)]
        return _STATUS.get(error.code, 500), out, text.encode() + b"\n"

    def close(self) -> None:
        """Let running queries end, then close the engine."""
        self._threads.shutdown(wait=True)
        self._engine.close()


def _headers(statement: Statement, answer: QueryResult) -> _Headers:
    summary = {
        "read_rows": answer.read_rows,
        "read_bytes": answer.read_bytes,
        "written_rows": answer.written_rows,
        "written_bytes": answer.written_bytes,
        "total_rows_to_read": "0",
        "result_rows": answer.written_rows,
        "result_bytes": len(answer.body),
        "elapsed_ns": answer.elapsed_ns,
    }
    headers = [
        (b"x-clickhouse-summary", json.dumps({name: str(value) for name, value in summary.items()}).encode()),
        (b"x-clickhouse-query-id", (statement.query_id or str(uuid.uuid4())).encode("latin-1", "replace")),
        (b"x-clickhouse-server-display-name", b"weir-local"),
        (b"x-clickhouse-timezone", b"UTC"),
        (b"content-type", b"application/octet-stream"),
    ]
    if statement.answers:
        headers.append((b"x-clickhouse-format", statement.output_format.encode()))
    return headers


def _end_broken() -> None:
    logging.getLogger("clickhouse_front").error(
        "the file system refused a write of the engine (is the disk full?): starting anew, so that every part is"
        " checked"
    )
    # Without closing the engine, which would write more; the supervisor starts this process again.
    os._exit(EXIT_WRITE_REFUSED)


async def _answer(send: _Send, status: int, headers: _Headers, body: bytes) -> None:
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def credentials(headers: Mapping[bytes, bytes], arguments: Mapping[str, str]) -> tuple[str, str]:
    """User and password of a request: ClickHouse's own headers, basic authentication, or the URL's arguments."""
    if b"x-clickhouse-user" in headers or b"x-clickhouse-key" in headers:
        names = (b"x-clickhouse-user", b"default"), (b"x-clickhouse-key", b"")
        user, key = (headers.get(name, default).decode("utf-8", "replace") for name, default in names)
        return user, key
    scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"basic":
        try:
            user, _, key = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            raise AccessError(516, "basic authentication cannot be read. (AUTHENTICATION_FAILED)") from None
        return user, key
    return arguments.get("user", "default"), arguments.get("password", "")


def serve(
    path: Path, host: str, port: int, accounts: Accounts, *, database: str, views: Sequence[str], keep_free_bytes: int
) -> None:
    """Serve the data under ``path`` until SIGTERM or SIGINT; then finish what runs and close the engine."""
    # A server's time zone is part of how it reads times without one. Set before the engine is loaded.
    os.environ["TZ"] = "UTC"
    from deploy.local.clickhouse.engine import Engine

    # uvicorn handles both signals while it serves, and raises them again afterwards, when the engine is still
    # to be closed: these handlers let that second arrival pass.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    front = Front(Engine(path, views=views, database=database, keep_free_bytes=keep_free_bytes), accounts)
    config = uvicorn.Config(
        front,
        host=host,
        port=port,
        http="httptools",
        loop="uvloop",  # sets TCP_NODELAY; without it a query waits 40 ms for an acknowledgement
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=600,
        timeout_graceful_shutdown=8,
    )
    stop = threading.Event()
    watch = threading.Thread(target=front.watch, args=(stop,), name="watch", daemon=True)
    watch.start()
    try:
        RestingServer(config).run()
    finally:
        stop.set()
        watch.join()
        front.close()


def main() -> None:
    """Serve by the command line's arguments and the environment's passwords."""
    parser = argparse.ArgumentParser(description="chDB behind ClickHouse's HTTP interface")
    parser.add_argument("--path", type=Path, required=True, help="folder of the engine's data")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--database", default="weir", help="the database whose views an analyst reads")
    parser.add_argument("--views", default="", help="those views, with commas between")
    parser.add_argument("--keep-free-mb", type=int, default=0, help="room on the disk that the engine does not use")
    arguments = parser.parse_args()
    accounts = Accounts(
        os.environ.get("WEIR_CLICKHOUSE_USER") or "default",
        os.environ.get("WEIR_CLICKHOUSE_PASSWORD", ""),
        os.environ.get("WEIR_CLICKHOUSE_ANALYST_PASSWORD", ""),
    )
    if not accounts.password:
        parser.error(
            "WEIR_CLICKHOUSE_PASSWORD is empty: without a password it would open to every page of a browser here"
        )
    views = [view for view in arguments.views.split(",") if view]
    serve(
        arguments.path,
        arguments.host,
        arguments.port,
        accounts,
        database=arguments.database,
        views=views,
        keep_free_bytes=arguments.keep_free_mb << 20,
    )


if __name__ == "__main__":
    main()
