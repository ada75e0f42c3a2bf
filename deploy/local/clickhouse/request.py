"""Reading a request of ClickHouse's HTTP interface: pure functions from bytes to a ``Statement``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import cramjam

from schemas.errors import WeirError

# URL arguments that steer the HTTP interface itself; every other one is a setting of the query.
# The last five are settings that only shape ClickHouse's own HTTP answers, which the front shapes itself.
_INTERFACE = frozenset(
    """query database default_format session_id session_timeout session_check close_session query_id user
    password quota_key role stacktrace compress decompress wait_end_of_query buffer_size client_protocol_version
    enable_http_compression http_zlib_compression_level send_progress_in_http_headers
    http_headers_progress_interval_ms cancel_http_readonly_queries_on_client_close""".split()  # noqa: SIM905
)
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
# All patterns here are over text from outside. None gives back what it has matched (possessive, atomic), so that each
# is linear in its text, and an element that is never closed reaches to the end instead of being tried at each
# character.
_SKIP = rb"(?:\s++|--[^\n]*+|/\*(?>.*?\*/))*+"
_INSERT_HEAD = re.compile(_SKIP + rb"INSERT\s++INTO\b", re.IGNORECASE | re.DOTALL)
# One lexical element of a statement; strings, identifiers and comments are stepped over whole.
_ELEMENT = re.compile(
    rb"'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|`(?:[^`\\]|\\.)*+(?:`|\\?\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\\?\Z)"
    rb"|--[^\n]*+|/\*(?>.*?(?:\*/|\Z))|[A-Za-z_]\w*+|[()]|\s++|.",
    re.DOTALL,
)
_FORMAT_NAME = re.compile(_SKIP + rb"([A-Za-z_]\w*+)[ \t\f]*+;?[ \t\f]*+\r?\n?", re.DOTALL)
_ASSIGNS = re.compile(rb"\s*+[A-Za-z_]\w*+\s*+=")
_FIRST_WORD = re.compile(_SKIP + rb"(\(|[A-Za-z]++)", re.DOTALL)
_ANSWERING = frozenset(b"SELECT WITH SHOW DESCRIBE DESC EXISTS EXPLAIN CHECK VALUES FROM KILL (".split())
_CODECS: dict[str, Callable[[bytes], Any]] = {
    "lz4": cramjam.lz4.decompress,
    "zstd": cramjam.zstd.decompress,
    "gzip": cramjam.gzip.decompress,
    "deflate": cramjam.zlib.decompress,
}
_TEMPORARY = re.compile(rb"\bTEMPORARY\b", re.IGNORECASE)


class RequestError(WeirError):
    """The request cannot be read; ``code`` is ClickHouse's number of the error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class External:
    """A table that travels with its query: ``structure`` is a column list such as ``id UInt64, name String``."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """One query, ready for the engine.

    ``insert_format`` is set where the rows travel in ``data``; then ``sql`` ends before FORMAT, and before SETTINGS,
    which are in ``insert_settings``.
    ``private`` statements change their session, which therefore must serve nobody else afterwards.
    """

    sql: bytes
    database: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    insert_format: str | None = None
    insert_settings: bytes = b""
    data: bytes | memoryview = b""
    output_format: str = "TabSeparated"
    answers: bool = False
    private: bool = False
    external: tuple[External, ...] = ()
    query_id: str = ""


def split_insert(query: bytes) -> tuple[bytes, str, int, bytes] | None:
    """Where the rows of an ``INSERT … FORMAT name`` begin: (SQL before SETTINGS and FORMAT, format, offset of the data,
    SETTINGS).

    None for everything else, also for ``INSERT … SELECT`` and ``INSERT … VALUES``, whose rows are SQL.
    As in ClickHouse, blanks and at most one newline after the format's name do not belong to the data.
    """
    head = _INSERT_HEAD.match(query)
    if head is None:
        return None
    settings_at: int | None = None
    depth, named = 0, False
    for start, word in _elements(query, head.end()):
        if word == b"(":
            depth += 1
        elif word == b")":
            depth -= 1
        elif depth == 0 and word[:1].isalpha():
            keyword = word.upper()
            if keyword in (b"VALUES", b"SELECT", b"WITH", b"FROM"):
                return None
            # The first word names the table, whatever it is called.
            if keyword == b"SETTINGS" and named and _ASSIGNS.match(query, start + len(word)):
                settings_at = start
            if keyword == b"FORMAT":
                name = _FORMAT_NAME.match(query, start + len(word))
                if name is None:
                    return None
                at = start if settings_at is None else settings_at
                return query[:at], name.group(1).decode(), name.end(), query[at:start]
        named = named or not (word.isspace() or word[:2] in (b"--", b"/*"))
    return None


def _elements(query: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """The lexical elements from ``position`` on, each with its place."""
    while (element := _ELEMENT.match(query, position)) is not None:
        yield position, element.group()
        position = element.end()


def format_at_end(query: bytes) -> str | None:
    """The format that a query names for its answer, in the last FORMAT clause outside of strings and comments."""
    if b"FORMAT" not in query[-4096:].upper():
        return None
    name: str | None = None
    follows = False
    for _, word in _elements(query, 0):
        if word.isspace() or word[:2] in (b"--", b"/*"):
            continue
        if follows and word[:1].isalpha():
            name = word.decode()
        follows = word.upper() == b"FORMAT"
    return name


def read_statement(url_query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> Statement:
    """The statement of one request. ``headers`` have lower-case names. Raises RequestError."""
    arguments = parse_qsl(url_query.decode("utf-8", "replace"), keep_blank_values=True)
    body = decode_body(body, headers.get(b"content-encoding", b"").decode("latin-1"))
    url_sql = "".join(value for name, value in arguments if name == "query").encode()
    external: tuple[External, ...] = ()
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    if content_type.lower().startswith("multipart/form-data"):
        texts, files = read_form(content_type, body)
        arguments += [(name, value.decode("utf-8", "replace")) for name, value in texts if name != "query"]
        query = url_sql + b"".join(value for name, value in texts if name == "query")
        external = tuple(_external(name, data, dict(arguments)) for name, data in files)
    else:
        query = url_sql + b"\n" + body if url_sql and body else url_sql or body
    of_tables = {f"{table.name}_{suffix}" for table in external for suffix in ("format", "types", "structure")}
    named = dict(arguments)
    settings = []
    for name, value in sorted(named.items()):
        if name in _INTERFACE or name in of_tables or name.startswith("param_"):
            continue
        if not _SETTING_NAME.match(name):
            raise RequestError(115, f"Unknown setting '{name}'. (UNKNOWN_SETTING)")
        settings.append((name, value))
    if not query.strip():
        raise RequestError(62, "Syntax error: Empty query. (SYNTAX_ERROR)")
    insert = split_insert(query)
    first_word = _FIRST_WORD.match(query)
    word = first_word.group(1).upper() if first_word else b""
    return Statement(
        sql=insert[0] if insert else query,
        database=named.get("database", ""),
        settings=tuple(settings),
        params={name[6:]: value for name, value in arguments if name.startswith("param_")},
        insert_format=insert[1] if insert else None,
        insert_settings=insert[3] if insert else b"",
        data=memoryview(query)[insert[2] :] if insert else b"",
        output_format=(None if insert else format_at_end(query)) or named.get("default_format") or "TabSeparated",
        answers=word in _ANSWERING,
        private=word in (b"SET", b"USE") or bool(external) or _TEMPORARY.search(query, 0, 200) is not None,
        external=external,
        query_id=named.get("query_id", ""),
    )


def decode_body(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding (gzip, deflate, zstd or an lz4 frame). Raises RequestError."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    codec = _CODECS.get(encoding)
    if codec is None:
        raise RequestError(48, f"Content-Encoding {encoding} is not understood; send {', '.join(_CODECS)} or none")
    try:
        return bytes(codec(body))
    except Exception as error:
        raise RequestError(354, f"Cannot decompress a body of encoding {encoding}: {error}") from error


def read_form(content_type: str, body: bytes) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """The parts of a multipart form, as (plain fields, files), each a list of (name, bytes).

    Raises RequestError where the form has no boundary.
    """
    boundary = re.search(r'\bboundary="?([^";]++)', content_type)
    if boundary is None:
        raise RequestError(36, "multipart form without a boundary")
    texts: list[tuple[str, bytes]] = []
    files: list[tuple[str, bytes]] = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.group(1).encode())[1:]:
        head, separator, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'\bname="([^"]*+)"', head)
        if not separator or name is None:
            continue
        target = files if re.search(rb'\bfilename="', head) else texts
        target.append((name.group(1).decode(), value))
    return texts, files


def _external(name: str, data: bytes, arguments: Mapping[str, str]) -> External:
    structure = arguments.get(f"{name}_structure", "")
    if not structure:
        types = [kind for kind in _split_types(arguments.get(f"{name}_types", "")) if kind]
        structure = ", ".join(f"_{number} {kind}" for number, kind in enumerate(types, 1))
    if not re.match(r"[A-Za-z_]\w*\Z", name) or not structure:
        raise RequestError(36, f"external table {name!r} needs {name}_structure or {name}_types. (BAD_ARGUMENTS)")
    return External(name, structure, arguments.get(f"{name}_format", "TabSeparated"), data)


def _split_types(text: str) -> Iterable[str]:
    """Commas outside of brackets separate: ``Array(String),Decimal(38, 12)`` is two types."""
    depth, start = 0, 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            yield text[start:index].strip()
            start = index + 1
    yield text[start:].strip()
