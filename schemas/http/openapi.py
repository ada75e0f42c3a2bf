"""The OpenAPI documents of both services: what FastAPI knows of their routes, and what each answers, by one table a
service. Pure.

Answers are built as plain values and written as they are, so the models here only describe them; that no description
lies is proved by the integration tests, whose HTTP clients hold every answer against the document
(tests/openapi_check.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.http.access import TABLE, Service
from schemas.http.problems import MEDIA_TYPE
from schemas.values.json_text import JsonObject

REFERENCE: Final = "#/components/schemas/{model}"
JSON: Final = "application/json"
METHODS: Final = ("get", "post", "put", "delete", "patch", "head")

DecimalText = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["0.01"])]
"""A number with all its digits; money in major units of its currency."""


class Answer(BaseModel):
    """Base of what describes an answer. A string under a field says what it means."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def absent(**extra: Any) -> Any:
    """Of a field that is left out where it does not apply, and never null; ``extra``: as of pydantic's Field."""
    return Field(default_factory=lambda: None, **extra)


class ProblemItem(Answer):
    """One of several things that are wrong."""

    path: str = Field(examples=["query.from"])
    """where: a JSON path of the body, or query.NAME"""
    detail: str
    """what, and the remedy"""


class ProblemDocument(Answer):
    """RFC 9457. ``reason`` is for programs and stays as it is; ``detail`` is for people and may change."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:weir:problem:not_found"])
    title: str
    status: int
    detail: str
    reason: str = Field(examples=["not_found"])
    errors: list[ProblemItem] = absent()


class Reason(Answer):
    """Why a process is not ready."""

    name: str
    detail: str
    remedy: str
    refuses: bool
    """whether it takes nothing meanwhile"""
    lasting: bool
    """whether somebody has to do something"""


class Position(Answer):
    """A place in usage.events."""

    generation: int
    partition: int
    offset: int


class EventPosition(Position):
    """A place in usage.events: the ``index``-th event of that record."""

    index: int


@dataclass(frozen=True, slots=True)
class Content:
    """A body of one media type; ``model``: anything that pydantic has a schema of, None: text of another kind."""

    model: Any
    media_type: str = JSON
    example: Any = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a route answers where all is well: status → the bodies that it may have, none for an empty one."""

    statuses: Mapping[int, tuple[Content, ...]]
    problems: tuple[Content, ...] = (Content(ProblemDocument, MEDIA_TYPE),)
    operation: str = ""
    """operationId, which generated clients call the operation by; "": FastAPI's"""
    about: Mapping[int, str] = field(default_factory=dict)
    """status → what it means, where that is not plain"""


def ok(operation: str, model: Any, *statuses: int) -> Answered:
    """JSON with 200 and each of ``statuses``."""
    return Answered(dict.fromkeys((200, *statuses), (Content(model),)), operation=operation)


def of_status(operation: str, status: int, model: Any) -> Answered:
    """JSON with one status."""
    return Answered({status: (Content(model),)}, operation=operation)


EMPTY: Final = Answered({204: ()})
PHRASES: Final = {200: "as asked", 201: "published", 202: "taken", 204: "done", 503: "not ready"}
NAMESPACE_HEADER: Final[JsonObject] = {
    "name": "Weir-Namespace", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "namespace of the request; without it the key's own, or the service's default",
}  # fmt: skip


def document(
    app: FastAPI, service: Service, answers: Mapping[str, Answered], models: Iterable[tuple[str, Any]] = ()
) -> JsonObject:
    """The whole document; ``answers``: "GET /path" → what it answers; ``models``: components that bodies refer to by
    name. Cached on the application."""
    if app.openapi_schema is None:
        built = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _Document(built, service).complete(answers, models)
        app.openapi_schema = built
    return app.openapi_schema


class _Document:
    """A document while it is completed."""

    def __init__(self, built: JsonObject, service: Service) -> None:
        self._built = built
        self._scopes = {name.replace(":path}", "}"): scopes for name, scopes in TABLE[service].items()}
        components = built.setdefault("components", {})
        components["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "a key of `weir key create`, or the admin key",
            }
        }
        self._schemas: JsonObject = components.setdefault("schemas", {})

    def complete(self, answers: Mapping[str, Answered], models: Iterable[tuple[str, Any]]) -> None:
        """Put in what FastAPI cannot see."""
        for name, model in models:
            self._component(name, model)
        for path, methods in self._built["paths"].items():
            for method in METHODS:
                if method in methods:
                    self._operation(path, method, methods[method], answers)
        for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which no route answers
            self._schemas.pop(name, None)

    def _operation(self, path: str, method: str, operation: JsonObject, answers: Mapping[str, Answered]) -> None:
        name = f"{method.upper()} {path}"
        answered = answers[name]
        operation["responses"] = {
            str(status): self._response(answered.about.get(status, PHRASES[status]), contents)
            for status, contents in answered.statuses.items()
        }
        operation["operationId"] = answered.operation or operation["operationId"]
        scopes = self._scopes[name]
        refused = self._contents(answered.problems)
        for status, about in (
            ("4XX", "refused; nothing was changed"),
            ("5XX", "not done; the same request may be sent again"),
        ):
            operation["responses"][status] = {"description": about, "content": refused}
        if not scopes:
            return
        operation["security"] = [{"bearer": []}]
        parameters = operation.setdefault("parameters", [])
        if not any(parameter["name"].lower() == "weir-namespace" for parameter in parameters):
            parameters.append(NAMESPACE_HEADER)
        needed = " or ".join(f"`{scope}`" for scope in sorted({*scopes, "admin"}))
        description = operation.get("description", "")
        operation["description"] = f"{description}\n\nScope of the key: {needed}.".strip()

    def _response(self, about: str, contents: tuple[Content, ...]) -> JsonObject:
        answer: JsonObject = {"description": about}
        return answer | {"content": self._contents(contents)} if contents else answer

    def _contents(self, contents: tuple[Content, ...]) -> JsonObject:
        return {
            content.media_type: {"schema": self._schema(content.model)}
            | ({} if content.example is None else {"example": content.example})
            for content in contents
        }

    def _schema(self, model: Any) -> JsonObject:
        if model is None:
            return {"type": "string"}
        if isinstance(model, type) and issubclass(model, BaseModel):
            return self._component(model.__name__, model)
        return self._inlined(model)

    def _component(self, name: str, model: Any) -> JsonObject:
        reference = {"$ref": REFERENCE.format(model=name)}
        if name not in self._schemas:
            self._schemas[name] = self._inlined(model)
        return reference

    def _inlined(self, model: Any) -> JsonObject:
        schema: JsonObject = _without_null(TypeAdapter(model).json_schema(ref_template=REFERENCE, mode="validation"))
        for name, part in schema.pop("$defs", {}).items():
            if self._schemas.setdefault(name, part) != part:
                raise ValueError(
                    f"two models of this document are called {name} and differ; give one of them another name"
                )
        return schema


def _without_null(schema: Any) -> Any:
    """As FastAPI writes schemas: without ``default: null``, which the null among the types says, too."""
    if isinstance(schema, dict):
        return {name: _without_null(value) for name, value in schema.items() if value is not None}
    return [_without_null(item) for item in schema] if isinstance(schema, list) else schema
