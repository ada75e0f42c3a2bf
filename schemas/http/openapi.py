"""Completes the OpenAPI documents of both services with the response schemas of a table per service. Pure.

Responses are built as plain values and sent as they are, so these models only describe them. Integration tests
check every response against the document (tests/openapi_check.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.http.problems import MEDIA_TYPE
from schemas.http.scopes import TABLE, Service
from schemas.values.json_text import JsonObject

REFERENCE: Final = "#/components/schemas/{model}"
JSON: Final = "application/json"
METHODS: Final = ("get", "post", "put", "delete", "patch", "head")

DecimalText = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["0.01"])]
"""A number as text with all its digits; money is in major units of its currency."""


class Answer(BaseModel):
    """Base of response models. The string below a field is its description."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def absent(**extra: Any) -> Any:
    """A field that is left out if it does not apply, and is never null; ``extra``: arguments of pydantic's Field."""
    return Field(default_factory=lambda: None, **extra)


class ProblemItem(Answer):
    """One of several faults."""

    path: str = Field(examples=["query.from"])
    """a JSON path in the body, or query.NAME"""
    detail: str
    """the fault and its remedy"""


class ProblemDocument(Answer):
    """RFC 9457 problem document. `reason` is for programs and stable; `detail` is for people and may change."""

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
    """whether events are refused meanwhile"""
    lasting: bool
    """whether it persists until somebody acts"""


class Position(Answer):
    """A position in usage.events."""

    generation: int
    partition: int
    offset: int


class EventPosition(Position):
    """The position of an event in usage.events: the `index`-th event of the record."""

    index: int


@dataclass(frozen=True, slots=True)
class Content:
    """A response body of one media type; ``model``: a type for which pydantic can create a schema, None: text."""

    model: Any
    media_type: str = JSON
    example: Any = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The successful responses of a route: status → possible bodies, none for an empty one."""

    statuses: Mapping[int, tuple[Content, ...]]
    problems: tuple[Content, ...] = (Content(ProblemDocument, MEDIA_TYPE),)
    operation: str = ""
    """operationId, from which generated clients name the operation; "": FastAPI's"""
    about: Mapping[int, str] = field(default_factory=dict)
    """status → description, where it is not obvious"""


def ok(operation: str, model: Any, *statuses: int) -> Answered:
    """A JSON response with 200 and each of ``statuses``."""
    return Answered(dict.fromkeys((200, *statuses), (Content(model),)), operation=operation)


def of_status(operation: str, status: int, model: Any) -> Answered:
    """A JSON response with one status."""
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
    """The complete document, cached on the application. ``answers``: "GET /path" → its responses; ``models``:
    components to which bodies refer by name."""
    if app.openapi_schema is None:
        built = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _Document(built, service).complete(answers, models)
        app.openapi_schema = built
    return app.openapi_schema


class _Document:
    """An OpenAPI document being completed."""

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
        """Add everything that FastAPI does not know."""
        for name, model in models:
            self._component(name, model)
        for path, methods in self._built["paths"].items():
            for method in METHODS:
                if method in methods:
                    self._operation(path, method, methods[method], answers)
        for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which no route uses
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
    """Remove ``default: null`` from schemas, as FastAPI does; the null among the types says the same."""
    if isinstance(schema, dict):
        return {name: _without_null(value) for name, value in schema.items() if value is not None}
    return [_without_null(item) for item in schema] if isinstance(schema, list) else schema
