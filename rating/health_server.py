"""/metrics and /readyz of a process without an HTTP service (webhooks, scheduler), in a thread of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from schemas.health.readiness import UnreadyReason, to_json
from schemas.health.readiness_metrics import UnreadyReasons

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


def serve(
    host: str, port: int, registry: CollectorRegistry, reasons: Callable[[], Sequence[UnreadyReason]]
) -> WSGIServer:
    """Start the server in a daemon thread; it answers until its ``shutdown``. ``reasons`` become metrics, too."""
    registry.register(UnreadyReasons(reasons))
    metrics = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/readyz":
            exposition: Iterable[bytes] = metrics(environ, start_response)
            return exposition
        current_reasons = reasons()
        start_response(
            "503 Service Unavailable" if current_reasons else "200 OK", [("Content-Type", "application/json")]
        )
        return [json.dumps({"ready": not current_reasons, "reasons": to_json(current_reasons)}).encode()]

    server = make_server(host, port, answer, server_class=_Server, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
