"""The gateway process: ``python -m ingest.gateway``. Settings come from the environment; SIGTERM stops it
gracefully."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Final

from ingest.app import create_app
from schemas.garbage_collection import freeze_startup_objects
from schemas.http import http_service
from schemas.kafka.limits import confirm_topics
from schemas.kafka.topics import written_topics
from schemas.settings import Settings, SettingsError, load_settings

_GRACE_SECONDS: Final = 8
SWITCH_SECONDS: Final = 0.001
EXIT_SETTINGS: Final = 2
EXIT_FATAL: Final = 70


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. Raises SettingsError."""
    failed: list[bool] = []

    def on_fatal() -> None:
        failed.append(True)
        server.should_exit = True

    app = create_app(settings, on_fatal=on_fatal, stopping=lambda: server.draining)
    server = http_service.server(
        app, settings.gateway_host, settings.gateway_port, settings.connections, _GRACE_SECONDS, early=app.early
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops gracefully and then raises the signal again; a requested stop must exit with 0.
        signal.signal(number, lambda *_: None)
    freeze_startup_objects()
    # Catalog work runs in threads; a short switch interval returns the interpreter quickly to the event loop.
    sys.setswitchinterval(SWITCH_SECONDS)
    server.run()
    return EXIT_FATAL if failed or not server.started else 0


def main() -> int:
    """Entry point; returns the exit code (2: wrong settings, 70: the producer failed for good)."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    try:
        settings = load_settings()
        confirm_topics(settings, written_topics)
        return serve(settings)
    except SettingsError as error:
        logging.getLogger("ingest.gateway").error("%s", str(error).replace("\n", " "))
        return EXIT_SETTINGS


if __name__ == "__main__":
    sys.exit(main())
