"""Holds what services answer against their OpenAPI documents: an answer with an undeclared status, media type or field
is a fault.

Documents are open (clients must take members that they do not know); here they are closed, so that a member nobody has
described fails a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
import pytest

from schemas.http.scopes import TABLE, Service
from tests.golden.made import DOCUMENTS

_SERVICES: dict[Service, str] = {"gateway": "openapi_gateway.json", "rating": "openapi_rating.json"}


def closed(schema: Any) -> Any:
    """The schema with every object that lists its members closed to others, unless it says itself that it is open."""
    if isinstance(schema, dict):
        made = {name: closed(value) for name, value in schema.items()}
        listed = isinstance(made.get("properties"), dict) and made.get("type") == "object"
        return made | {"additionalProperties": False} if listed and "additionalProperties" not in made else made
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


@dataclass(frozen=True)
class Operation:
    """One operation of a document."""

    name: str
    method: str
    path: re.Pattern[str]
    literal: int
    responses: dict[str, Any]
    components: dict[str, Any]

    def fault(self, status: int, media_type: str, body: Any) -> str | None:
        """What the document does not say of the answer; None: nothing."""
        answer = self.responses.get(str(status)) or self.responses.get(f"{status // 100}XX")
        if answer is None:
            return f"{self.name}: status {status} is declared nowhere"
        content = answer.get("content")
        if content is None:
            return None if body is None else f"{self.name}: {status} is declared to be empty"
        if media_type not in content:
            return f"{self.name}: {status} with {media_type} is declared nowhere; declared: {', '.join(content)}"
        if "json" not in media_type or media_type.endswith("ndjson"):
            return None
        error = next(_validator(self.name, status, media_type).iter_errors(body), None)
        if error is None:
            return None
        place = ".".join(map(str, error.instance_path))
        return f"{self.name}: {status}, at {place or 'the whole'}: {error.message[:600]}"


@cache
def _validator(name: str, status: int, media_type: str) -> Any:
    operation = next(one for one in operations() if one.name == name)
    answer = operation.responses.get(str(status)) or operation.responses[f"{status // 100}XX"]
    schema = closed(answer["content"][media_type]["schema"])
    return jsonschema_rs.Draft202012Validator(schema | {"components": operation.components}, validate_formats=True)


@cache
def operations() -> tuple[Operation, ...]:
    """Of both services, the most specific paths first."""
    found = [one for service in _SERVICES for one in _operations(service)]
    return tuple(sorted(found, key=lambda one: -one.literal))


def _operations(service: Service) -> Iterator[Operation]:
    document = DOCUMENTS[_SERVICES[service]]()
    components = closed(document["components"])
    templates = {name.replace(":path}", "}"): name for name in TABLE[service]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            template = templates[name].partition(" ")[2]
            pattern = "".join(_part(part) for part in re.split(r"(\{[^}]*\})", template))
            literal = len(re.sub(r"\{[^}]*\}", "", template))
            yield Operation(
                f"{service} {name}", method.upper(), re.compile(pattern), literal, operation["responses"], components
            )


def _part(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    return ".+" if part.endswith(":path}") else "[^/]+"


def fault(method: str, path: str, status: int, media_type: str, body: Any) -> str | None:
    """What no document says of an answer; None where one does, or where the path is nobody's."""
    matching = [one for one in operations() if one.method == method and one.path.fullmatch(path)]
    nearest = [one for one in matching if one.literal == matching[0].literal]
    faults = [one.fault(status, media_type, body) for one in nearest]
    return None if not faults or None in faults else faults[0]


def fault_of(response: httpx.Response) -> str | None:
    """The same of an answer that has been read."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip()
    try:
        body = (
            response.json() if "json" in media_type and not media_type.endswith("ndjson") else response.content or None
        )
    except ValueError:
        return f"{response.request.method} {response.request.url.path}: this is not JSON: {response.text[:200]!r}"
    return fault(response.request.method, response.request.url.path, response.status_code, media_type, body)


@contextmanager
def held_to_the_document() -> Iterator[None]:
    """Meanwhile every answer that an ``httpx`` client of this process reads whole is checked; raises AssertionError at
    the call, and once more at the end."""
    faults: list[str] = []
    whole, whole_async = httpx.Client.send, httpx.AsyncClient.send

    def judged(response: httpx.Response, streamed: bool) -> httpx.Response:
        told = None if streamed else fault_of(response)
        if told is not None:
            faults.append(told)
            raise AssertionError(f"the OpenAPI document says something else of {told}")
        return response

    def send(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        return judged(whole(self, request, **more), bool(more.get("stream")))

    async def send_async(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        return judged(await whole_async(self, request, **more), bool(more.get("stream")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", send)
        patch.setattr(httpx.AsyncClient, "send", send_async)
        yield
    assert not faults, "answers that the OpenAPI documents do not describe:\n" + "\n".join(faults)
