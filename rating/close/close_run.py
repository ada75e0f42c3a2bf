"""Runs a close: its connections, ledgers and snapshot, and what is wrong with what it was asked for."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

from rating.close.billing_run import Close
from rating.close.checklist.checks import ChecklistPoint
from rating.close.close_request import CloseRequest, FollowedLedgers
from rating.close.result import CloseResult
from rating.invoices.ledger import followed_invoices
from rating.invoices.waiting import CloseError, Progress
from schemas.clickhouse.client import connect
from schemas.kafka.clock import TOLERANCE_US, kafka_time_us, words
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.folds.fold_file import is_damage
from schemas.settings import Settings
from schemas.values.instants import micros, rfc3339


def run_close(
    settings: Settings,
    namespace: str | None,
    as_of: datetime | None,
    now: datetime,
    on_progress: Progress,
    dry_run: bool = False,
    *,
    strict: bool = False,
    on_checks: Callable[[tuple[ChecklistPoint, ...]], None] = lambda _: None,
    subscription: str = "",
    reached: frozenset[str] = frozenset(),
    ahead: timedelta = timedelta(),
) -> CloseResult:
    """Bill every period of ``namespace`` (None: the settings') that is due at ``as_of`` (None: now). Blocking.

    ``now``: the real present; ``ahead``: how far the namespace's clock is ahead of it (``Namespace.now``).

    ``on_checks`` is called with the checklist before anything is billed; with ``strict`` nothing is billed if it
    has findings. ``subscription``, ``reached``: as of ``CloseRequest``. A dry run waits for metering, rates live
    usage, and writes nothing. Raises CloseError if it cannot continue, and LedgerUnavailable if Kafka does not
    answer; running it again is safe after either.
    """
    name = namespace or settings.namespace
    until = as_of or now + ahead
    if until > now + ahead:
        raise CloseError(f"as of {rfc3339(micros(until))} lies in the future; choose an instant up to now")
    kafka_us = None if dry_run else kafka_time_us(settings)
    if kafka_us is not None and micros(until - ahead) > kafka_us + TOLERANCE_US:
        raise CloseError(
            f"as of {rfc3339(micros(until))} lies in the future by Kafka's clock, {rfc3339(kafka_us)}; this machine's "
            f"clock is {words(micros(now) - kafka_us)}: set it (NTP), or close as of an instant that has passed"
        )
    client = connect(settings, settings_of_queries=_spilling(settings))
    request = CloseRequest(
        settings=settings,
        client=client,
        namespace=name,
        as_of=until,
        now=now,
        ahead=ahead,
        on_progress=on_progress,
        dry_run=dry_run,
        strict=strict,
        on_checks=on_checks,
        subscription=subscription,
        reached=reached,
    )
    # A close keeps its objects until it ends, and scanning millions of lines for garbage would take a quarter of its
    # time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _run_anew_if_damaged(request)
    except sqlite3.Error as error:
        raise CloseError(
            f"the snapshot of usage.invoices in {settings.snapshot_dir} cannot be used: {error}; look at the disk and "
            "who may write there, and close again"
        ) from error
    finally:
        if collecting:
            gc.enable()
        client.close()


def _run_anew_if_damaged(request: CloseRequest) -> CloseResult:
    try:
        return _run(request)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return _run(request)  # of a snapshot that is made anew; what was written by then is read back


def _run(request: CloseRequest) -> CloseResult:
    with (
        followed_invoices(request.settings, request.namespace) as (reader, standing),
        closing(CheckpointLedger(request.settings)) as checkpoints,
    ):
        return Close(request, FollowedLedgers(reader, checkpoints, standing)).run()


def _spilling(settings: Settings) -> dict[str, int]:
    """Settings by which ClickHouse totals more values than fit its memory on disk: slow rather than refused."""
    half = settings.rating_query_bytes // 2
    return {"max_bytes_before_external_group_by": half, "max_bytes_before_external_sort": half}
