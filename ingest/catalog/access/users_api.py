"""HTTP routes of a namespace's users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ingest.catalog.access.access_api import AccessApi
from ingest.catalog.catalog_api import Cursor, Limit
from ingest.catalog.catalog_problems import or_problem
from ingest.catalog.document import DocumentError, Fault, load_document
from ingest.catalog.openapi_bodies import USER_BODY
from schemas.catalog.access.users import USER, User, UserChange
from schemas.catalog.state import Entry
from schemas.http.passwords import password_hash
from schemas.values.instants import instant, rfc3339
from schemas.values.json_text import JsonObject

_MAX_BODY: Final = 64 * 1024


class UsersApi(AccessApi):
    """Users by HTTP. Calls run in worker threads, since a password's hash takes a while and publishing waits for
    Kafka."""

    changes = "changes of users"

    async def put(self, request: Request, name: str) -> Response:
        """200 with the user as it is now, without the password's hash."""
        caller = self._caller(request)
        async with self._guard.body(request, caller.access, caller.namespace, _MAX_BODY) as body:
            pass

        def work() -> Entry:
            change = or_problem(lambda: user_change(body))
            made = password_hash(change.password) if change.password is not None else None
            now_us = self._sources.now_us()
            return self._service.revise(
                USER, name, lambda standing: changed_user(name, standing, change, made, now_us), caller
            )

        return JSONResponse(user_json(await self._run(caller, work)))

    async def remove(self, request: Request, name: str) -> Response:
        """204. The console lets the user in no more, within a second."""
        caller = self._caller(request)
        await self._run(caller, lambda: self._service.retire(USER, name, caller, None))
        return Response(status_code=204)

    async def page(self, request: Request, limit: int, cursor: str | None) -> Response:
        """A page of the users."""
        caller = self._caller(request)

        def answer() -> Response:
            entries, following = self._service.page(USER, caller, limit, cursor)
            return JSONResponse({"items": [user_json(entry) for entry in entries], "next_cursor": following})

        return await self._run(caller, answer)

    @staticmethod
    def routes(app: FastAPI, api: Callable[[], UsersApi]) -> None:
        """Register the routes on ``app``."""
        tags: list[Any] = ["users"]

        @app.get("/v1/users", tags=tags, summary="List users, without their passwords")
        async def page(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
            return await api().page(request, limit, cursor)

        @app.put("/v1/users/{name}", tags=tags, summary="Make or change a user", openapi_extra=USER_BODY)
        async def put(request: Request, name: str) -> Response:
            """A new user needs a role and a password; of one who is there, what is left out stays."""
            return await api().put(request, name)

        @app.delete("/v1/users/{name}", status_code=204, tags=tags, summary="Remove a user")
        async def remove(request: Request, name: str) -> Response:
            return await api().remove(request, name)


def user_change(body: bytes) -> UserChange:
    """What a request asks for. Raises DocumentError with every fault; no fault repeats a password."""
    value = load_document(body, json_only=True)
    try:
        return UserChange.model_validate(value)
    except ValidationError as error:
        faults = [Fault(".".join(("$", *map(str, item["loc"]))), item["msg"]) for item in error.errors()]
        raise DocumentError(*faults) from None


def changed_user(name: str, standing: Entry | None, change: UserChange, made: str | None, now_us: int) -> User:
    """The user as it will be. ``made``: the hash of a new password. Raises DocumentError."""
    before: User | None = None if standing is None else standing.model
    role = change.role or (before.role if before else None)
    kept = made or (before.hash if before else None)
    if role is None or kept is None:
        field, example = ("role", "viewer, support, billing or admin") if role is None else ("password", "one")
        raise DocumentError(
            Fault(f"$.{field}", f"there is no user {name[:64]} yet, and a new one needs it; write {example}")
        )
    ends = made is not None or change.end_sessions
    since = instant(now_us) if ends else before.sessions_from if before else None
    title = change.name if change.name is not None else before.name if before else ""
    try:
        return User(code=name, name=title, hash=kept, role=role, sessions_from=since)
    except ValidationError as error:
        raise DocumentError(*(Fault(f"$.{item['loc'][0]}", item["msg"]) for item in error.errors())) from None


def user_json(entry: Entry) -> JsonObject:
    """A user's JSON representation, without the password's hash."""
    user: User = entry.model
    return {
        "code": user.code,
        "name": user.name,
        "role": user.role,
        "changed_at": rfc3339(entry.published_us),
        "changed_by": entry.author,
    }
