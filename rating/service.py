"""``python -m rating.service``: the rating API and console on uvicorn, at WEIR_RATING_HOST:WEIR_RATING_PORT."""

from __future__ import annotations

import logging
import sys

import uvicorn

from rating.app import build_app
from schemas.settings import SettingsError, load_settings


def main() -> int:
    """Serve until SIGTERM or SIGINT. Exit code 2: the settings are wrong."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load_settings()
        app = build_app(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the process's last words
        return 2
    uvicorn.run(
        app,
        host=settings.rating_host,
        port=settings.rating_port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="info",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
