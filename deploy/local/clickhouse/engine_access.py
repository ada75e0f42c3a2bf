"""Who may do what with the local ClickHouse: its users, the engine's own grants for them, and what those cannot say.

The engine has one user, ``default``, with one role for each kind of client; a session takes the role of the client that
it works for. Workers and rating have the grants of ``schemas.rights``, as on a server. Grants, and constraints on
settings, are the engine's. Judged here is what the engine has no grant for: a few functions that read files, disks that
a statement defines, and files that chDB reads and writes as a client would.
That is judged on the engine's own parse of the statement (its class and its canonical text), never on the text as it
came.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from schemas.errors import WeirError
from schemas.rights.clickhouse_roles import ClickHouseRole, by_target, privileges, role_name

Role = Literal["service", "analyst", "worker", "rating"]
PROCESS_ROLES: tuple[Literal["worker", "rating"], ...] = ("worker", "rating")
"""Roles of processes, whose users are called after them (``role_name``) and have the stack's own password."""
ANALYST = "analyst"
"""Name of the user that reads the documented views, and no more."""

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
# Words of the raw text without which no statement needs to be parsed for what follows.
TRIGGERS = (
    *(b"file", b"disk", b"executable", b"python", b"arrowstream", b"eval", b"bigquery", b"queryrunner", b"rocksdb"),
    *(b"system", b"process", b"merge"),
)
_FUNCTIONS = frozenset(
    """file disk executable executablepool python arrowstream eval bigquery queryrunner embeddedrocksdb datalakecatalog
    catboostevaluate""".split()  # noqa: SIM905
)
_GRANTED_ENGINES = (
    *(f"{kind}MergeTree" for kind in ("", "Replacing", "Summing", "Aggregating", "Collapsing", "VersionedCollapsing")),
    *("Memory", "Null", "Join", "Set", "Buffer", "Merge", "Log", "TinyLog", "StripeLog"),
)
_ENGINES = frozenset(_GRANTED_ENGINES) | {"Atomic"}
# What lists the objects that one may see, and what every client asks when it connects.
_SYSTEM_TABLES = frozenset(
    """tables columns databases settings one numbers functions formats data_type_families table_functions time_zones
    build_options contributors collations""".split()  # noqa: SIM905
)
# Settings that name a file or an address, or another language; the engine refuses to change them.
_CONSTANT_SETTINGS = (
    "format_template_row", "format_template_resultset", "format_schema", "output_format_schema",
    "format_avro_schema_registry_url", "input_format_record_errors_file_path", "rename_files_after_processing",
    "dialect", "allow_experimental_eval_table_function", "ai_function_text_default_credentials",
    "ai_function_embedding_default_credentials", "default_view_definer",
)  # fmt: skip
# How often an expression was asked for when the engine makes machine code of it. That takes it some 60 ms, and names,
# instants and namespaces are parts of an expression: with its own 3 it compiled for each account and period again,
# which was some tenth of its work under tests.
_COMPILED = tuple(f"min_count_to_compile_{what}" for what in ("expression", "aggregate_expression", "sort_description"))
_COMPILED_FROM = 1000
# Seconds until a table with nothing to merge or move looks for it again; a write makes it look at once. By the default
# of 0.1 the looks of some 45 tables were most of what an engine does that nobody asks.
_LOOKS = {"background": 1, "background_move": 60, "background_streaming": 60}
_LOOK = "processing_pool_thread_sleep_seconds_if_nothing_to_do"
_ELEMENT = re.compile(r"'(?:[^'\\]|\\.)*+'?|`(?:[^`\\]|\\.)*+`?|\"(?:[^\"\\]|\\.)*+\"?|[A-Za-z_]\w*+|\s++|.", re.DOTALL)


class AccessError(WeirError):
    """A request or statement is not allowed; ``code`` is ClickHouse's number of the error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Accounts:
    """Name and password of the stack's own user, and the analyst's password; an empty password opens nothing."""

    user: str
    password: str
    analyst_password: str

    def role(self, user: str, password: str) -> Role:
        """The role of who says this. Raises AccessError."""
        known: dict[str, tuple[str, Role]] = {
            ANALYST: (self.analyst_password, "analyst"),
            **{role_name(role): (self.password, role) for role in PROCESS_ROLES},
            self.user: (self.password, "service"),
        }
        right, role = known.get(user, ("", "analyst"))
        if not hmac.compare_digest(right.encode(), password.encode()) or not right:
            raise AccessError(
                516,
                f"{user}: Authentication failed: password is incorrect, or there is no user with such name. "
                "`weir status` says where the stack keeps its passwords. (AUTHENTICATION_FAILED)",
            )
        return role


def check_origin(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what a page of a browser sends, or a name that only leads here by somebody's DNS. Raises AccessError."""
    host = headers.get(b"host", b"").decode("latin-1")
    if _name(host) not in LOOPBACK_NAMES:
        raise AccessError(
            497, f"Host {host[:100]!r} is not of this machine; use 127.0.0.1 or localhost. (ACCESS_DENIED)"
        )
    origin = headers.get(b"origin")
    if origin is not None and origin.decode("latin-1").lower() != f"http://{host}".lower():
        raise AccessError(497, "a page of another origin may not ask here. (ACCESS_DENIED)")
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        raise AccessError(497, "a page of another site may not ask here. (ACCESS_DENIED)")


def _name(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
        return "" if parts.username is not None or parts.path else (parts.hostname or "")
    except ValueError:
        return ""


def judge(kind: str, statements: int, canonical: str | None, role: Role, *, changes: bool) -> None:
    """Refuse what this role may not ask. ``kind`` and ``statements`` are the engine's class and count; ``canonical`` is
    the engine's formatting of the statement, None where nothing of ``TRIGGERS`` stands in it; ``changes`` is False for
    GET.

    Raises AccessError.
    """
    if statements > 1:
        # A server refuses a batch of statements; chDB would run it, and what works here must work there.
        raise AccessError(62, "Syntax error (Multi-statements are not allowed). (SYNTAX_ERROR)")
    if kind != "READ_ONLY" and statements == 1:
        if role == "analyst":
            raise AccessError(497, "analyst: Not enough privileges. An analyst reads. (ACCESS_DENIED)")
        if not changes:
            raise AccessError(164, "Cannot execute query in readonly mode: GET changes nothing, use POST. (READONLY)")
        if kind not in ("READ_ONLY", "MUTATING") and not _session_statement(canonical or ""):
            raise AccessError(497, "this statement is switched off in the local stack. (ACCESS_DENIED)")
    if canonical is not None:
        _judge_words(tuple(_words(canonical)), role, reads=kind == "READ_ONLY")


def _session_statement(canonical: str) -> bool:
    """Whether a statement that the engine classes as one of control only concerns its session, ends a query, or changes
    a table (ALTER TABLE with SETTINGS of its own, which the engine's grants and limits of settings judge as they do
    without)."""
    words = [word.upper() for word in _words(canonical[:200])][:3]
    if words[:1] == ["SET"]:
        return words[1:2] not in (["ROLE"], ["DEFAULT"])
    if words[:1] == ["SYSTEM"]:
        return words[1:3] in (["STOP", "MERGES"], ["START", "MERGES"])
    return words[:1] in (["USE"], ["CREATE"]) or words[:2] in (["KILL", "QUERY"], ["ALTER", "TABLE"])


def _judge_words(words: Sequence[str], role: Role, *, reads: bool) -> None:
    for index, word in enumerate(words):
        following = words[index + 1 : index + 3]
        name = word.strip('`"').lower()
        if word.upper() in ("INFILE", "OUTFILE") and words[index - 1].upper() in ("FROM", "INTO"):
            raise AccessError(497, f"{word} is switched off in the local stack. (ACCESS_DENIED)")
        if name in _FUNCTIONS and following[:1] == ("(",):
            raise AccessError(497, f"{name}() is switched off in the local stack. (ACCESS_DENIED)")
        if not reads and word.upper() == "ENGINE" and following[:1] == ("=",):
            engine = following[1].strip("`")  # the engine quotes what is a word of SQL too: `Null`
            if engine not in _ENGINES:
                raise AccessError(497, f"engine {engine} is switched off in the local stack. (ACCESS_DENIED)")
        if role == "analyst":
            if name == "system" and following[:1] == (".",) and following[1].strip('`"').lower() not in _SYSTEM_TABLES:
                raise AccessError(497, f"analyst: Not enough privileges for system.{following[1]}. (ACCESS_DENIED)")
            if name in ("merge", "processlist"):
                raise AccessError(497, f"analyst: Not enough privileges for {word}. (ACCESS_DENIED)")


def _words(canonical: str) -> Iterator[str]:
    """What is not blank in the engine's own formatting, which has no comments; strings and quoted names are one word. A
    bracket after a blank is " (": it opens a list of columns, where a function's arguments stand directly behind its
    name."""
    blank = True
    for match in _ELEMENT.finditer(canonical):
        word = match.group()
        if word.isspace():
            blank = True
            continue
        yield " (" if word == "(" and blank else word
        blank = False


def write_config(folder: Path, *, views: Sequence[str], database: str, keep_free_bytes: int) -> Path:
    """Write the engine's configuration; the path of its main file. ``views`` of ``database`` are an analyst's to
    read."""
    folder.mkdir(parents=True, exist_ok=True)
    config, users = folder / "config.xml", folder / "users.xml"
    looks = "".join(f"<{pool}_{_LOOK}>{seconds}</{pool}_{_LOOK}>" for pool, seconds in _LOOKS.items())
    paths = {"users": _xml(str(users)), "folder": _xml(str(folder))}
    config.write_text(_CONFIG.format(**paths, keep_free=keep_free_bytes, looks=looks))
    constant = "".join(f"<{name}><const/></{name}>" for name in _CONSTANT_SETTINGS)
    grants = _grants("analyst", database, views)
    engines = "".join(f"<query>GRANT TABLE ENGINE ON {engine}</query>" for engine in _GRANTED_ENGINES)
    rarely = "".join(f"<{name}>{_COMPILED_FROM}</{name}>" for name in _COMPILED)
    processes = {role: _grants(role, database, ()) for role in PROCESS_ROLES}
    users.write_text(
        _USERS.format(
            rarely_compiled=rarely, constant=constant, views=grants, engines=engines, database=database, **processes
        )
    )
    return config


def _grants(role: ClickHouseRole, database: str, views: Sequence[str]) -> str:
    rights = privileges(role, database, views=tuple(views), cluster=False)
    return "".join(f"<query>GRANT {text}</query>" for text in by_target(rights))


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


_CONFIG = """\
<clickhouse>
 <users_config>{users}</users_config>
 <user_files_path>{folder}/none/</user_files_path>
 <user_scripts_path>{folder}/none/</user_scripts_path>
 <format_schema_path>{folder}/none/</format_schema_path>
 <remote_url_allow_hosts></remote_url_allow_hosts>
 <access_control_improvements>
  <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
  <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
  <table_engines_require_grant>true</table_engines_require_grant>
  <enable_read_write_grants>true</enable_read_write_grants>
 </access_control_improvements>
 <storage_configuration>
  <disks><default><keep_free_space_bytes>{keep_free}</keep_free_space_bytes></default></disks>
 </storage_configuration>
 <memory_worker_period_ms>500</memory_worker_period_ms>
 {looks}
</clickhouse>
"""
_USERS = """\
<clickhouse>
 <profiles><default>{rarely_compiled}<constraints>{constant}</constraints></default></profiles>
 <quotas><default/></quotas>
 <roles>
  <weir_service><grants>
   <query>GRANT SHOW, SELECT, INSERT, ALTER, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW ON *.*</query>
   <query>GRANT TRUNCATE, OPTIMIZE, CREATE DATABASE, DROP DATABASE, CHECK ON *.*</query>
   <query>REVOKE ALTER FREEZE PARTITION, ALTER FETCH PARTITION, ALTER MOVE PARTITION ON *.*</query>
   <query>GRANT CREATE TEMPORARY TABLE, CREATE ARBITRARY TEMPORARY TABLE, KILL QUERY, SYSTEM MERGES ON *.*</query>
   <query>GRANT SET DEFINER ON *</query>
   {engines}
  </grants></weir_service>
  <weir_worker><grants>{worker}</grants></weir_worker>
  <weir_rating><grants>{rating}</grants></weir_rating>
  <weir_analyst><grants><query>GRANT SHOW DATABASES ON {database}.*</query>{views}</grants></weir_analyst>
 </roles>
 <users>
  <default>
   <password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
   <grants><query>GRANT weir_service</query><query>GRANT weir_analyst</query>
    <query>GRANT weir_worker</query><query>GRANT weir_rating</query></grants>
  </default>
 </users>
</clickhouse>
"""
