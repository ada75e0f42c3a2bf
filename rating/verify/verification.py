"""``verify`` recomputes what is derived from what it is derived from, and lists every difference. It writes nothing.

    usage.events (offsets below the cursors) ──▶ usage_batches, usage_events
    usage_events ──▶ usage_records, usage_identities ──▶ usage_windows
    usage_events, usage_voids ──▶ voided_events
    usage_records ──▶ invoices ◀── usage.invoices         all of them ──▶ the books
    usage.reservations: no limit is sold twice
    usage_events ──▶ invoices, by a path of its own (``INVOICE_CHECKS``)

A check that damaged values end is told as a difference (``run_check``).

One file a check, in the order of ``CHECKS`` and ``INVOICE_CHECKS``. Read as of one instant of the log: what is under
way is no difference.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rating.verify.backfills.backfilled_records import check_backfilled
from rating.verify.balance import check_books
from rating.verify.completeness import check_complete
from rating.verify.difference import Difference, Findings, VerifyProgress
from rating.verify.duplicates import check_duplicates
from rating.verify.fold_images import check_images
from rating.verify.invoices.fold_files import check_folds
from rating.verify.invoices.from_events import check_against_events
from rating.verify.invoices.from_records import check_against_records
from rating.verify.invoices.from_topic import check_against_topic
from rating.verify.invoices.list_rows import check_lists
from rating.verify.invoices.numbers import check_numbers
from rating.verify.invoices.snapshot import check_snapshot
from rating.verify.lost_records import check_acknowledged
from rating.verify.matches import check_matches
from rating.verify.misdated_events import NAME, check_misdated
from rating.verify.records import check_identities, check_records
from rating.verify.reread_voids import check_voids
from rating.verify.reservations.reservation_sums import NAME as RESERVATIONS_NAME
from rating.verify.reservations.reservation_sums import check_reservations
from rating.verify.scope import Scope, open_scope
from rating.verify.window_totals import check_windows
from schemas.settings import Settings

_DAMAGED: Final = (AssertionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading values raises that nobody could have written; not what Kafka and ClickHouse raise."""
_REMEDY: Final = (
    "what it had not looked at yet is unproved: mend the other differences (of invoices: `weir copies rebuild"
    " invoices`) and verify again; if it stays, report it as a bug of Weir"
)
RunCheck = Callable[[Scope, Findings, VerifyProgress], None]

CHECKS: Final[dict[str, RunCheck]] = {
    "completeness": check_complete,
    "acknowledged events": check_acknowledged,
    "windows from records": check_windows,
    "matches from events": check_matches,
    "records from matches": check_records,
    "backfilled records": check_backfilled,
    "identities from events": check_identities,
    NAME: check_misdated,
    "duplicates": check_duplicates,
    "voided events": check_voids,
    "invoices from records": check_against_records,
    "invoices from the topic": check_against_topic,
    "lists of invoices": check_lists,
    "snapshot of invoices": check_snapshot,
    "numbers of invoices": check_numbers,
    "folds of invoices": check_folds,
    "folds held in memory": check_images,
    RESERVATIONS_NAME: check_reservations,
    "books": check_books,
}
"""By the name under which each tells its progress."""
INVOICE_CHECKS: Final[dict[str, RunCheck]] = {
    "completeness": check_complete,
    "acknowledged events": check_acknowledged,
    "duplicates": check_duplicates,
    "voided events": check_voids,
    "invoices from records": check_against_records,
    "invoices from the topic": check_against_topic,
    "lists of invoices": check_lists,
    "snapshot of invoices": check_snapshot,
    "numbers of invoices": check_numbers,
    "invoices from events": check_against_events,
}
"""What is looked at where invoices alone are asked for: also each line from the raw events, by a path of its own."""
_OF_INVOICES: Final = (
    check_against_records,
    check_against_topic,
    check_lists,
    check_snapshot,
    check_numbers,
    check_folds,
)
_OF_WHOLE_LOGS: Final = (check_snapshot, check_folds, check_images)


def _silent(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def checks(invoices: bool | None, since_us: int | None = None) -> dict[str, RunCheck]:
    """The checks to run. None: all; True: those of INVOICE_CHECKS; False: all but those of invoices. With ``since_us``
    snapshot and folds are not compared with the whole log."""
    chosen = INVOICE_CHECKS if invoices else CHECKS
    left_out = _OF_INVOICES if invoices is False else _OF_WHOLE_LOGS if since_us is not None else ()
    return {name: check for name, check in chosen.items() if check not in left_out}


def verify(
    settings: Settings,
    *,
    namespace: str | None,
    invoices: bool | None = None,
    since_us: int | None = None,
    on_progress: VerifyProgress = _silent,
) -> list[Difference]:
    """Every difference in ``namespace`` (None: in all), none where all is well; bounded a check. Blocking.

    ``invoices``: as ``checks`` takes it. ``since_us``: of invoices only those whose period ends after this instant are
    looked at, with what they follow; then the snapshot and the folds of invoices are believed.
    ``on_progress(check, done, total)``. Raises LedgerUnavailable where Kafka, and clickhouse_connect's errors where
    ClickHouse does not answer.
    """
    scope = open_scope(settings, namespace, since_us)
    differences: list[Difference] = []
    try:
        for name, check in checks(invoices, since_us).items():
            differences.extend(run_check(name, check, scope, on_progress))
    finally:
        scope.close()
    return differences


def run_check(name: str, check: RunCheck, scope: Scope, on_progress: VerifyProgress) -> list[Difference]:
    """The differences of one check. One that damaged values end is a difference itself, and stops no other: what they
    are is perhaps another's to tell."""
    findings = Findings()
    try:
        check(scope, findings, on_progress)
    except _DAMAGED as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
        unproved = Difference("check", name, "values that can be read", f"it ended at {reason}", _REMEDY)
        return [*findings.differences(), unproved]
    return findings.differences()
