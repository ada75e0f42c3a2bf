"""The worker's three Faust apps, one per consumer group, and which agent reads which topic.

    usage.inbox.*      → admit    → usage.events                                      group weir-admit
    usage.events.N     → meter    → ClickHouse usage_events (→ identities, records)   group weir-worker
    usage.rejected     → reject   → ClickHouse rejected_events                        group weir-ledgers
    usage.checkpoints  → rollup   → ClickHouse usage_windows                          group weir-ledgers
    usage.invoices     → invoices → ClickHouse invoices, invoice_lines                group weir-ledgers

Topics are delivered as raw bytes. Each agent processes one take (a list of Kafka records) at a time and
acknowledges it only after its results are durable.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import faust
from faust.types import TP

from schemas.kafka.topics import (
    ADMIT_GROUP,
    CHECKPOINTS,
    INBOX_PREFIX,
    INVOICES,
    LEDGERS_GROUP,
    REJECTED,
    events_topic,
)
from schemas.settings import Settings
from stream_processors.fetching.bounded import BoundedApp
from stream_processors.fetching.flush_pause import ENOUGH_RECORDS
from stream_processors.fetching.take_stream import TakeStream
from stream_processors.threads import guarded
from stream_processors.upkeep.assignment import assigned
from stream_processors.wiring import METER_GROUP, Parts

TAKE = 512
METER_TAKE = 2 * ENOUGH_RECORDS
LOOK_SECONDS = 5.0
"""How often the admitting app looks for records that did not come."""
REBALANCE_SECONDS = 30.0
"""How long a rebalance waits for a member that is busy, frozen or lost before the group continues without it."""
_REQUEST_SECONDS = 40.0
"""For how long a silent broker is waited for; longer than a rebalance, whose answer the broker holds back so long."""


def build_app(settings: Settings, parts: Parts) -> BoundedApp:
    """The metering app (usage.events) of one worker, with its /readyz and /metrics pages.

    ``settings.worker_index`` tells workers on one machine apart; each needs a ``worker_web_port`` of its own.
    """
    # One consumer group per generation: while some workers still read the old topic, no worker is assigned partitions
    # of a topic that it does not read.
    name = METER_GROUP if settings.generation == 1 else f"{METER_GROUP}-{settings.generation}"
    pages = {"web_port": settings.worker_web_port, "web_host": settings.worker_host}
    app = _app(name, settings, stream_buffer_maxsize=METER_TAKE, **pages)

    @app.agent(_raw(app, events_topic(settings.generation)), name="meter", concurrency=1)
    async def meter(stream: Any) -> None:
        async for events in stream.noack_take(METER_TAKE, within=0.02):
            await guarded("meter", parts.agents.meter.submit(events, stream.ack, app.waiting.wait_for_enough))

    _when_reassigned(app, lambda: parts.meter.reassigned())

    async def tick() -> None:
        await parts.housekeeping.tick()
        await parts.restores.tick()

    app.timer(interval=1.0)(tick)

    @app.page("/readyz")
    async def readyz(view: Any, request: Any) -> Any:
        ready, detail = parts.health.readiness(app)
        return view.json(detail, status=200 if ready else 503)

    @app.page("/metrics")
    async def metrics(view: Any, request: Any) -> Any:
        return view.text(parts.health.metrics.text(), content_type="text/plain")

    async def seek(positions: Mapping[TP, int]) -> None:
        # One partition at a time: records read at the new position must not be dropped as already read.
        for tp, offset in positions.items():
            await app.consumer.seek(tp, offset)

    parts.seeker.bind_consumer(seek)
    _to_cursors(app, parts)
    return app


def _when_reassigned(app: BoundedApp, call: Callable[[], None]) -> None:
    """Call ``call`` whenever partitions are revoked from the app or assigned to it."""

    async def reassigned(sender: Any, /, *_: Any, signal: Any, **__: Any) -> None:
        call()

    for signal in (app.on_partitions_revoked, app.on_partitions_assigned):
        signal.connect(reassigned, weak=False)


def _to_cursors(app: faust.App, parts: Parts) -> None:
    """Make the app's consumer start assigned partitions at the cursors stored in ClickHouse.

    Faust seeks to Kafka's committed offset when partitions are assigned. The cursor may be lower: a ClickHouse that
    was restored from a backup lies behind the commit.
    """
    transport: Any = app.transport

    class ToCursors(transport.Consumer):  # type: ignore[misc]  # the driver's class, known at run time only
        async def perform_seek(self) -> None:
            await super().perform_seek()
            for tp, offset in (await parts.cursors.targets(self.assignment())).items():
                await self.seek(tp, offset)

    transport.Consumer = ToCursors


def build_admit_app(settings: Settings, parts: Parts) -> BoundedApp:
    """The inboxes' app, in a consumer group of its own, so that declaring a namespace rebalances this group and not
    metering."""
    app = _app(ADMIT_GROUP, settings, web_enabled=False)

    # Faust has no topic patterns: the inboxes are listed by name, and ``follow_inboxes`` adds new ones.
    @app.agent(_raw(app, *parts.inboxes.names()), name="admit", concurrency=1)
    async def admit(stream: Any) -> None:
        async for events in stream.noack_take(TAKE, within=0.05):
            await guarded("admit", parts.agents.inbox.take(events, stream.ack, app.consumer.seek))
            # On a rebalance Faust loses acknowledgements that it has not committed; the events would be admitted a
            # second time and be counted as duplicates.
            await app.consumer.commit({event.message.topic for event in events})

    _when_reassigned(app, lambda: parts.agents.inbox.reassigned())

    async def follow() -> None:
        await follow_inboxes(app, parts)

    app.timer(interval=1.0)(follow)

    async def look() -> None:
        if not app.rebalancing:
            owned_inboxes = [(tp.topic, tp.partition) for tp in assigned(app)]
            await parts.agents.inbox.read_overdue(owned_inboxes, app.consumer.seek)

    app.timer(interval=LOOK_SECONDS)(look)
    return app


def build_ledgers_app(settings: Settings, parts: Parts) -> BoundedApp:
    """The app of the ledger topics and of rejections, in a consumer group of its own.

    A rebalance waits until every member has finished its current take (``stream_wait_empty``). A roll-up may take
    minutes, and metering must not pause for it.
    """
    app = _app(LEDGERS_GROUP, settings, web_enabled=False)

    @app.agent(_raw(app, REJECTED), name="reject", concurrency=1)
    async def reject(stream: Any) -> None:
        async for events in stream.noack_take(TAKE, within=0.2):
            await guarded("reject", parts.agents.rejections.take(events, stream.ack))

    @app.agent(_raw(app, CHECKPOINTS), name="rollup", concurrency=1)
    async def rollup(stream: Any) -> None:
        async for events in stream.noack_take(TAKE, within=0.05):
            await guarded("roll up", parts.agents.roll_up.take(events, stream.ack))

    @app.agent(_raw(app, INVOICES), name="invoices", concurrency=1)
    async def invoices(stream: Any) -> None:
        async for events in stream.noack_take(TAKE, within=0.2):
            await guarded("copy invoices", parts.agents.invoices.take(events, stream.ack))

    return app


def _raw(app: faust.App, *topics: str) -> Any:
    return app.topic(*topics, value_type=bytes, value_serializer="raw", key_serializer="raw", internal=False)


def _app(name: str, settings: Settings, **options: Any) -> BoundedApp:
    return BoundedApp(
        name,
        broker=[f"aiokafka://{address}" for address in settings.kafka_bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        datadir=os.path.join(settings.data_dir, f"{name}-{settings.worker_index}"),
        key_serializer="raw",
        value_serializer="raw",
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=settings.partitions,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=5_000,
        broker_session_timeout=settings.worker_session_timeout,
        broker_heartbeat_interval=settings.worker_session_timeout / 3,
        broker_max_poll_interval=1_000.0,
        broker_request_timeout=max(_REQUEST_SECONDS, settings.worker_session_timeout + 10),
        broker_rebalance_timeout=REBALANCE_SECONDS,
        broker_commit_interval=1.0,
        stream_wait_empty=True,
        worker_redirect_stdouts=False,
        autodiscover=False,
        Stream=TakeStream,
        **{"stream_buffer_maxsize": TAKE} | options,
    )


async def follow_inboxes(app: faust.App, parts: Parts) -> None:
    """Subscribe to the inboxes of namespaces declared since the last call; Kafka then rebalances the group."""
    names = parts.inboxes.names()
    channels: list[Any] = [
        channel for channel in app.topics if any(name.startswith(INBOX_PREFIX) for name in channel.topics)
    ]
    if app.rebalancing or all(set(names) <= set(channel.topics) for channel in channels):
        return
    for channel in channels:
        channel.topics = [*channel.topics, *(name for name in names if name not in channel.topics)]
    conductor: Any = app.topics
    await app.consumer.subscribe(await conductor._update_indices())


def _credentials(settings: Settings) -> Any:
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return None
    import ssl

    context = ssl.create_default_context(cafile=settings.kafka_ssl_ca or None) if protocol.endswith("SSL") else None
    if context is not None and settings.kafka_ssl_certificate:
        password = settings.kafka_ssl_key_password.get_secret_value()
        context.load_cert_chain(settings.kafka_ssl_certificate, settings.kafka_ssl_key_file, password or None)
    if protocol == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password.get_secret_value(),
        ssl_context=context,
        mechanism=settings.kafka_sasl_mechanism,
    )
