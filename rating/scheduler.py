"""``python -m rating.scheduler``: closes every namespace, or those it is told, again and again, so that periods are
billed as they become due.

It bills what `weir close` would at that moment, never ahead of a plan's grace. It keeps nothing: killed at any point
and started again, or run twice, it publishes the same invoices once. What fails is logged and tried again in the next
round; other namespaces go on.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from rating.close import CloseResult, run_close
from rating.close.checklist.checks import warnings
from schemas.catalog.follower import read_catalog
from schemas.settings import Settings, SettingsError, load_settings

log = logging.getLogger("rating.scheduler")


def close_all(names: Iterable[str], close: Callable[[str], CloseResult], stopping: Callable[[], bool]) -> int:
    """Close every namespace once, and give how many failed. A failure of one never keeps another from its close."""
    failed = 0
    for name in names:
        if stopping():
            break
        try:
            result = close(name)
        except Exception as error:  # whatever it is, the next round tries again; a close that died half way is joined
            log.error("close of %s failed, next round tries again: %s: %s", name, type(error).__name__, error)
            failed += 1
            continue
        if result.run is not None:
            log.info("%s", result.summary())
            for check in warnings(result.checks):
                log.warning(
                    "%s: %s: %d %s: %s", name, check.name, check.count, check.text, "; ".join(check.examples[:5])
                )
        for problem in result.problems:
            log.error("%s: not billed: %s", name, problem)
    return failed


def scheduled(names: Iterable[str], only: str) -> list[str]:
    """Of all namespaces those that ``only`` names, with commas between; all where it is empty."""
    chosen = {name.strip() for name in only.split(",")} - {""}
    return [name for name in names if not chosen or name in chosen]


def run(settings: Settings, stop: threading.Event) -> None:
    """Rounds at settings.close_schedule_seconds, counted from the end of one to the start of the next, until
    ``stop``."""

    def close(name: str) -> CloseResult:
        return run_close(settings, name, None, datetime.now(UTC), lambda *_: None)

    while True:
        try:
            names = scheduled(read_catalog(settings).namespaces(), settings.close_schedule_namespaces)
        except Exception as error:  # Kafka may be away; it is asked again
            log.error("the catalog cannot be read, next round tries again: %s: %s", type(error).__name__, error)
        else:
            close_all(names, close, stop.is_set)
        if stop.wait(settings.close_schedule_seconds):
            return


def main() -> int:
    """Run until SIGTERM or SIGINT. Exit code 2: the settings are wrong, or leave the schedule off."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load_settings()
        if not settings.close_schedule_seconds:
            raise SettingsError(
                "WEIR_CLOSE_SCHEDULE_SECONDS is 0: no close is scheduled; set it to the seconds between two"
            )
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the process's last words
        return 2
    stop = threading.Event()

    def end(*_: object) -> None:
        # A second signal ends it at once; nothing is lost by that.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    which = settings.close_schedule_namespaces or "every namespace"
    log.info("closing %s each %d s", which, settings.close_schedule_seconds)
    run(settings, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
