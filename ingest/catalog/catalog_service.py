"""Operations of the catalog API, independent of routes and headers. Blocking; call it from a thread."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException

from ingest.catalog.catalog_publisher import CatalogPublisher, EntriesTooLarge, LostClaims
from ingest.catalog.changes import CatalogPlan, Change
from ingest.catalog.checks.bound_faults import REMEDY
from ingest.catalog.document import DocumentError, Fault, Tick, load_document, no_tick
from ingest.catalog.document_plan import plan_document
from ingest.catalog.entries import LISTS, Document, DocumentEntry, read_document, read_model
from ingest.http.gateway_problems import Problem, of_denial
from schemas.catalog.base import Model
from schemas.catalog.bounds import bounds_of
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.models import Namespace
from schemas.catalog.state import Entry, NamespaceView
from schemas.errors import CannotGoOn
from schemas.http.api_keys import Access, Denied
from schemas.kafka.errors import RecordRefused
from schemas.ledgers.errors import LedgerUnavailable
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

RESOURCES: Final[dict[str, str]] = {"namespaces": "namespace"} | {
    name.replace("_", "-"): kind for name, kind in LISTS.items()
}
_OURS: Final = ("version", "retired", "published_at", "backfill", "warnings")  # fields added to an entry's body
FRESH_SECONDS: Final = 5.0
DOCUMENT_SECONDS: Final = 120.0
KEYS: Final = "api_key"

T = TypeVar("T")


def entry_json(entry: Entry) -> JsonObject:
    """An entry's JSON representation: its body with version, publication instant and whether it is retired.

    If it is valid from before its publication, ``backfill`` holds the instant from which older events count and
    where to read the progress.
    """
    answer = {
        **entry.body,
        "version": entry.version,
        "retired": entry.retired,
        "published_at": rfc3339(entry.published_us),
    }
    if entry.valid_from_us is not None and entry.valid_from_us < entry.published_us and not entry.retired:
        answer["backfill"] = {
            "from": rfc3339(entry.valid_from_us),
            "progress": "GET /v1/backfills of the rating service",
        }
    return answer


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


class CatalogService:
    """Catalog operations; raises Problem for every failure."""

    def __init__(self, catalog: CatalogFollower, publisher: CatalogPublisher, rest: Tick = no_tick) -> None:
        """``rest`` is called often during long work (``Rests.tick``)."""
        self._rest = rest
        self._catalog = catalog
        self._publisher = publisher

    def apply(self, text: bytes, caller: Caller, *, json_only: bool, dry_run: bool) -> CatalogPlan:
        """Apply a document; if it names no namespace, the caller's is used. Raises Problem 503 if processing takes
        too long."""
        deadline = Deadline(DOCUMENT_SECONDS, self._rest)
        bounds = bounds_of(self._catalog.catalog.view(caller.namespace).settings.bounds)

        def read() -> Document:
            raw = load_document(text, json_only=json_only, most_nodes=bounds.document_nodes, tick=deadline.tick)
            return read_document(raw, caller.namespace, deadline.tick)

        document = or_problem(read)
        caller.home("namespace", document.namespace)
        return self._change(lambda _: document, caller, document.namespace, dry_run=dry_run, tick=deadline.tick)

    def create(self, kind: str, value: Any, caller: Caller) -> tuple[Entry, CatalogPlan]:
        """Publish a first version; returns the entry and its plan. Raises Problem 409 if the entry exists."""
        item = or_problem(lambda: _item(kind, value))
        home = caller.home(kind, item.code)

        def document(view: NamespaceView) -> Document:
            if (entry := _declared(view, kind).get(kind, item.code)) is not None:
                detail = f"{kind} {item.code} exists at version {entry.version}; change it with PUT and If-Match"
                raise Problem(409, "exists", detail)
            return _document(item, home)

        return self._changed(document, caller, home, item)

    def replace(
        self, kind: str, code: str, value: Any, caller: Caller, if_match: str | None
    ) -> tuple[Entry, CatalogPlan]:
        """Publish a new version in place of the one named by ``if_match``; returns the entry and its plan.

        Raises Problem 412 if another version is in force, 428 if ``if_match`` is missing.
        """
        item = or_problem(lambda: _item(kind, value))
        if item.code != code:
            raise Problem(422, "invalid", f"the body's code {item.code} is not the path's {code}", path="$.code")
        home = caller.home(kind, code)

        def document(view: NamespaceView) -> Document:
            _matches(_in_force(view, kind, code, caller), if_match, required=True)
            return _document(item, home)

        return self._changed(document, caller, home, item)

    def retire(self, kind: str, code: str, caller: Caller, if_match: str | None) -> None:
        """Publish a retired version. Raises Problem 409 if other entries refer to it."""
        if kind == "namespace":
            raise Problem(405, "method_not_allowed", "namespaces are not retired: their events and invoices stay")

        def document(view: NamespaceView) -> Document:
            _matches(_in_force(view, kind, code, caller), if_match, required=False)
            return Document(caller.namespace, None, False, frozenset(), ())

        self._change(document, caller, caller.namespace, kind, retire=[(kind, code)])

    def get(self, kind: str, code: str, caller: Caller) -> Entry:
        """The version in force. Raises Problem 404."""
        return _in_force(self._catalog.catalog.view(caller.home(kind, code)), kind, code, caller)

    def history(self, kind: str, code: str, caller: Caller) -> list[Entry]:
        """All versions, oldest first, including retired ones. Raises Problem 404 if there is none."""
        view = _declared(self._catalog.catalog.view(caller.home(kind, code)), kind)
        versions = view.history(kind, code)
        if not versions:
            raise _missing(kind, code, caller)
        return versions

    def add(self, kind: str, model: Model, caller: Caller) -> Entry:
        """Publish the first version of an entry of a kind that documents do not contain (API keys); its code must
        be new."""
        code = DocumentEntry(kind, "$", model).code

        def plan(view: NamespaceView) -> CatalogPlan:
            _check_number_of_keys(_declared(view, kind))
            return CatalogPlan(view.namespace, (Change("created", kind, code, 1, model),))

        self._publish(plan, caller, caller.namespace, kind, dry_run=False)
        return self.get(kind, code, caller)

    def page(
        self, kind: str, caller: Caller, limit: int, cursor: str | None, *, retired: bool = False
    ) -> tuple[list[Entry], str | None]:
        """At most ``limit`` entries in order of their codes, and the cursor of the next page (None on the last)."""
        after_code = _after(cursor)
        if kind == "namespace":
            entries = self._namespaces(caller, after_code)
        else:
            entries = self.view(caller.namespace).after(kind, after_code, retired=retired)
        page = list(islice(entries, limit + 1))
        return page[:limit], _cursor(page[limit - 1].code) if len(page) > limit else None

    def _namespaces(self, caller: Caller, after_code: str) -> Iterator[Entry]:
        """The settings of each namespace that the caller may see, in order of their codes."""
        own = caller.access.namespace
        for name in self._catalog.catalog.namespaces() if own is None else [own]:
            if name > after_code and (entry := self._catalog.catalog.view(name).get("namespace", name)) is not None:
                yield entry

    def view(self, namespace: str) -> NamespaceView:
        """The namespace's present catalog. Raises Problem 404 if it is not declared."""
        return _declared(self._catalog.catalog.view(namespace))

    def _changed(
        self, document: Callable[[NamespaceView], Document], caller: Caller, namespace: str, item: DocumentEntry
    ) -> tuple[Entry, CatalogPlan]:
        """Plan and publish a document of one entry; returns the very version that the plan names, whoever has
        published another since."""
        plan = self._change(document, caller, namespace)
        version = next(
            change.version for change in plan.changes if (change.kind, change.code) == (item.kind, item.code)
        )
        entry = self._catalog.catalog.view(namespace).version(item.kind, item.code, version)
        if entry is None:
            raise _missing(item.kind, item.code, caller)
        return entry, plan

    def _change(
        self, document: Callable[[NamespaceView], Document], caller: Caller, namespace: str, kind: str = "", *,
        dry_run: bool = False, retire: Sequence[tuple[str, str]] = (), tick: Tick | None = None,
    ) -> CatalogPlan:  # fmt: skip
        """Plan from the document and publish. The document and the plan have one view, so that a condition of the
        document (If-Match) holds for the version that the plan replaces."""
        status = 409 if retire else 422

        def plan(view: NamespaceView) -> CatalogPlan:
            return or_problem(lambda: plan_document(view, document(view), retire, tick or self._rest), status)

        return self._publish(plan, caller, namespace, kind, dry_run=dry_run)

    def _publish(
        self, make: Callable[[NamespaceView], CatalogPlan], caller: Caller, namespace: str, kind: str, *, dry_run: bool
    ) -> CatalogPlan:
        """Plan from the namespace's present view, and publish, under a lock, so that no plan is based on a catalog that
        another request is changing. What another gateway publishes meanwhile makes the plan lose its claims. API keys
        (``kind``) have a separate lock, since documents do not contain them."""
        with self._publisher.exclusive(f"{namespace}/{kind}" if kind == KEYS else namespace):
            if not self._catalog.fresh(FRESH_SECONDS):
                raise _unavailable("this gateway has lost sight of the catalog")
            view = self._catalog.catalog.view(namespace)
            plan = make(view)
            _may_send(plan, view.settings, caller)
            try:
                self._publisher.check(plan, caller.access.author)
                if not dry_run:
                    self._publisher.publish(plan, caller.access.author, self._rest)
            except LostClaims as error:
                raise Problem(
                    409, "lost_claim", f"{error}; read what stands and apply again",
                    lost=[_named(change) for change in error.lost],
                ) from None  # fmt: skip
            except EntriesTooLarge as error:
                raise Problem(
                    422, "too_large", str(error), limit=error.limit,
                    errors=[{"path": f"{change.kind} "
                        f"{change.code}", "detail": f"{size} bytes; up to {error.limit} are "
                            "allowed"} for change, size in error.entries],
                ) from None  # fmt: skip
            except RecordRefused as error:  # the topic's limit is below the setting
                raise Problem(
                    503,
                    "misconfigured",
                    f"{error}; max.message.bytes of the topic and WEIR_KAFKA_RECORD_BYTES do not agree",
                ) from None
            except CannotGoOn as error:
                raise Problem(503, "misconfigured", str(error)) from None
            except (LedgerUnavailable, KafkaException) as error:
                raise _unavailable(str(error)) from None
        return plan


def _may_send(plan: CatalogPlan, standing: Namespace, caller: Caller) -> None:
    """Raises Problem 403 for changes that need more than the scope "catalog": a webhook receives all invoices
    and needs the scope admin, and bounds are set by the operator only."""
    if caller.access.namespace is None:
        return
    for change in plan.to_publish():
        if not isinstance(change.model, Namespace):
            continue
        if change.model.webhook != standing.webhook and "admin" not in caller.access.scopes:
            detail = "changing webhook needs a key with the scope admin: whoever it leads to gets every invoice"
            raise Problem(403, "scope", detail, path="$.namespace.webhook")
        if change.model.bounds != standing.bounds:
            detail = (
                "bounds are set by the operator, with the admin key of the settings; leave them out, and "
                "they stay as they are"
            )
            raise Problem(403, "scope", detail, path="$.namespace.bounds")


def _declared(view: NamespaceView, kind: str = "") -> NamespaceView:
    """The view. Raises Problem 404 if its namespace is not declared, which an entry of kind "namespace" need not be."""
    if kind != "namespace" and not view.known:
        raise Problem(404, "unknown_namespace", f"no namespace {view.namespace[:80]!r}; declare it with `weir apply`")
    return view


def _in_force(view: NamespaceView, kind: str, code: str, caller: Caller) -> Entry:
    """The entry's version in force. Raises Problem 404."""
    entry = _declared(view, kind).get(kind, code)
    if entry is None:
        raise _missing(kind, code, caller)
    return entry


def _missing(kind: str, code: str, caller: Caller) -> Problem:
    return Problem(404, "not_found", f"no {kind} {code} in namespace {caller.namespace}")


def _check_number_of_keys(view: NamespaceView) -> None:
    """Raises Problem 422 if the namespace has reached its limit of API keys."""
    most = bounds_of(view.settings.bounds).api_keys
    if len(view.all(KEYS)) >= most:
        remedy = REMEDY.format(name="api_keys", value=most + 1)
        detail = (
            f"this namespace has {most} keys that are not revoked, as many as it may (api_keys); revoke "
            f"some, or {remedy}"
        )
        raise Problem(422, "bound", detail)


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


def _named(change: Change) -> JsonObject:
    return {"kind": change.kind, "code": change.code, "version": change.version}


def _unavailable(detail: str) -> Problem:
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


def _item(kind: str, value: Any) -> DocumentEntry:
    faults: list[Fault] = []
    if isinstance(value, dict):
        value = {name: inner for name, inner in value.items() if name not in _OURS}
    model = read_model(kind, value, "$", faults)
    if model is None:
        raise DocumentError(*faults)
    return DocumentEntry(kind, "$", model)


def _document(item: DocumentEntry, namespace: str) -> Document:
    if item.kind == "namespace":
        return Document(namespace, item.model, False, frozenset(), ())
    return Document(namespace, None, False, frozenset(), (item,))


def _matches(entry: Entry, if_match: str | None, *, required: bool) -> None:
    if if_match is None:
        if required:
            detail = f'send If-Match: "{entry.version}", the ETag of the version you have read'
            raise Problem(428, "precondition_required", detail)
        return
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
    if "*" not in tags and str(entry.version) not in tags:
        detail = f"{entry.kind} {entry.code} is at version {entry.version}, not {if_match[:40]}; read it again"
        raise Problem(412, "version_mismatch", detail)


def _cursor(code: str) -> str:
    return base64.urlsafe_b64encode(code.encode()).decode()


def _after(cursor: str | None) -> str:
    if not cursor:
        return ""
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Problem(422, "invalid", "the cursor is not one of ours; take next_cursor of a page as it is") from None
