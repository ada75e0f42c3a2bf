"""A namespace of its own for each test on the shared stack, and the rating service in this process."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from rating.app import build_app
from schemas.settings import Settings
from tests.integration.rating.road import KEY, Road

# Steps that assert outside a test file: a failure says what the two sides were, as in one.
pytest.register_assert_rewrite("tests.integration.rating.console", "tests.integration.rating.portal_steps")


@pytest.fixture
def road(settings: Settings) -> Iterator[Road]:
    """A fresh namespace."""
    result = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    yield result
    result.client.close()


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[httpx.Client]:
    """A client, with the root key, of a rating service that runs in a thread: its code is the one under test, not the
    stack's."""
    app = build_app(settings.model_copy(update={"admin_key": SecretStr(KEY)}))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        thread.join(0.05)
    assert server.started
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        yield client
    server.should_exit = True
    thread.join(30)
