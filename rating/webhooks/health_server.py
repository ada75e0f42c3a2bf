"""/metrics and /readyz of the process that delivers, in a thread of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from schemas.health.readiness import Reason, to_json


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


def serve(host: str, port: int, registry: CollectorRegistry, reasons: Callable[[], Sequence[Reason]]) -> WSGIServer:
    """Answers until its ``shutdown``."""
    metrics = make_wsgi_app(registry)

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/readyz":
            found: Iterable[bytes] = metrics(environ, start_response)
            return found
        told = reasons()
        start_response("503 Service Unavailable" if told else "200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"ready": not told, "reasons": to_json(told)}).encode()]

    server = make_server(host, port, answer, server_class=_Server, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
