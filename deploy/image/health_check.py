"""``python -m deploy.image.health_check``: the image's health check, of whichever process the container runs.

Exit code 0: it answers, or it is a command that ends by itself. It does not ask whether Kafka or ClickHouse answers
(/readyz does): starting a container anew mends neither. Needs the standard library alone.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

LIVE: Final = {
    "ingest.gateway": ("WEIR_GATEWAY_PORT", 8080, "/healthz"),
    "rating.service": ("WEIR_RATING_PORT", 8081, "/healthz"),
    "stream_processors.worker": ("WEIR_WORKER_WEB_PORT", 6066, "/metrics"),
    "rating.webhooks": ("WEIR_WEBHOOK_PORT", 8082, "/metrics"),
    "rating.scheduler": ("WEIR_SCHEDULER_PORT", 8083, "/metrics"),
}
"""By module: the variable of its port, that port's default, and what it answers as long as it lives."""
_SECONDS: Final = 5.0


def address(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The URL that the process of this command line answers; None where it is none that serves."""
    for word in command:
        if word in LIVE and "--once" not in command:
            variable, port, path = LIVE[word]
            return f"http://127.0.0.1:{environment.get(variable) or port}{path}"
    return None


def main() -> int:
    """The command line."""
    command = Path("/proc/1/cmdline").read_text().split("\0")
    url = address(command, os.environ)
    if url is None:
        return 0
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310  # an address of our own
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        print(f"{url}: {error}")  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
