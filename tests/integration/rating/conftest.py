"""A namespace of its own for each test on the shared stack."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from rating_road import Road

from schemas.settings import Settings


@pytest.fixture
def road(settings: Settings) -> Iterator[Road]:
    """A fresh namespace."""
    result = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    yield result
    result.client.close()
