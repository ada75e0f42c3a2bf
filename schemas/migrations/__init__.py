"""Database migrations: the numbered SQL files in this folder, each applied once and recorded in
``schema_migrations``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.client import Client

from schemas.clickhouse.client import connect
from schemas.errors import WeirError
from schemas.settings import Settings

FOLDER: Final = Path(__file__).parent
_VIEW = re.compile(r"^CREATE (?:OR REPLACE )?VIEW (?:IF NOT EXISTS )?\{database\}\.(\w+)", re.MULTILINE)
_ENGINE = re.compile(r"\{engine:(\w+)\}")


class MigrationError(WeirError):
    """The database was migrated by a newer release; the message names the migration."""


def files() -> list[tuple[int, Path]]:
    """All migrations as (number, file), ascending."""
    return sorted((int(path.name.split("_", 1)[0]), path) for path in FOLDER.glob("[0-9]*_*.sql"))


def statements(sql: str, *, database: str, cluster: str) -> Iterator[str]:
    """The statements of one file, for a single server or, if ``cluster`` is not empty, with ON CLUSTER and
    Replicated engines."""
    on_cluster = f"ON CLUSTER '{cluster}'" if cluster else ""
    engine = r"Replicated\1" if cluster else r"\1"
    text = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    text = _ENGINE.sub(engine, text).replace("{database}", database).replace("{on_cluster}", on_cluster)
    for statement in text.split(";\n"):
        if statement.strip().rstrip(";"):
            yield statement.strip().rstrip(";")


def view_names() -> list[str]:
    """Sorted names of the analysts' views that the migrations create."""
    return sorted({name for _, path in files() for name in _VIEW.findall(path.read_text())})


def pending(settings: Settings) -> list[str]:
    """Names of the migrations that ``migrate`` would apply, in order; changes nothing. Raises MigrationError."""
    database = settings.clickhouse_database
    client = connect(settings, database="default")
    try:
        held = client.query(
            "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'",
            parameters={"database": database},
        )
        done = _done(client, database) if held.result_rows[0][0] else set()
        return [path.stem for _, path in _missing(done, database)]
    finally:
        client.close()


def migrate(settings: Settings) -> list[int]:
    """Apply missing migrations in order; returns their numbers. Safe to repeat and to run from several processes at
    once.

    Every statement has IF NOT EXISTS, so an interrupted run is simply repeated. Raises MigrationError if the
    database has a migration that this release does not know.
    """
    database, cluster = settings.clickhouse_database, settings.clickhouse_cluster
    on_cluster = f"ON CLUSTER '{cluster}'" if cluster else ""
    engine = "ReplicatedReplacingMergeTree" if cluster else "ReplacingMergeTree"
    client = connect(settings, database="default")
    try:
        client.command(f"CREATE DATABASE IF NOT EXISTS {database} {on_cluster}")
        client.command(
            f"CREATE TABLE IF NOT EXISTS {database}.schema_migrations {on_cluster} "
            f"(number UInt32, name String) ENGINE = {engine} ORDER BY number"
        )
        applied: list[int] = []
        for number, path in _missing(_done(client, database), database):
            for statement in statements(path.read_text(), database=database, cluster=cluster):
                client.command(statement)
            client.insert(
                "schema_migrations", [[number, path.stem]], column_names=["number", "name"], database=database
            )
            applied.append(number)
        return applied
    finally:
        client.close()


def _done(client: Client, database: str) -> set[int]:
    return {int(row[0]) for row in client.query(f"SELECT number FROM {database}.schema_migrations FINAL").result_rows}


def _missing(done: set[int], database: str) -> list[tuple[int, Path]]:
    known = files()
    if unknown := done - {number for number, _ in known}:
        raise MigrationError(
            f"database {database} has migration {max(unknown)}, which this version of Weir does not know; run a "
            "newer Weir"
        )
    return [(number, path) for number, path in known if number not in done]
