"""Where answers to top-ups are taken: in the ledger, and the grant of what is paid in the catalog. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException

from rating.topups.topup_answers import TopupAnswer
from rating.topups.topup_grants import TopupGrants
from rating.topups.topup_ledger import TopupLedger
from schemas.catalog.prepaid.topup_record import Topup, TopupRecord
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import Settings

_READ_BACK_SECONDS: Final = 15.0


class TopupDesk:
    """It reads usage.topups from the first answer on. ``wait_for``: until the catalog is read up to an offset
    (exclusive), at most for so many seconds; whether it was."""

    def __init__(self, settings: Settings, wait_for: Callable[[int, float], bool]) -> None:
        self._settings = settings
        self._wait_for = wait_for
        self._lock = threading.Lock()
        self._ledger: TopupLedger | None = None
        self._grants: TopupGrants | None = None

    def answer(self, namespace: str, account_id: str, topup_id: str, answer: TopupAnswer) -> Topup:
        """See ``TopupLedger.answer``. After LedgerUnavailable repeat it."""
        with self._lock:
            if self._ledger is None:
                self._ledger = TopupLedger(self._settings)
            ledger = self._ledger
        try:
            return ledger.answer(namespace, account_id, topup_id, answer)
        except (KafkaException, LedgerUnavailable) as error:
            with self._lock:  # read anew, by a new reader
                if self._ledger is ledger:
                    self._ledger = None
                    ledger.close()
            raise LedgerUnavailable(f"the answer may not be written: {error}") from error

    def grant(self, record: TopupRecord) -> None:
        """Publish the grant of a paid top-up, and wait until the catalog has it. Blocking. Raises LedgerUnavailable;
        repeating it is safe, and the process of webhooks does it where nobody repeats it."""
        with self._lock:
            if self._grants is None:
                self._grants = TopupGrants(self._settings)
            grants = self._grants
        try:
            offset = grants.publish(record)
        except KafkaException as error:
            raise LedgerUnavailable(f"the payment is recorded, its grant not yet: {error}") from error
        if not self._wait_for(offset + 1, _READ_BACK_SECONDS):
            raise LedgerUnavailable(f"the grant is not read back within {_READ_BACK_SECONDS:g} s")

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            if self._ledger is not None:
                self._ledger.close()
                self._ledger = None
