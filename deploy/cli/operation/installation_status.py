"""``weir status`` of an installation that variables name: its processes by their /readyz, Kafka and ClickHouse by what
they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from deploy.cli.connection import Services, connection, names_stores, services
from deploy.cli.operation import status_lines
from deploy.cli.operation.not_ready import lines
from deploy.cli.operation.store_figures import (
    answer_or_trouble,
    clickhouse_version,
    figure_lines,
    lag,
    undelivered_by_namespace,
)

if TYPE_CHECKING:
    from schemas.health.readiness import UnreadyReason
    from schemas.kafka.replica_health import ReplicaHealth
    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject

_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ReadyAnswer:
    """What a process says at ``url``/readyz. ``trouble``: why it says nothing, or ""."""

    name: str
    url: str
    trouble: str
    reasons: tuple[UnreadyReason, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreStanding:
    """What Kafka and ClickHouse hold of Weir. ``changes``: topics, and ``migrations``: migrations, that `weir init`
    would make; None where that could not be asked. ``kept``: how long which topics are. ``troubles``: why something
    could not be."""

    kafka: str
    clickhouse: str
    version: str | None
    replicas: ReplicaHealth | None
    changes: tuple[str, ...] | None
    migrations: tuple[str, ...] | None
    troubles: tuple[str, ...]
    kept: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether both answer, nothing is missing and every partition has a leader."""
        partitions = self.replicas is not None and not self.replicas.leaderless
        return partitions and self.changes == () and self.migrations == () and not self.troubles


def installation_status(further: Sequence[str], *, as_json: bool) -> bool:
    """Print what the named installation says. ``further``: URLs of processes besides gateway and rating service. False
    where anything is not ready. Raises Failure where nothing says where it is."""
    from deploy.cli.output import print_json, say

    settings = connection() if names_stores(os.environ) else None
    known = services(environ={"WEIR_KEY": "none"} | dict(os.environ))  # /readyz takes no key
    places = [("gateway", known.gateway_url), ("rating", known.rating_url), *((url, url) for url in further)]
    answers = [ready_answer(name, url.rstrip("/"), known) for name, url in places if url]
    stores = None if settings is None else store_standing(settings)
    ready = all(not answer.trouble and not answer.reasons for answer in answers) and (stores is None or stores.ready)
    behind = undelivered = lost = None
    trouble = ""
    if settings is not None:
        behind, trouble = answer_or_trouble(lambda: lag(settings))
        undelivered, _ = answer_or_trouble(lambda: undelivered_by_namespace(settings))
        lost, _ = answer_or_trouble(lambda: status_lines.unmeterable(settings))
    if as_json:
        document: JsonObject = {"ready": ready, "processes": [asdict(answer) for answer in answers]}
        document |= {"stores": None if stores is None else asdict(stores) | {"ready": stores.ready}}
        document |= {"lag": behind, "lag_problem": trouble or None, "webhooks": undelivered, "unmeterable": lost}
        print_json(document)
        return ready
    for line in (*process_lines(answers), *store_lines(stores)):
        say(line)
    if settings is not None:
        for line in (*figure_lines(behind, trouble, undelivered), *status_lines.unmeterable_lines(lost or [])):
            say(line)
    return ready


def ready_answer(name: str, url: str, known: Services) -> ReadyAnswer:
    """Ask a process whether it is ready."""
    import httpx

    from schemas.health.readiness import from_json
    from schemas.http.tls_context import client_context

    with httpx.Client(timeout=_SECONDS, verify=client_context(url, known.tls)) as client:
        try:
            with client.stream("GET", f"{url}/readyz") as answer:  # each process has a document of its own
                answer.read()
            document = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return ReadyAnswer(name, url, f"does not answer ({error or type(error).__name__})")
        except ValueError:
            return ReadyAnswer(name, url, f"answers {answer.status_code} without JSON: no process of Weir's is there")
    reasons = from_json(document) if isinstance(document, dict) else ()
    silent = not reasons and answer.status_code != 200
    return ReadyAnswer(name, url, f"answers {answer.status_code} and no reason" if silent else "", reasons)


def store_standing(settings: Settings) -> StoreStanding:
    """Ask both, each by itself."""
    from schemas.kafka.replica_health import replica_health
    from schemas.migrations import pending

    replicas, no_kafka = answer_or_trouble(lambda: replica_health(settings))
    topics, no_topics = (None, "") if replicas is None else answer_or_trouble(lambda: _topics(settings))
    version, no_clickhouse = answer_or_trouble(lambda: clickhouse_version(settings))
    migrations, no_tables = (None, "") if version is None else answer_or_trouble(lambda: pending(settings))
    return StoreStanding(
        settings.kafka_bootstrap,
        f"{settings.clickhouse_host}:{settings.clickhouse_port}/{settings.clickhouse_database}",
        version,
        replicas,
        None if topics is None else topics[0],
        None if migrations is None else tuple(migrations),
        tuple(trouble for trouble in (no_kafka, no_topics, no_clickhouse, no_tables) if trouble),
        () if topics is None else topics[1],
    )


def _topics(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What `weir init` would change of the topics, and how long they are kept. Raises KafkaException."""
    from schemas.kafka.topic_retention import read_retention, retention_lines
    from schemas.kafka.topic_setup import topic_changes
    from schemas.kafka.topics import specifications, weir_topics

    needed = specifications(settings, weir_topics(settings))
    changes = tuple(f"{change.topic}: {change.text}" for change in topic_changes(settings, needed))
    return changes, tuple(retention_lines(read_retention(settings, needed)))


def process_lines(answers: Sequence[ReadyAnswer]) -> Iterator[str]:
    """For people: which processes are ready, and why others are not."""
    for answer in answers:
        place = answer.url if answer.name == answer.url else f"{answer.name} {answer.url}"
        if answer.trouble:
            yield f"{place}: {answer.trouble}"
        elif not answer.reasons:
            yield f"{place}: ready"
        yield from lines((answer.name, reason) for reason in answer.reasons)


def store_lines(stores: StoreStanding | None) -> Iterator[str]:
    """For people: what is missing in Kafka and ClickHouse."""
    if stores is None:
        yield "Kafka and ClickHouse were not asked: WEIR_KAFKA_BOOTSTRAP and WEIR_CLICKHOUSE_HOST name them"
        return
    if stores.replicas is not None:
        yield f"Kafka {stores.kafka}: {stores.replicas.brokers} brokers"
        for trouble, places in (
            ("without a leader: they take and give nothing until a broker that has them is back", "leaderless"),
            ("with fewer replicas in sync than they have", "behind"),
        ):
            if names := getattr(stores.replicas, places):
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                yield f"  {len(names)} partitions {trouble}: {', '.join(names[:5])}{more}"
    yield from (f"  {line}" for line in stores.kept)
    if stores.version is not None:
        yield f"ClickHouse {stores.clickhouse}: version {stores.version}"
    yield from (f"  {trouble}" for trouble in stores.troubles)
    for noun, missing in (("changes of topics", stores.changes), ("migrations", stores.migrations)):
        if missing:
            yield f"  `weir init` has {len(missing)} {noun} to make; `weir init --check` lists them"
