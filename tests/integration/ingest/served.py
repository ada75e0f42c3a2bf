"""A bare server in a thread, for what connections do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from schemas.http.serving import Server


def served(server: Server) -> Iterator[int]:
    """The server's port; it ends when the caller goes on."""
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        thread.join(0.01)
    yield int(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join(10)
