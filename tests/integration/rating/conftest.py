"""A namespace of its own for each test on the shared stack, and the rating service in this process."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from rating.app import build_app
from schemas.settings import Settings
from tests.integration.rating.road import KEY, Road
from tests.integration.rating.served import served

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
    own = settings.model_copy(update={"admin_key": SecretStr(KEY)})
    headers = {"Authorization": f"Bearer {KEY}"}
    with served(lambda _: build_app(own)) as url, httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        yield client
