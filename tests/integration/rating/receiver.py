"""A receiver of webhooks that does what a test says, and the process that delivers to it."""

from __future__ import annotations

import hmac
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.local.ports import free_port
from schemas.settings import Settings
from tests.integration.rating.processes import Process


@dataclass(frozen=True)
class Got:
    """One request. Names of headers are in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def signed_by(self, secret: str) -> bool:
        """By the specification, in lines that share nothing with what signs."""
        key = b64decode(secret.removeprefix("whsec_"))
        signed = b".".join((self.id.encode(), self.headers["webhook-timestamp"].encode(), self.body))
        wanted = "v1," + b64encode(hmac.new(key, signed, sha256).digest()).decode()
        return wanted in self.headers["webhook-signature"].split(" ")


class Receiver:
    """``answer(got, earlier)`` gives the status, or None to hang until the receiver is closed."""

    def __init__(self, answer: Callable[[Got, int], int | None]) -> None:
        self.got: list[Got] = []
        self._closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                one = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                earlier = len(receiver.got)
                receiver.got.append(one)
                status = answer(one, earlier)
                if status is None:
                    receiver._closing.wait(60)
                    return
                told = f"THE-RECEIVERS-ANSWER {self.headers['webhook-signature']} {body!r}".encode()
                self.send_response(status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def deliverer(settings: Settings, log: Path, **changes: Any) -> Process:
    """``python -m rating.webhooks`` with quick retries."""
    quick = {
        "webhook_reach": "loopback",
        "webhook_port": free_port(),
        "webhook_first_retry_seconds": 0.1,
        "webhook_last_retry_seconds": 0.4,
        "webhook_timeout_seconds": 2.0,
    }
    return Process("rating.webhooks", settings, log, **(quick | changes))
