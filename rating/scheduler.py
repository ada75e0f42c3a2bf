"""``python -m rating.scheduler``: closes every namespace, or those it is told, again and again, so that periods are
billed as they become due. /readyz at WEIR_SCHEDULER_HOST:WEIR_SCHEDULER_PORT names what fails round after round.

``--once`` makes one round and ends, for a scheduler of one's own (a CronJob): exit code 1 where a close failed.

It bills what `weir close` would at that moment, never ahead of a plan's grace. It keeps nothing: killed at any point
and started again, or run twice, it publishes the same invoices once. What fails is logged and tried again in the next
round; other namespaces go on.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry

from rating.close import CloseResult, run_close
from rating.close.checklist.checks import warnings
from rating.health_server import serve
from schemas.catalog.follower import read_catalog
from schemas.health.readiness import UnreadyReason
from schemas.health.stages import Attempts, stalled
from schemas.settings import Settings, SettingsError, load_settings

log = logging.getLogger("rating.scheduler")

_CLOSE: Final = "close of"
_CATALOG: Final = "reading the catalog"


def close_all(
    names: Iterable[str], close: Callable[[str], CloseResult], stopping: Callable[[], bool], attempts: Attempts
) -> int:
    """Close every namespace once, and give how many failed. A failure of one never keeps another from its close; it is
    noted in ``attempts`` until the namespace's close succeeds."""
    failed = 0
    for name in names:
        if stopping():
            break
        try:
            result = close(name)
        except Exception as error:  # whatever it is, the next round tries again; a close that died half way is joined
            log.error("close of %s failed, next round tries again: %s: %s", name, type(error).__name__, error)
            attempts.failed(f"{_CLOSE} {name}", f"{type(error).__name__}: {error}")
            failed += 1
            continue
        attempts.done(f"{_CLOSE} {name}")
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


def not_ready(attempts: Attempts) -> tuple[UnreadyReason, ...]:
    """What has failed for a minute and not succeeded since."""
    stages = attempts.stages("scheduler", lambda: "its last round")
    return tuple(stalled(stages, time.monotonic(), time.time_ns() // 1000))


def run(settings: Settings, stop: threading.Event, attempts: Attempts, *, once: bool = False) -> int:
    """Rounds at settings.close_schedule_seconds, counted from the end of one to the start of the next, until
    ``stop``; or one. Gives how much failed in the last: namespaces, or reading which there are."""

    def close(name: str) -> CloseResult:
        now, ahead = datetime.now(UTC), catalog.view(name).settings.ahead
        return run_close(settings, name, None, now, lambda *_: None, ahead=ahead)

    while True:
        try:
            catalog = read_catalog(settings)
            names = scheduled(catalog.namespaces(), settings.close_schedule_namespaces)
        except Exception as error:  # Kafka may be away; it is asked again
            log.error("the catalog cannot be read, next round tries again: %s: %s", type(error).__name__, error)
            attempts.failed(_CATALOG, f"{type(error).__name__}: {error}")
            failed = 1
        else:
            attempts.done(_CATALOG)
            failed = close_all(names, close, stop.is_set, attempts)
        if once or stop.wait(settings.close_schedule_seconds):
            return failed


def main(arguments: Sequence[str] = ()) -> int:
    """Run until SIGTERM or SIGINT, or with ``--once`` for one round. Exit code 1: a close of that round failed; 2: the
    settings are wrong, or leave the schedule off."""
    parser = argparse.ArgumentParser(prog="python -m rating.scheduler", description="closes what is due")
    parser.add_argument("--once", action="store_true", help="close every namespace once, and end")
    once = parser.parse_args(arguments).once
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load_settings()
        if not once and not settings.close_schedule_seconds:
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
    attempts = Attempts(time.monotonic)
    if once:
        log.info("closing %s once", which)
        return int(run(settings, stop, attempts, once=True) > 0)
    log.info("closing %s each %d s", which, settings.close_schedule_seconds)
    try:
        serve(settings.scheduler_host, settings.scheduler_port, CollectorRegistry(), lambda: not_ready(attempts))
    except OSError as error:
        log.error("/readyz is not shown, set WEIR_SCHEDULER_PORT to a free port: %s", error)
    run(settings, stop, attempts)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
