"""Whom the catalog answers, and what it refuses, as problem documents."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from ingest.catalog.changes import CatalogPlan
from ingest.catalog.checks.bound_faults import REMEDY
from ingest.catalog.document import DocumentError, Tick, no_tick
from ingest.http.gateway_problems import Problem, of_denial
from schemas.catalog.access.users import USER
from schemas.catalog.bounds import bounds_of
from schemas.catalog.models import Namespace
from schemas.catalog.state import Entry, NamespaceView
from schemas.http.api_keys import Access, Denied

KEYS: Final = "api_key"  # the kind of their entries
BY_THEMSELVES: Final = frozenset({KEYS, USER})
"""Kinds that documents do not contain."""
MOST_USERS: Final = 1_000


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """The access rights of a request, and the namespace it addresses."""

    namespace: str
    access: Access

    def home(self, kind: str, code: str) -> str:
        """The namespace that contains an entry; a namespace's settings are contained in the namespace itself.
        Raises Problem 403 if the key does not reach it."""
        try:
            return self.access.reach(code) if kind == "namespace" else self.namespace
        except Denied as denied:
            raise of_denial(denied) from None


_ADMIN_FIELDS: Final = {
    "webhook": "whoever it leads to gets every invoice",
    "webhooks": "whoever it leads to gets every invoice",
    "portal_origins": "these sites may show customers' portals as their own",
}


def check_allowed(plan: CatalogPlan, standing: Namespace, caller: Caller) -> None:
    """Raises Problem 403 for changes that need more than the scope "catalog": a webhook receives all invoices
    and needs the scope admin, and bounds are set by the operator only."""
    if caller.access.namespace is None:
        return
    for change in plan.to_publish():
        if not isinstance(change.model, Namespace):
            continue
        for name, why in _ADMIN_FIELDS.items():
            if getattr(change.model, name) != getattr(standing, name) and "admin" not in caller.access.scopes:
                detail = f"changing {name} needs a key with the scope admin: {why}"
                raise Problem(403, "scope", detail, path=f"$.namespace.{name}")
        if change.model.bounds != standing.bounds:
            detail = (
                "bounds are set by the operator, with the admin key of the settings; leave them out, and "
                "they stay as they are"
            )
            raise Problem(403, "scope", detail, path="$.namespace.bounds")


def declared(view: NamespaceView, kind: str = "") -> NamespaceView:
    """The view. Raises Problem 404 if its namespace is not declared, which an entry of kind "namespace" need not be."""
    if kind != "namespace" and not view.known:
        raise Problem(404, "unknown_namespace", f"no namespace {view.namespace[:80]!r}; declare it with `weir apply`")
    return view


def in_force(view: NamespaceView, kind: str, code: str, caller: Caller) -> Entry:
    """The entry's version in force. Raises Problem 404."""
    entry = declared(view, kind).get(kind, code)
    if entry is None:
        raise missing(kind, code, caller, retired=bool(view.history(kind, code)))
    return entry


def missing(kind: str, code: str, caller: Caller, retired: bool = False) -> Problem:
    """Problem 404 for an entry that is not there; ``retired``: that was, and may be published again."""
    place = f"/v1/{kind.replace('_', '-')}s"
    if retired:
        detail = f"{kind} {code[:64]} of namespace {caller.namespace} is retired; PUT {place}/… publishes it again"
    else:
        detail = f"no {kind} {code[:64]} in namespace {caller.namespace}; GET {place} lists them"
    return Problem(404, "not_found", detail)


def check_number_of_keys(view: NamespaceView) -> None:
    """Raises Problem 422 if the namespace has reached its limit of API keys."""
    most = bounds_of(view.settings.bounds).api_keys
    if len(view.all(KEYS)) >= most:
        remedy = REMEDY.format(name="api_keys", value=most + 1)
        detail = (
            f"this namespace has {most} keys that are not revoked, as many as it may (api_keys); revoke "
            f"some, or {remedy}"
        )
        raise Problem(422, "bound", detail)


def check_number_of_users(view: NamespaceView) -> None:
    """Raises Problem 422 if the namespace has as many users as it may."""
    if len(view.all(USER)) >= MOST_USERS:
        raise Problem(422, "bound", f"this namespace has {MOST_USERS} users, as many as it may; remove some")


class Deadline:
    """A tick that calls ``rest`` and raises Problem 503 once ``seconds`` have passed since construction."""

    def __init__(self, seconds: float, rest: Tick = no_tick, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest = rest
        self._seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def tick(self) -> None:
        """To be called every few hundred steps and for each entry."""
        self._rest()
        if self._clock() > self._end:
            detail = (
                f"the document could not be worked through within {self._seconds:g} s; nothing was published. "
                "Apply it in parts"
            )
            raise Problem(503, "too_slow", detail, headers={"Retry-After": "10"})


def unavailable(detail: str) -> Problem:
    """Problem 503 where Kafka did not answer; applying again is safe."""
    return Problem(503, "unavailable", f"{detail}; apply again, it is safe", headers={"Retry-After": "1"})


def or_problem(step: Callable[[], T], status: int = 422) -> T:
    """The step's result; converts a DocumentError to a Problem with all its faults."""
    try:
        return step()
    except DocumentError as error:
        faults = [{"path": fault.path, "detail": fault.detail} for fault in error.faults]
        first = error.faults[0]
        count = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise Problem(
            400 if error.malformed else status,
            "malformed" if error.malformed else "invalid" if status == 422 else "in_use",
            f"{first.path}: {first.detail}{count}",
            path=first.path,
            errors=faults,
        ) from None


def check_version(entry: Entry, if_match: str | None, *, required: bool) -> None:
    """Raises Problem 412 where ``if_match`` names another version than the entry has, 428 where it is ``required`` and
    missing."""
    if if_match is None:
        if required:
            detail = f'send If-Match: "{entry.version}", the ETag of the version you have read'
            raise Problem(428, "precondition_required", detail)
        return
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
    if "*" not in tags and str(entry.version) not in tags:
        detail = f"{entry.kind} {entry.code} is at version {entry.version}, not {if_match[:40]}; read it again"
        raise Problem(412, "version_mismatch", detail)
