"""A rating service that runs in a thread of the test's process: its code is the one under test, not the stack's."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import uvicorn
from fastapi import FastAPI


@contextmanager
def served(build: Callable[[str], FastAPI]) -> Iterator[str]:
    """Its URL, which ``build`` gets before: an application may have to know where it is."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(build(url), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            thread.join(0.05)
        try:
            assert server.started
            yield url
        finally:
            server.should_exit = True
            thread.join(30)
