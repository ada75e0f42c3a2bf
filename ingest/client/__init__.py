"""Producer library: sends events to the gateway such that a retry is always safe.

Every event gets its idempotency key in the client, once, before the first attempt. An attempt whose response was
lost (gateway killed, connection broken) is repeated with the same keys and counts once.

``Client`` and ``AsyncClient`` send batches and wait for the response, ``void`` accepted events, ``check`` what an
account may use, and ``reserve`` it. ``Producer`` and ``AsyncProducer`` put a bounded queue in front of them.
"""

from ingest.client.aio import AsyncClient
from ingest.client.aio_producer import AsyncProducer
from ingest.client.checking import CheckResult
from ingest.client.client_reservation import AsyncClientReservation, ClientReservation
from ingest.client.history import HistorySummary, send_history
from ingest.client.producer import Closed, Producer, QueueFull
from ingest.client.reserving import ReservationUnknown
from ingest.client.sending import BatchResult, Summary
from ingest.client.sync import Client
from ingest.client.voiding import VoidTaken
from ingest.client.wire import MAX_BATCH, GatewayUnavailable, Refusal, SendError, batched

__all__ = [
    "MAX_BATCH",
    "AsyncClient",
    "AsyncClientReservation",
    "AsyncProducer",
    "BatchResult",
    "CheckResult",
    "Client",
    "ClientReservation",
    "Closed",
    "GatewayUnavailable",
    "HistorySummary",
    "Producer",
    "QueueFull",
    "Refusal",
    "ReservationUnknown",
    "SendError",
    "Summary",
    "VoidTaken",
    "batched",
    "send_history",
]
