"""``python -m stream_processors.worker``: one worker process. Its settings: ``schemas.settings``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from types import FrameType

import faust

from schemas.errors import EXIT_HELD, CannotGoOn
from schemas.garbage_collection import freeze_startup_objects
from schemas.kafka.limits import confirm_topics
from schemas.kafka.topics import events_topic, written_topics
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import SettingsError, load_settings
from stream_processors.app import build_admit_app, build_app, build_ledgers_app
from stream_processors.fetching.bootstrap import with_answering_servers
from stream_processors.fetching.bounded import bound_fetches
from stream_processors.fetching.paced import pace_fetches
from stream_processors.upkeep.logs import set_up
from stream_processors.upkeep.watchdog import Watchdog
from stream_processors.wiring import Parts

STOP_SECONDS = 8.0


class _Worker(faust.Worker):
    """Faust's worker without its signal handlers; ``main`` installs its own, which have a deadline."""

    def install_signal_handlers(self) -> None:
        """Keep the handlers installed by ``main``."""


def main() -> int:
    """Run until SIGTERM or SIGINT.

    Exit codes: 2 = the settings are wrong; 70 = a hard end, to be restarted; 65 = an operator must act first (for
    example too much of the log cannot be decoded, ``metering.breaker``).
    """
    set_up()
    try:
        settings = load_settings()
        confirm_topics(settings, written_topics)
        bound_fetches(settings)
        parts = Parts(settings)
        parts.start()
        settings = parts.settings  # with the generation to meter
    except (SettingsError, LookupError) as error:
        print(error, file=sys.stderr)  # noqa: T201  # the process's last words
        return 2
    except CannotGoOn as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_HELD
    except LedgerUnavailable as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 70
    os.makedirs(settings.data_dir, exist_ok=True)
    settings = with_answering_servers(settings)
    app = build_app(settings, parts)
    pace_fetches(settings, events_topic(settings.generation), app.waiting)
    admit_app = build_admit_app(settings, parts)
    ledgers_app = build_ledgers_app(settings, parts)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    parts.seeker.bind_loop(loop)
    watchdog = Watchdog(parts.watched(app, admit_app, ledgers_app), parts.stopping)

    def stop(signum: int, frame: FrameType | None) -> None:
        # Faust may hang on its way out; a hard end loses nothing, since nothing unwritten was acknowledged.
        parts.stop()
        timer = threading.Timer(STOP_SECONDS, lambda: os._exit(0))
        timer.daemon = True
        timer.start()
        loop.call_soon_threadsafe(lambda: asyncio.ensure_future(worker.stop()))

    worker = _Worker(
        app, admit_app, ledgers_app, loglevel="WARNING", loop=loop, redirect_stdouts=False, override_logging=False
    )
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    freeze_startup_objects()
    watchdog.start()
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        logging.shutdown()
        os._exit(int(ended.code) if isinstance(ended.code, int) else 0)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
