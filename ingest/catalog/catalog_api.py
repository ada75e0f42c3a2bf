"""HTTP routes of the catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ingest.catalog.audit_page import audit_page
from ingest.catalog.catalog_problems import Caller
from ingest.catalog.catalog_publisher import CatalogPublisher
from ingest.catalog.catalog_service import RESOURCES, CatalogService, entry_json
from ingest.catalog.changes import CatalogPlan
from ingest.catalog.document import DocumentError, load_document
from ingest.catalog.fair_pool import DOCUMENTS, ENTRIES, PAGES, FairPool
from ingest.catalog.just_published import with_just_published
from ingest.catalog.openapi_bodies import APPLY_BODY, IF_MATCH, entry_body
from ingest.http.auth import Guard
from ingest.http.gateway_problems import Problem
from ingest.http.loop_throttle import LoopThrottle
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.state import Entry
from schemas.http.api_keys import Access
from schemas.values.json_text import JsonObject

SMALL_DOCUMENT: Final = 32 * 1024
Limit = Annotated[int, Query(ge=1, le=1000, description="entries of a page")]
Only = Annotated[str | None, Query(description="only entries that say exactly this")]
Cursor = Annotated[str | None, Query(description="next_cursor of the page before")]

T = TypeVar("T")


class CatalogApi:
    """Maps requests to CatalogService, each call in a worker thread because it waits for Kafka or reads a whole
    catalog."""

    def __init__(
        self,
        guard: Guard,
        catalog: CatalogFollower,
        publisher: CatalogPublisher,
        throttle: LoopThrottle,
        now_us: Callable[[], int] | None = None,
    ) -> None:
        self._guard = guard
        self._catalog = catalog
        self._service = CatalogService(catalog, publisher, throttle.tick, now_us)
        self._documents = FairPool(DOCUMENTS, "catalog documents", throttle)
        self._entries = FairPool(ENTRIES, "catalog changes", throttle)
        self._pages = FairPool(PAGES, "catalog pages", throttle)

    def stop(self) -> None:
        """Start no further work."""
        for turns in (self._documents, self._entries, self._pages):
            turns.stop()

    def caller(self, request: Request) -> Caller:
        """The namespace and access rights of a request. Raises Problem 403."""
        access: Access = request.state.access
        return Caller(self._guard.namespace(request, access), access)

    async def apply(self, request: Request, dry_run: bool) -> Response:
        """Apply a document: 201 if something was published, else 200."""
        caller = self.caller(request)
        body = await self._body(request, caller)
        json_only = "json" in request.headers.get("content-type", "")

        def answer() -> Response:
            plan = self._service.apply(body, caller, json_only=json_only, dry_run=dry_run)
            published = bool(plan.to_publish()) and not dry_run
            return JSONResponse({"dry_run": dry_run, **plan.summary()}, 201 if published else 200)

        # A small document queues with other changes of its namespace, never behind large documents.
        if len(body) > SMALL_DOCUMENT:
            return await self._documents.run(caller, answer)
        return await self._publish(caller, answer)

    async def create(self, request: Request, kind: str) -> Response:
        """Create an entry: 201 with the entry and any ``warnings``."""
        caller = self.caller(request)
        body = await self._body(request, caller)
        return await self._publish(
            caller, lambda: _entry(*self._service.create(kind, _value(body), caller), status=201)
        )

    async def replace(self, request: Request, kind: str, code: str) -> Response:
        """Publish a new version: 200 with the entry and any ``warnings``."""
        caller = self.caller(request)
        body = await self._body(request, caller)
        if_match = request.headers.get("if-match")
        return await self._publish(
            caller, lambda: _entry(*self._service.replace(kind, code, _value(body), caller, if_match))
        )

    async def retire(self, request: Request, kind: str, code: str) -> Response:
        """Retire an entry: 204."""
        caller = self.caller(request)
        if_match = request.headers.get("if-match")
        await self._run(self._entries, caller, lambda: self._service.retire(kind, code, caller, if_match))
        return Response(status_code=204)

    async def get(self, request: Request, kind: str, code: str, history: bool) -> Response:
        """The version in force, or all versions if ``history``."""
        caller = self.caller(request)
        if not history:

            async def entry() -> Response:
                return _entry(self._service.get(kind, code, caller))

            return await with_just_published(self._catalog, entry)

        def answer() -> Response:
            versions = self._service.history(kind, code, caller)
            return JSONResponse({"items": [entry_json(entry) for entry in versions], "next_cursor": None})

        return await self._run(self._pages, caller, answer)

    async def page(self, request: Request, kind: str, limit: int, cursor: str | None) -> Response:
        """A page of the entries in force."""
        caller = self.caller(request)

        def answer() -> Response:
            entries, following = self._service.page(kind, caller, limit, cursor)
            return JSONResponse({"items": [entry_json(entry) for entry in entries], "next_cursor": following})

        return await self._run(self._pages, caller, answer)

    async def audit(self, request: Request, **filters: Any) -> Response:
        """A page of the audit trail."""
        caller = self.caller(request)
        return await self._run(
            self._pages, caller, lambda: JSONResponse(audit_page(self._service.view(caller.namespace), **filters))
        )

    async def _run(self, turns: FairPool, caller: Caller, work: Callable[[], T]) -> T:
        return await with_just_published(self._catalog, lambda: turns.run(caller, work))

    async def _publish(self, caller: Caller, work: Callable[[], T]) -> T:
        """As ``_run``; once more also where an entry is refused, which may refer to what was published elsewhere."""
        try:
            return await self._run(self._entries, caller, work)
        except Problem as problem:
            if problem.status != 422 or not await self._guard.second_looks.due(caller.namespace):
                raise
        return await self._entries.run(caller, work)

    async def _body(self, request: Request, caller: Caller) -> bytes:
        async with self._guard.body(request, caller.access, caller.namespace) as body:
            return body

    @staticmethod
    def routes(app: FastAPI, api: Callable[[], CatalogApi]) -> None:
        """Register the routes on ``app``; ``api`` is called per request, since the CatalogApi is created at
        start-up."""

        @app.post("/v1/catalog/apply", tags=["catalog"], openapi_extra=APPLY_BODY)
        async def apply(request: Request, dry_run: bool = False) -> Response:
            """Make the catalog say what the document says; nothing is retired unless `prune` is true."""
            return await api().apply(request, dry_run)

        @app.get("/v1/catalog/audit", tags=["catalog"])
        async def audit(
            request: Request,
            limit: Limit = 100,
            cursor: Cursor = None,
            kind: Only = None,
            code: Only = None,
            author: Only = None,
        ) -> Response:
            """Who changed what, when: every version of the namespace, the newest first, with what it changed field by
            field."""
            return await api().audit(request, limit=limit, cursor=cursor, kind=kind, code=code, author=author)

        for name, kind in RESOURCES.items():
            _resource(app, api, name, kind)


def _value(body: bytes) -> Any:
    """The entry in a body; half a second's work for one of 8 MiB. Raises Problem."""
    try:
        return load_document(body, json_only=True)
    except DocumentError as error:
        raise Problem(400, "malformed", str(error), path="$") from None


def _resource(app: FastAPI, api: Callable[[], CatalogApi], name: str, kind: str) -> None:
    tag: JsonObject = {"tags": [name]}
    body = {**tag, "openapi_extra": entry_body(kind)}
    plural = name.replace("-", "_")

    @app.get(f"/v1/{name}", summary=f"List {name}", operation_id=f"list_{plural}", **tag)
    async def page(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
        return await api().page(request, kind, limit, cursor)

    @app.get(f"/v1/{name}/{{code:path}}", summary=f"Read one of {name}", operation_id=f"get_{plural}", **tag)
    async def get(request: Request, code: str, history: bool = False) -> Response:
        return await api().get(request, kind, code, history)

    @app.post(f"/v1/{name}", status_code=201, summary=f"Create one of {name}", operation_id=f"create_{plural}", **body)
    async def create(request: Request) -> Response:
        return await api().create(request, kind)

    @app.put(
        f"/v1/{name}/{{code:path}}", summary="New version, with If-Match "
            f"({name})", operation_id=f"put_{plural}", tags=[name],
        openapi_extra=entry_body(kind, IF_MATCH | {"required": True}),
    )  # fmt: skip
    async def replace(request: Request, code: str) -> Response:
        return await api().replace(request, kind, code)

    @app.delete(
        f"/v1/{name}/{{code:path}}",
        status_code=204,
        summary=f"Retire one of {name}",
        operation_id=f"retire_{plural}",
        openapi_extra={"parameters": [IF_MATCH]},
        **tag,
    )
    async def retire(request: Request, code: str) -> Response:
        return await api().retire(request, kind, code)


def _entry(entry: Entry, plan: CatalogPlan | None = None, status: int = 200) -> JSONResponse:
    """Response for an entry as ``entry_json``, with the warnings of the plan that published it."""
    warned = {} if plan is None else plan.warned()
    return JSONResponse(entry_json(entry) | warned, status, headers={"ETag": f'"{entry.version}"'})
