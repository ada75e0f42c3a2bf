"""HTTP routes of a namespace's users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ingest.catalog.access.access_api import AccessApi
from ingest.catalog.catalog_api import Cursor, Limit
from ingest.catalog.catalog_problems import or_problem
from ingest.catalog.document import DocumentError, Fault, load_document
from ingest.catalog.openapi_bodies import PASSWORD_BODY, USER_BODY
from schemas.catalog.access.users import USER, PasswordChange, User, UserChange
from schemas.catalog.base import Model
from schemas.catalog.state import Entry
from schemas.http.api_keys import USER_PREFIX
from schemas.http.passwords import is_password, password_hash
from schemas.http.problems import Problem
from schemas.values.instants import instant, rfc3339
from schemas.values.json_text import JsonObject

_MAX_BODY: Final = 64 * 1024

M = TypeVar("M", bound=Model)


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

    async def change_password(self, request: Request, name: str) -> Response:
        """200 with the user, who alone may ask, by the console. Repeating it is safe. Raises Problem."""
        caller = self._caller(request)
        if caller.access.key_id != USER_PREFIX + name:
            raise Problem(
                403, "forbidden", "users change their own password alone; an admin sets one by /v1/users/{name}"
            )
        async with self._guard.body(request, caller.access, caller.namespace, _MAX_BODY) as body:
            pass

        def work() -> Entry:
            change = or_problem(lambda: password_change(body))
            made, now_us = password_hash(change.password), self._sources.now_us()
            return self._service.revise(
                USER, name, lambda standing: with_own_password(standing, change, made, now_us), caller
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
            """A new user needs a role and a password; of one who is there, what is left out stays. The console makes
            users of an OpenID Connect provider by `issuer` and `subject`, who have no password."""
            return await api().put(request, name)

        @app.put("/v1/users/{name}/password", tags=tags, summary="Change the own password", openapi_extra=PASSWORD_BODY)
        async def change_password(request: Request, name: str) -> Response:
            """The console asks so on behalf of the user who is logged in. The present password is needed, and all
            sessions of the user end."""
            return await api().change_password(request, name)

        @app.delete("/v1/users/{name}", status_code=204, tags=tags, summary="Remove a user")
        async def remove(request: Request, name: str) -> Response:
            return await api().remove(request, name)


def user_change(body: bytes) -> UserChange:
    """What a request asks for. Raises DocumentError with every fault; no fault repeats a password."""
    return _read(UserChange, body)


def password_change(body: bytes) -> PasswordChange:
    """Likewise."""
    return _read(PasswordChange, body)


def _read(model: type[M], body: bytes) -> M:
    value = load_document(body, json_only=True)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = [Fault(".".join(("$", *map(str, item["loc"]))), item["msg"]) for item in error.errors()]
        raise DocumentError(*faults) from None


def changed_user(name: str, standing: Entry | None, change: UserChange, made: str | None, now_us: int) -> User:
    """The user as it will be. ``made``: the hash of a new password. Raises DocumentError."""
    before: User | None = None if standing is None else standing.model
    role = change.role or (before.role if before else None)
    kept = made or (before.hash if before else "")
    issuer = change.issuer or (before.issuer if before else "")
    subject = change.subject or (before.subject if before else "")
    if role is None or not (kept or issuer or subject):
        field, example = ("role", "viewer, support, billing or admin") if role is None else ("password", "one")
        raise DocumentError(
            Fault(f"$.{field}", f"there is no user {name[:64]} yet, and a new one needs it; write {example}")
        )
    ends = made is not None or change.end_sessions
    since = instant(now_us) if ends else before.sessions_from if before else None
    title = change.name if change.name is not None else before.name if before else ""
    try:
        return User(code=name, name=title, hash=kept, issuer=issuer, subject=subject, role=role, sessions_from=since)
    except ValidationError as error:
        raise DocumentError(
            *(Fault(".".join(("$", *map(str, item["loc"]))), item["msg"]) for item in error.errors())
        ) from None


def with_own_password(standing: Entry | None, change: PasswordChange, made: str, now_us: int) -> User:
    """The user with a new password, of which ``made`` is the hash. Raises DocumentError where the old one is wrong or
    there is none."""
    user: User | None = None if standing is None else standing.model
    if user is None or not user.hash:
        raise DocumentError(Fault("$.old_password", "this user has no password"))
    if is_password(user.hash, change.password):
        return user  # as of an earlier attempt whose answer was lost
    if not is_password(user.hash, change.old_password):
        raise DocumentError(Fault("$.old_password", "that is not the present password"))
    return user.model_copy(update={"hash": made, "sessions_from": instant(now_us)})


def user_json(entry: Entry) -> JsonObject:
    """A user's JSON representation, without the password's hash."""
    user: User = entry.model
    return {
        "code": user.code,
        "name": user.name,
        "role": user.role,
        "issuer": user.issuer,
        "subject": user.subject,
        "changed_at": rfc3339(entry.published_us),
        "changed_by": entry.author,
    }
