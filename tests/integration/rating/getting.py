"""Clients of a rating service, of one namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from deploy.cli.connection import services_of
from tests.integration.rating.road import Road

Get = Callable[..., Any]


def getter(service: httpx.Client, road: Road) -> Get:
    """Asks a path with query parameters (``from_`` is ``from``) and checks the status, which any but 200 explains in
    problem+json; the document, or the text."""

    def ask(path: str, status: int = 200, **parameters: Any) -> Any:
        named = {name.rstrip("_"): value for name, value in parameters.items()}
        answer = service.get(path, params=named, headers={"Weir-Namespace": road.namespace})
        assert answer.status_code == status, answer.text
        if status != 200:
            assert answer.headers["content-type"].startswith("application/problem+json")
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    return ask


def client(road: Road) -> httpx.Client:
    """Of the stack's own service."""
    own = road.settings.model_copy(update={"namespace": road.namespace})
    return services_of(own).http("rating", timeout=30)
