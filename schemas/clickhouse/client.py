"""Creates ClickHouse clients (clickhouse-connect) with pinned settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from schemas.clickhouse.quorum import take_turns
from schemas.settings import Settings

Parameters: TypeAlias = dict[str, Any]
"""Values of a query's placeholders, or of its settings, by name."""

PINNED: Final[Parameters] = {
    # An acknowledged insert is on disk in its own part, with all of its materialised views.
    "async_insert": 0,
    # On a retry, block deduplication might skip a view that had failed; our sorting keys make retries safe.
    "insert_deduplicate": 0,
    # Replayed rows never occur twice in one block, and looking for duplicates in it takes 40 % of an insert's CPU.
    "optimize_on_insert": 0,
    "materialized_views_ignore_errors": 0,
    # Decimals and 64-bit numbers come back as exact text in JSON formats.
    "output_format_json_quote_decimals": 1,
}
ON_CLUSTER: Final[Parameters] = {
    "distributed_foreground_insert": 1,
    # An acknowledged insert is on most replicas, and every read sees it, whichever replica answers: deduplication and
    # the cursor rely on it. It holds only where the inserts of a table follow one another, those of one statement too,
    # hence one thread (schemas/clickhouse/quorum.py). A client waits longer than the quorum may take.
    "insert_quorum": "auto",
    "insert_quorum_parallel": 0,
    "insert_quorum_timeout": 60_000,
    "max_insert_threads": 1,
    "parallel_view_processing": 0,
    "select_sequential_consistency": 1,
    # Replicated tables refuse deletions with a subquery otherwise; ours unfold a bound list, the same on each replica.
    "allow_nondeterministic_mutations": 1,
}


def connect(
    settings: Settings,
    *,
    database: str | None = None,
    timeout_seconds: int = 300,
    settings_of_queries: Mapping[str, Any] | None = None,
) -> Client:
    """A client for Weir's database (or ``database``), without a server session, to be used from one thread at a
    time."""
    pinned = PINNED | (ON_CLUSTER if settings.clickhouse_cluster else {}) | dict(settings_of_queries or {})
    client = clickhouse_connect.get_client(
        host=settings.clickhouse_host,
        port=settings.clickhouse_port,
        username=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
        secure=settings.clickhouse_secure,
        ca_cert=settings.clickhouse_ca or None,
        client_cert=settings.clickhouse_certificate or None,
        client_cert_key=settings.clickhouse_key_file or None,
        database=database or settings.clickhouse_database,
        settings=pinned,
        autogenerate_session_id=False,
        send_receive_timeout=timeout_seconds,
        compress=False,
        query_limit=0,
        tz_mode="aware",
    )
    if settings.clickhouse_cluster:
        take_turns(client)
    return client
