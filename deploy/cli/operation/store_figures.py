"""What `weir status` asks Kafka and ClickHouse themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject

T = TypeVar("T")


def lag(settings: Settings) -> dict[str, int]:
    """Partition of usage.events → packed batches that are in the log and not metered yet."""
    from rating.close.checkpoint import end_offsets
    from schemas.clickhouse.client import connect
    from schemas.ledgers.checkpoints import read_progress

    ends = end_offsets(settings)
    client = connect(settings)
    try:
        progress = read_progress(client)
    finally:
        client.close()
    return {
        f"{generation}/{partition}": max(0, end - progress.get((generation, partition), 0))
        for (generation, partition), end in sorted(ends.items())
    }


def undelivered_by_namespace(settings: Settings) -> list[JsonObject]:
    """Namespaces with messages that wait or were given up."""
    from rating.webhooks.store import undelivered
    from schemas.clickhouse.client import connect

    client = connect(settings)
    try:
        return undelivered(client)
    finally:
        client.close()


def clickhouse_version(settings: Settings) -> str:
    """The server's version. Raises clickhouse_connect's errors."""
    from schemas.clickhouse.client import connect

    client = connect(settings, database="default")
    try:
        return str(client.query("SELECT version()").result_rows[0][0])
    finally:
        client.close()


def answer_or_trouble(ask: Callable[[], T]) -> tuple[T | None, str]:
    """The answer and "", or None and one line that says why there is none. What is a bug of ours is raised."""
    from deploy.cli.errors import explain

    try:
        return ask(), ""
    except Exception as error:
        text = explain(error)
        if text is None:
            raise
        return None, text


def figure_lines(behind: dict[str, int] | None, trouble: str, undelivered: list[JsonObject] | None) -> list[str]:
    """Lines for people: lag, and the webhooks that wait."""
    if behind is None:
        lines = [f"lag: not known ({trouble})"]
    else:
        detail = ", ".join(f"{partition}: {count}" for partition, count in behind.items())
        lines = [f"lag: {sum(behind.values())} packed batches not metered yet (generation/partition {detail})"]
    for hook in undelivered or ():
        counts = f"{hook['waiting']} messages waiting, {hook['given_up']} given up"
        lines.append(f"webhook of {hook['namespace']}: {counts}; `weir webhook status -n {hook['namespace']}`")
    return lines
