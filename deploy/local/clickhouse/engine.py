"""The engine behind the local ClickHouse front: chDB and a pool of its sessions.

chDB lets go of Python's lock while it works, and sessions of one data path run side by side; one session
runs one query at a time. So every request borrows a session of its own. A session is prepared once, for one
database and one set of settings, and serves only requests with exactly those: nothing has to be set back.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import chdb

from deploy.local.clickhouse.engine_access import TRIGGERS, AccessError, Role, judge, write_config
from deploy.local.clickhouse.refused_writes import WriteMark, give_up_unfinished
from deploy.local.clickhouse.request import Statement
from schemas.errors import WeirError

log = logging.getLogger(__name__)

# Role, whether it may change anything, database, settings.
_Key = tuple[Role, bool, str, tuple[tuple[str, str], ...]]
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: .*", re.DOTALL)
_CONNECT: Callable[[str], Any] = chdb.connect
_IDLE_SESSIONS = 48
# What names no database is at home here: chDB's own ``default`` takes every file's path for a table, and therefore asks
# for the right to read files for each table in it.
_DEFAULT, _NO_DATABASE = "scratch", ("", "__default__", "default")
# Services ask the same parameterised statements again and again.
_REMEMBERED, _REMEMBERED_BYTES = 512, 8192
# The engine counts a write that its file system refused, and then goes on as if the bytes were there: the part that
# they belong to is short, and its rows are gone at the next start. This count is all that tells of it.
_FAILED_WRITES = (
    "SELECT value FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed' SETTINGS max_threads = 1"
)
_REFUSED_WRITE = (
    "Code: 75. DB::Exception: The file system refused a write of the engine (a full disk?): what was written since may"
    " be incomplete. Repeat it; this process ends, and checks every part when it starts again."
    " (CANNOT_WRITE_TO_FILE_DESCRIPTOR)"
)
# chDB's embedded defaults that would let a query pass here which a server refuses.
_AS_A_SERVER = "SET implicit_select = 0"


class EngineError(WeirError):
    """The engine refused a query. ``code`` is ClickHouse's number, the text is the engine's own."""

    def __init__(self, text: str) -> None:
        match = _CODE.search(text)
        super().__init__(match.group() if match else text)
        self.code = int(match.group(1)) if match else 1002


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query gave: the formatted body, and the counts that X-ClickHouse-Summary tells."""

    body: bytes
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What the engine reads in a statement: its class, how many there are (0: none that it understands), its
    formatting."""

    kind: str
    statements: int
    canonical: str | None


class Engine:
    """One data path, opened by this process alone, and its idle sessions. Safe to use from any thread."""

    def __init__(
        self, path: Path, *, views: Sequence[str] = (), database: str = "weir", keep_free_bytes: int = 0
    ) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path)
        self._database = database
        self._lock = threading.Lock()
        self.broken = False
        self._idle: OrderedDict[_Key, list[Any]] = OrderedDict()
        self._parsed: dict[bytes, _Parsed] = {}
        config = write_config(path / "front", views=views, database=database, keep_free_bytes=keep_free_bytes)
        # Held for the engine's whole life: chDB reads its configuration with the first session, and shuts its engine
        # down with the last.
        self._keeper = _CONNECT(f"{self._path}?config-file={config}")
        _run(self._keeper, f"CREATE DATABASE IF NOT EXISTS {_DEFAULT} ENGINE = Atomic")
        self._mark = WriteMark(path / "front")
        for part in give_up_unfinished(self._mark, self._rows):
            log.warning(
                "part %s of %s.%s was being written when the disk refused a write, and is given up", *part[::-1]
            )
        _run(self._keeper, "SET max_query_size = 1000000000000, max_parser_depth = 0, max_parser_backtracks = 0")
        self.version: str = bytes(self._keeper.query("SELECT version()", "TSVRaw").bytes()).decode().strip()

    def execute(self, statement: Statement, role: Role = "service", *, changes: bool = True) -> QueryResult:
        """Run one statement to its end, as ``role``; ``changes`` is False where it may only read.

        Raises EngineError, and AccessError for what this role may not ask.
        """
        parsed = self._parse(statement)
        judge(parsed.kind, parsed.statements, parsed.canonical, role, changes=changes)
        if role == "analyst" and statement.database not in (*_NO_DATABASE, self._database):
            raise AccessError(497, f"analyst: Not enough privileges for database {statement.database}. (ACCESS_DENIED)")
        key = (role, changes and role != "analyst", statement.database, statement.settings)
        started = time.monotonic_ns()
        session = None
        try:
            session = self._borrow(key)
            for table in statement.external:
                _run(session, f"CREATE TEMPORARY TABLE {table.name} ({table.structure}) ENGINE = Memory")
                _insert(session, f"INSERT INTO {table.name}", f"FORMAT {table.format}", table.data)
            if statement.insert_format is not None:
                insert_end = f"{statement.insert_settings.decode()} FORMAT {statement.insert_format}"
                result, body = _insert(session, statement.sql.decode(), insert_end, statement.data), b""
                read = (0, 0)
            else:
                result = session.query(statement.sql, statement.output_format, params=dict(statement.params))
                body, read = bytes(result.bytes()), (result.rows_read(), result.bytes_read())
                result = (result.rows_written(), result.bytes_written())
            if parsed.kind != "READ_ONLY":
                self.check_writes(session)
        except Exception as error:
            if session is not None:
                session.close()
            raise EngineError(str(error)) from error
        if statement.private:
            session.close()
        else:
            self._give_back(key, session)
        return QueryResult(body, *read, *result, elapsed_ns=time.monotonic_ns() - started)

    def check_writes(self, session: Any = None) -> None:
        """Raise EngineError once the file system has refused a write of the engine, whoever it was for. ``broken`` is
        set from then on: nothing that this engine says of its data can be believed until it has started anew."""
        asking = _CONNECT(self._path) if session is None else session
        try:
            refused = int(bytes(asking.query(_FAILED_WRITES, "TSVRaw").bytes()) or b"0")
        finally:
            if session is None:
                asking.close()
        if refused:
            self.broken = True
            self._mark.refuse()
            raise EngineError(_REFUSED_WRITE)

    def close(self) -> None:
        """Close every session, and with the last of them the engine."""
        with suppress(EngineError):
            self.check_writes()
        with self._lock:
            sessions = [session for idle in self._idle.values() for session in idle]
            self._idle.clear()
        for session in (*sessions, self._keeper):
            session.close()

    def _rows(self, sql: str) -> list[list[str]]:
        text = bytes(self._keeper.query(sql, "TSVRaw").bytes()).decode()
        return [line.split("\t") for line in text.splitlines()]

    def _borrow(self, key: _Key) -> Any:
        with self._lock:
            idle = self._idle.get(key)
            if idle:
                return idle.pop()
        session = _CONNECT(self._path)
        try:
            role, changes, database, settings = key
            _run(session, f"SET ROLE weir_{role}")
            _run(session, _AS_A_SERVER)
            home = _DEFAULT if role == "service" else self._database
            _run(session, f"USE {_identifier(home if database in _NO_DATABASE else database)}")
            session_settings = dict(settings)
            readonly = session_settings.pop("readonly", "0")
            for name, value in session_settings.items():
                _run(session, f"SET {name} = {_text(value)}")
            if not changes and readonly == "0":
                readonly = "2"
            if readonly != "0":
                _run(session, f"SET readonly = {_text(readonly)}")
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
        for stale in dropped:
            stale.close()

    def _parse(self, statement: Statement) -> _Parsed:
        """What the engine itself reads in a statement: asked once, remembered for the next time. Raises EngineError."""
        sql = statement.sql
        if statement.insert_format is not None:
            sql = b"%b%b FORMAT %b" % (sql, statement.insert_settings, statement.insert_format.encode())
        known = self._parsed.get(sql)
        if known is not None:
            return known
        text = sql.decode("utf-8", "replace")
        lower = sql.lower()
        with self._lock:
            query_class = self._keeper._conn.classify_query(text)
            kind = str(query_class["query_class"]).rpartition(".")[2]
            canonical: str | None = None
            plain = kind == "READ_ONLY" or statement.insert_format is not None
            if query_class["statement_count"] == 1 and (not plain or any(word in lower for word in TRIGGERS)):
                try:
                    formatted = self._keeper.query(f"SELECT formatQuerySingleLine({_text(text)})", "TSVRaw")
                except Exception as error:
                    raise EngineError(str(error)) from error
                canonical = bytes(formatted.bytes()).decode("utf-8", "replace")
        parsed = _Parsed(kind, query_class["statement_count"], canonical)
        if len(sql) <= _REMEMBERED_BYTES:
            if len(self._parsed) >= _REMEMBERED:
                self._parsed.clear()
            self._parsed[sql] = parsed
        return parsed


def _run(session: Any, sql: str) -> None:
    session.query(sql, "TabSeparated")


def _insert(session: Any, head: str, end: str, data: bytes | memoryview) -> tuple[int, int]:
    """Rows and bytes written, of ``head FROM INFILE data end``. Raises what went wrong at any moment of the insert.

    The rows go in beside the SQL, since inline data is not binary-safe in chDB, and as a file, since chDB's streaming
    insert reports what is wrong with the rows but swallows what goes wrong while they are written: a full disk, a
    constraint, a materialised view, too many partitions.
    """
    with _rows_file(data) as file:
        # By any such path each opening has a position of its own on Linux; elsewhere it is shared, hence the rewind.
        done = session.query(f"{head} FROM INFILE '/dev/fd/{file.fileno()}' COMPRESSION 'none' {end}", "TabSeparated")
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
