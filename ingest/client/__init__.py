"""Producer library: sends events to the gateway so that a retry is always safe.

Every event gets its idempotency key here, once, before the first attempt; so an attempt whose answer was lost (a
gateway killed in the middle, a broken connection) is sent again with the same keys, and counts once.

``Client`` and ``AsyncClient`` send batches and wait, and ``void`` what was accepted; ``Producer`` and ``AsyncProducer``
put a bounded queue before them.
"""

from ingest.client.aio import AsyncClient
from ingest.client.aio_producer import AsyncProducer
from ingest.client.history import HistorySummary, send_history
from ingest.client.producer import Closed, Producer, QueueFull
from ingest.client.sending import BatchResult, Summary
from ingest.client.sync import Client
from ingest.client.voids import VoidTaken
from ingest.client.wire import MAX_BATCH, GatewayUnavailable, Refusal, SendError, batched

__all__ = [
    "MAX_BATCH",
    "AsyncClient",
    "AsyncProducer",
    "BatchResult",
    "Client",
    "Closed",
    "GatewayUnavailable",
    "HistorySummary",
    "Producer",
    "QueueFull",
    "Refusal",
    "SendError",
    "Summary",
    "VoidTaken",
    "batched",
    "send_history",
]
