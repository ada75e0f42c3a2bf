"""``python -m rating.service``: the rating API and console on uvicorn, at WEIR_RATING_HOST:WEIR_RATING_PORT."""

from __future__ import annotations

import gc
import logging
import sys
from typing import Final

from rating.api.body_room import BodyRoom
from rating.app import build_app
from schemas.http import http_service
from schemas.http.serving import BoundedBodies
from schemas.kafka.limits import confirm_topics
from schemas.kafka.topics import written_topics
from schemas.settings import SettingsError, load_settings

MAX_BODY: Final = 1024 * 1024
_SWITCH_SECONDS: Final = 0.0001
"""A check takes the interpreter back three times, to wait, read and write, each time after so long where a thread works
out what came: a millisecond each let fewer checks through than come."""
_GRACE_SECONDS: Final = 5
_FULL_COLLECTION: Final = 1000
"""Collections of the middle generation from one of all to the next; Python's own number is 10."""


def main() -> int:
    """Serve until SIGTERM or SIGINT. Exit code 1: it could not start; 2: the settings are wrong."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load_settings()
        confirm_topics(settings, written_topics)
        app = build_app(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the process's last words
        return 2
    bounded = BoundedBodies(BodyRoom(app, app.state.rating.keys, settings.body_bytes, MAX_BODY), MAX_BODY)
    server = http_service.server(
        bounded, settings.rating_host, settings.rating_port, settings.connections, _GRACE_SECONDS
    )
    # Questions run in threads; the event loop, which answers, is to get the interpreter back soon.
    sys.setswitchinterval(_SWITCH_SECONDS)
    _collect_seldom()
    server.run()
    if not server.started:
        return 1
    return 0


def _collect_seldom() -> None:
    """Let a full collection of garbage, which stops every thread for half a second where the catalog has 10,000
    accounts, be a thousand of the middle one apart, some millions of objects; it is never of what stands here now."""
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _FULL_COLLECTION)


if __name__ == "__main__":
    sys.exit(main())
