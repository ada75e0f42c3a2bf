"""``python -m stream_processors.backfill [NAME]``: runs all pending backfills, or the one called NAME
(namespace/meter/version), then exits.

A worker starts it as a separate process (``backfill_process.py``), so that a slow or failing backfill cannot
affect metering.
Its standard input is a pipe held open by its parent: when the parent ends, the process ends too.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import Final

from schemas.catalog.follower import CatalogFollower
from schemas.errors import CannotGoOn
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import SettingsError, load_settings
from stream_processors.backfill.backfill_process import BackfillBeat
from stream_processors.backfill.steps import Backfiller
from stream_processors.upkeep.logs import set_up

log = logging.getLogger(__name__)

_TELL_SECONDS: Final = 2.0


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)  # nothing is lost: the next process continues from the stored progress


def _tell(backfiller: Backfiller, began: float) -> None:
    while True:
        time.sleep(_TELL_SECONDS)
        still = time.monotonic() - max(began, backfiller.answered_at)
        try:
            sys.stdout.buffer.write(BackfillBeat(round(still, 1), backfiller.trouble).line())
            sys.stdout.flush()
        except OSError:
            return  # the parent has gone, and so does this process


def main() -> int:
    """Exit codes: 0 = no backfill is pending; 2 = the settings are wrong; 70 = Kafka or ClickHouse failed, start it
    again."""
    set_up()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        settings = load_settings()
        catalog = CatalogFollower(settings).start()
        backfiller = Backfiller(settings, catalog, threading.Event())
        threading.Thread(target=_tell, args=(backfiller, time.monotonic()), daemon=True).start()
        done = backfiller.run(sys.argv[1] if len(sys.argv) > 1 else None)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the process's last words
        return 2
    except (LedgerUnavailable, CannotGoOn) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 70
    log.info("%d backfills done", done)
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)
