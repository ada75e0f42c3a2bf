"""``weir init``: Kafka and ClickHouse that exist already, made ready for Weir, or checked."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deploy.cli.connection import JsonOption, connection
from deploy.cli.errors import FAILED

if TYPE_CHECKING:
    from schemas.rights.rights_document import ClickHouseUsers, KafkaPrincipals, RightsDocument
    from schemas.settings import Settings

Store = Literal["kafka", "clickhouse"]
_VERBS = {"create": "create", "set": "set", "by_hand": "by hand", "apply": "apply"}


@dataclass(frozen=True, slots=True)
class SetupChange:
    """One thing that a store lacks. ``action``: create or set (a topic, a user or its rights), apply (a migration),
    by_hand (what no client can do safely: ``text`` says what to do). ``config``: settings of a topic. ``statements``:
    of rights, but for those that hold a password."""

    store: Store
    subject: str
    action: Literal["create", "set", "by_hand", "apply"]
    text: str
    config: tuple[tuple[str, str], ...] = ()
    statements: tuple[str, ...] = ()


def init(
    check: Annotated[
        bool, typer.Option("--check", "--dry-run", "--plan", help="Say what would be changed, and change nothing.")
    ] = False,
    rights: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file that names users and their roles: make their rights on ClickHouse and Kafka, too."
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Make an existing Kafka and ClickHouse ready: topics and their settings, database, tables and views. Safe to
    repeat, and while Weir runs.

    WEIR_KAFKA_* and WEIR_CLICKHOUSE_* say where they are and as whom; WEIR_KAFKA_REPLICATION how many copies topics
    have; WEIR_KAFKA_EVENTS_DAYS, …_INBOX_DAYS and …_REJECTED_DAYS how long those are kept. Exit code 1 where something
    is left to do: with --check anything that is missing, without it what only an operator can do.
    """
    from deploy.cli.output import print_json, say
    from schemas.kafka.topic_retention import read_retention, retention_lines
    from schemas.kafka.topic_setup import apply_changes, topic_changes
    from schemas.kafka.topics import specifications, weir_topics
    from schemas.migrations import migrate, pending

    settings = connection()
    wanted = _wanted(rights) if rights else None
    needed = specifications(settings, weir_topics(settings))
    changes = topic_changes(settings, needed)
    migrations = pending(settings)
    if not check:
        apply_changes(settings, needed, changes)
        migrate(settings)
    report = [SetupChange("kafka", change.topic, change.action, change.text, change.config) for change in changes]
    report += [SetupChange("clickhouse", name, "apply", "") for name in migrations]
    if wanted is not None and wanted.kafka is not None:
        report += _kafka_rights(settings, wanted.kafka, check=check)
    if wanted is not None and wanted.clickhouse is not None:
        report += _clickhouse_rights(settings, wanted.clickhouse, check=check)
    left = [change for change in report if check or change.action == "by_hand"]
    retentions = read_retention(settings, needed)  # once the changes are made
    if json_output:
        print_json(
            {"applied": not check, "changes": [_json(change) for change in report], "left": len(left)}
            | {"retention_ms": {kept.topic: kept.retention_ms for kept in retentions}}
        )
    else:
        for line in (*_lines(settings, report, check=check), *retention_lines(retentions)):
            say(line)
    if left:
        raise typer.Exit(FAILED)


def _wanted(path: Path) -> RightsDocument:
    from deploy.cli.errors import USAGE, Failure
    from schemas.rights.rights_document import RightsError, read_rights

    try:
        return read_rights(path)
    except RightsError as error:
        raise Failure(str(error), USAGE) from error


def _kafka_rights(settings: Settings, wanted: KafkaPrincipals, *, check: bool) -> Iterator[SetupChange]:
    from schemas.rights.kafka_acls import add_acls, missing_acls

    changes = missing_acls(settings, wanted.principals)
    if not check:
        add_acls(settings, changes)
    for change in changes:
        if change.missing:
            yield SetupChange("kafka", change.principal, "set", f"may {', '.join(map(str, change.missing))}")
        if change.beyond:
            text = f"has more than it needs, which kafka-acls.sh --remove takes: {', '.join(change.beyond)}"
            yield SetupChange("kafka", change.principal, "by_hand", text)


def _clickhouse_rights(settings: Settings, users: ClickHouseUsers, *, check: bool) -> Iterator[SetupChange]:
    """Before the migrations are there, ``check`` knows of no views: policies then are said by the next one."""
    from schemas.clickhouse.client import connect
    from schemas.rights.clickhouse_setup import make_rights, missing_rights

    client = connect(settings, database="default")
    try:
        changes = missing_rights(client, settings, users)
        if not check:
            make_rights(client, settings, changes, salt=lambda: secrets.token_hex(16))
    finally:
        client.close()
    for change in changes:
        yield SetupChange("clickhouse", change.subject, change.action, change.text, statements=change.statements)


def _json(change: SetupChange) -> dict[str, object]:
    return {**asdict(change), "config": dict(change.config)}


def _lines(settings: Settings, report: list[SetupChange], *, check: bool) -> Iterator[str]:
    places = {
        "kafka": f"Kafka {settings.kafka_bootstrap}",
        "clickhouse": f"ClickHouse {settings.clickhouse_host}:{settings.clickhouse_port}, database"
        f" {settings.clickhouse_database}",
    }
    for store, address in places.items():
        changes = [change for change in report if change.store == store]
        yield f"{address}: {'as it should be' if not changes else ''}".rstrip()
        for change in changes:
            yield f"  {_VERBS[change.action]} {change.subject}{': ' if change.text else ''}{change.text}"
    by_hand = sum(change.action == "by_hand" for change in report)
    done = len(report) - by_hand
    if check and report:
        yield f"{done} changes would be made by `weir init`, {by_hand} are to be made by hand."
    elif report:
        yield f"{done} changes were made" + (f"; {by_hand} are to be made by hand." if by_hand else ".")
