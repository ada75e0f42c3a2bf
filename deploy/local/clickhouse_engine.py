"""The engine behind the local ClickHouse front: chDB and a pool of its sessions.

chDB lets go of Python's lock while it works, and sessions of one data path run side by side; one session
runs one query at a time. So every request borrows a session of its own. A session is prepared once, for one
database and one set of settings, and serves only requests with exactly those: nothing has to be set back.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import chdb

from deploy.local.clickhouse_request import RequestError, Statement

_Key = tuple[str, tuple[tuple[str, str], ...]]
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: .*", re.DOTALL)
_CONNECT: Callable[[str], Any] = chdb.connect
_IDLE_SESSIONS = 48
# The engine counts a write that its file system refused, and then goes on as if the bytes were there: the part that they
# belong to is short, and its rows are gone at the next start. This count is all that tells of it.
_FAILED_WRITES = "SELECT sum(value) FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed'"
_REFUSED_WRITE = (
    "Code: 75. DB::Exception: The file system refused a write of the engine (a full disk?): what was written since may be "
    "incomplete. Repeat it; this process ends, and checks every part when it starts again. (CANNOT_WRITE_TO_FILE_DESCRIPTOR)"
)
# chDB's embedded defaults that would let a query pass here which a server refuses.
_AS_A_SERVER = "SET implicit_select = 0"


class EngineError(Exception):
    """The engine refused a query. ``code`` is ClickHouse's number, the text is the engine's own."""

    def __init__(self, text: str) -> None:
        found = _CODE.search(text)
        super().__init__(found.group() if found else text)
        self.code = int(found.group(1)) if found else 1002


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave: the formatted body, and the counts that X-ClickHouse-Summary tells."""

    body: bytes
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0


class Engine:
    """One data path, opened by this process alone, and its idle sessions. Safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path)
        self._lock = threading.Lock()
        self.broken = False
        self._idle: OrderedDict[_Key, list[Any]] = OrderedDict()
        # Held for the engine's whole life: chDB shuts its engine down with the last session.
        self._keeper = _CONNECT(self._path)
        self.version: str = bytes(self._keeper.query("SELECT version()", "TSVRaw").bytes()).decode().strip()

    def execute(self, statement: Statement) -> Answer:
        """Run one statement to its end. Raises EngineError, and RequestError for several statements in one."""
        if statement.insert_format is None and b";" in statement.sql:
            self._refuse_several(statement.sql)
        key = (statement.database, statement.settings)
        started = time.monotonic_ns()
        session = None
        try:
            session = self._borrow(key)
            for table in statement.external:
                _run(session, f"CREATE TEMPORARY TABLE {table.name} ({table.structure}) ENGINE = Memory")
                _insert(session, f"INSERT INTO {table.name}", f"FORMAT {table.format}", table.data)
            if statement.insert_format is not None:
                rest = f"{statement.insert_settings.decode()} FORMAT {statement.insert_format}"
                result, body = _insert(session, statement.sql.decode(), rest, statement.data), b""
                read = (0, 0)
                self.check_writes(session)
            else:
                result = session.query(statement.sql, statement.output_format, params=dict(statement.params))
                if not statement.answers:
                    self.check_writes(session)
                body, read = bytes(result.bytes()), (result.rows_read(), result.bytes_read())
                result = (result.rows_written(), result.bytes_written())
        except Exception as error:
            if session is not None:
                session.close()
            raise EngineError(str(error)) from error
        if statement.private:
            session.close()
        else:
            self._give_back(key, session)
        return Answer(body, *read, *result, elapsed_ns=time.monotonic_ns() - started)

    def check_writes(self, session: Any = None) -> None:
        """Raise EngineError once the file system has refused a write of the engine, whoever it was for. ``broken`` is
        set from then on: nothing that this engine says of its data can be believed until it has started anew."""
        asked = _CONNECT(self._path) if session is None else session
        try:
            refused = int(bytes(asked.query(_FAILED_WRITES, "TSVRaw").bytes()) or b"0")
        finally:
            if session is None:
                asked.close()
        if refused:
            self.broken = True
            raise EngineError(_REFUSED_WRITE)

    def close(self) -> None:
        """Close every session, and with the last of them the engine."""
        with self._lock:
            sessions = [session for kept in self._idle.values() for session in kept]
            self._idle.clear()
        for session in (*sessions, self._keeper):
            session.close()

    def _borrow(self, key: _Key) -> Any:
        with self._lock:
            kept = self._idle.get(key)
            if kept:
                return kept.pop()
        session = _CONNECT(self._path)
        try:
            _run(session, _AS_A_SERVER)
            database, settings = key
            if database and database != "__default__":
                _run(session, f"USE {_identifier(database)}")
            for name, value in settings:
                _run(session, f"SET {name} = {_text(value)}")
        except Exception:
            session.close()
            raise
        return session

    def _give_back(self, key: _Key, session: Any) -> None:
        dropped: list[Any] = []
        with self._lock:
            self._idle.setdefault(key, []).append(session)
            self._idle.move_to_end(key)
            while sum(map(len, self._idle.values())) > _IDLE_SESSIONS:
                oldest = next(iter(self._idle))
                dropped += self._idle.pop(oldest)
        for one in dropped:
            one.close()

    def _refuse_several(self, sql: bytes) -> None:
        # A server refuses a batch of statements; chDB would run it, and what works here must work there.
        found = self._keeper._conn.classify_query(sql.decode("utf-8", "replace"))
        if found["statement_count"] > 1:
            raise RequestError(62, "Syntax error (Multi-statements are not allowed). (SYNTAX_ERROR)")


def _run(session: Any, sql: str) -> None:
    session.query(sql, "TabSeparated")


def _insert(session: Any, head: str, rest: str, data: bytes | memoryview) -> tuple[int, int]:
    """Rows and bytes written, of ``head FROM INFILE data rest``. Raises what went wrong at any moment of the insert.

    The rows go in beside the SQL, since inline data is not binary-safe in chDB, and as a file, since chDB's streaming
    insert reports what is wrong with the rows but swallows what goes wrong while they are written: a full disk, a
    constraint, a materialised view, too many partitions.
    """
    with _rows_file(data) as file:
        # By any such path each opening has a position of its own on Linux; elsewhere it is shared, hence the rewind.
        done = session.query(f"{head} FROM INFILE '/dev/fd/{file.fileno()}' COMPRESSION 'none' {rest}", "TabSeparated")
    return done.rows_written(), done.bytes_written()


def _rows_file(data: bytes | memoryview) -> IO[bytes]:
    """A file in memory that holds the rows; gone when it is closed."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("rows"), "w+b", buffering=0)
    else:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (the caller's to close)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    file.seek(0)
    return file


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
