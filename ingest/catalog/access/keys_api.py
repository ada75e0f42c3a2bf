"""``/v1/api-keys``: creates API keys (the secret is returned once), lists them without hash, and revokes them by
retiring their entry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ingest.catalog.access.access_api import AccessApi
from ingest.catalog.catalog_api import Cursor, Limit
from ingest.catalog.catalog_problems import or_problem
from ingest.catalog.document import DocumentError, Fault, load_document
from ingest.catalog.entries import read_model
from ingest.catalog.openapi_bodies import KEY_BODY
from ingest.http.rate_limits import Rates
from schemas.catalog.keys import ApiKey, KeyLimits
from schemas.catalog.state import Entry
from schemas.http.api_keys import KEY_PREFIX, KIND, key_hash, key_text
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

_MAX_BODY = 64 * 1024
_OURS = ("code", "hash")
_LATEST = micros(datetime(9999, 12, 31, tzinfo=UTC))


class KeysApi(AccessApi):
    """API keys by HTTP. Calls run in worker threads, since publishing waits for Kafka."""

    changes = "changes of keys"

    async def create(self, request: Request) -> Response:
        """201 with the key's secret, which cannot be read again."""
        caller = self._caller(request)
        async with self._guard.body(request, caller.access, caller.namespace, _MAX_BODY) as body:
            pass
        key_id = f"{KEY_PREFIX}{self._sources.new_id().hex()[:16]}"
        text = key_text(caller.namespace, key_id, self._sources.new_id() + self._sources.new_id())
        most = self._guard.may_give(caller.access)
        model = or_problem(
            lambda: limited_to_rates(
                requested_key(body, key_id, key_hash(text), self._sources.now_us()), most, self._guard.default_rates
            )
        )
        entry = await self._run(caller, lambda: self._service.add(KIND, model, caller))
        headers = {"Cache-Control": "no-store", "Location": f"/v1/api-keys/{key_id}"}
        return JSONResponse({"key": text, **key_json([entry])}, 201, headers)

    async def revoke(self, request: Request, key_id: str) -> Response:
        """204. This gateway refuses the key at once, other processes within a second."""
        caller = self._caller(request)
        await self._run(caller, lambda: self._service.retire(KIND, key_id, caller, None))
        return Response(status_code=204)

    async def page(self, request: Request, limit: int, cursor: str | None) -> Response:
        """A page of all keys, including revoked ones."""
        caller = self._caller(request)

        def answer() -> Response:
            entries, following = self._service.page(KIND, caller, limit, cursor, retired=True)
            items = [key_json(self._service.history(KIND, entry.code, caller)) for entry in entries]
            return JSONResponse({"items": items, "next_cursor": following})

        return await self._run(caller, answer)

    @staticmethod
    def routes(app: FastAPI, api: Callable[[], KeysApi]) -> None:
        """Register the routes on ``app``."""
        tags: list[Any] = ["api-keys"]

        @app.post("/v1/api-keys", status_code=201, tags=tags, summary="Make a key", openapi_extra=KEY_BODY)
        async def create(request: Request) -> Response:
            """The answer holds the key; only its hash is stored, so keep it now."""
            return await api().create(request)

        @app.get("/v1/api-keys", tags=tags, summary="List keys, without their secrets")
        async def page(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
            return await api().page(request, limit, cursor)

        @app.delete("/v1/api-keys/{key_id}", status_code=204, tags=tags, summary="Revoke a key")
        async def revoke(request: Request, key_id: str) -> Response:
            return await api().revoke(request, key_id)


def requested_key(body: bytes, key_id: str, hash_text: str, now_us: int) -> ApiKey:
    """The entry for the key requested by ``body``. Raises DocumentError with every fault."""
    value = load_document(body, json_only=True)
    faults = [Fault(f"$.{name}", "is made by the server; leave it out") for name in _OURS if name in value]
    model = read_model(KIND, value | {"code": key_id, "hash": hash_text}, "$", faults)
    if isinstance(model, ApiKey) and model.expires_at is not None and micros(model.expires_at) <= now_us:
        faults.append(Fault("$.expires_at", "is over already; name an instant to come, or leave it out"))
    if isinstance(model, ApiKey) and model.expires_at is not None and micros(model.expires_at) > _LATEST:
        faults.append(Fault("$.expires_at", "is after the year 9999; leave it out for a key that does not expire"))
    if faults or not isinstance(model, ApiKey):
        raise DocumentError(*faults)
    return model


def limited_to_rates(key: ApiKey, most: Rates | None, default: Rates) -> ApiKey:
    """Limit ``key`` to the rates that its creator may grant (``most``, None = any).

    A rate that the key does not name is set to the creator's if the ``default`` would be higher. Raises
    DocumentError if the key names a higher rate.
    """
    if most is None:
        return key
    faults: list[Fault] = []
    limits: dict[str, int | None] = {}
    for name, bound, usual in (
        ("requests_per_second", most.requests, default.requests),
        ("events_per_second", most.events, default.events),
        ("bytes_per_second", most.bytes, default.bytes),
    ):
        requested: int | None = getattr(key.limits, name)
        limits[name] = bound if requested is None and bound < usual else requested
        if requested is not None and requested > bound:
            remedy = (
                f"write at most that, or ask the operator, who alone can give more (bounds.{name} of the "
                "namespace, or a key made with the admin key)"
            )
            faults.append(
                Fault(f"$.limits.{name}", f"{requested} is more than the {bound} that this key may give; {remedy}")
            )
    if faults:
        raise DocumentError(*faults)
    return key.model_copy(update={"limits": KeyLimits(**limits)})


def key_json(history: list[Entry]) -> JsonObject:
    """A key's JSON representation, without its hash. ``history``: all versions of its entry."""
    created, newest = history[0], history[-1]
    key: ApiKey = newest.model
    return {
        "id": key.code,
        "name": key.name,
        "scopes": list(key.scopes),
        "expires_at": None if key.expires_at is None else rfc3339(micros(key.expires_at)),
        "limits": key.limits.model_dump(),
        "created_at": rfc3339(created.published_us),
        "created_by": created.author,
        "revoked_at": rfc3339(newest.published_us) if newest.retired else None,
        "revoked_by": newest.author if newest.retired else None,
    }
