"""Operations of the catalog API, independent of routes and headers. Blocking; call it from a thread."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from confluent_kafka import KafkaException

from ingest.catalog.catalog_problems import (
    BY_THEMSELVES,
    Caller,
    Deadline,
    check_allowed,
    check_number_of_keys,
    check_number_of_users,
    check_version,
    declared,
    in_force,
    missing,
    or_problem,
    unavailable,
)
from ingest.catalog.catalog_publisher import CatalogPublisher, EntriesTooLarge, LostClaims
from ingest.catalog.changes import CatalogPlan, Change
from ingest.catalog.document import DocumentError, Fault, Tick, load_document, no_tick
from ingest.catalog.document_plan import plan_document
from ingest.catalog.entries import LISTS, Document, DocumentEntry, read_document, read_model
from ingest.http.gateway_problems import Problem
from schemas.catalog.base import Model
from schemas.catalog.bounds import bounds_of
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.state import Entry, NamespaceView
from schemas.errors import CannotGoOn
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
Now = Callable[[], int]


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


class CatalogService:
    """Catalog operations; raises Problem for every failure."""

    def __init__(
        self, catalog: CatalogFollower, publisher: CatalogPublisher, rest: Tick = no_tick, now_us: Now | None = None
    ) -> None:
        """``rest`` is called often during long work (``Rests.tick``); ``now_us``: without it any lock date is taken."""
        self._rest, self._now_us = rest, now_us
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
            if (entry := declared(view, kind).get(kind, item.code)) is not None:
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
            check_version(in_force(view, kind, code, caller), if_match, required=True)
            return _document(item, home)

        return self._changed(document, caller, home, item)

    def retire(self, kind: str, code: str, caller: Caller, if_match: str | None) -> None:
        """Publish a retired version. Raises Problem 409 if other entries refer to it."""
        if kind == "namespace":
            raise Problem(405, "method_not_allowed", "namespaces are not retired: their events and invoices stay")

        def document(view: NamespaceView) -> Document:
            check_version(in_force(view, kind, code, caller), if_match, required=False)
            return Document(caller.namespace, None, False, frozenset(), ())

        self._change(document, caller, caller.namespace, kind, retire=[(kind, code)])

    def get(self, kind: str, code: str, caller: Caller) -> Entry:
        """The version in force. Raises Problem 404."""
        return in_force(self._catalog.catalog.view(caller.home(kind, code)), kind, code, caller)

    def history(self, kind: str, code: str, caller: Caller) -> list[Entry]:
        """All versions, oldest first, including retired ones. Raises Problem 404 if there is none."""
        view = declared(self._catalog.catalog.view(caller.home(kind, code)), kind)
        versions = view.history(kind, code)
        if not versions:
            raise missing(kind, code, caller)
        return versions

    def add(self, kind: str, model: Model, caller: Caller) -> Entry:
        """Publish the first version of an entry of a kind that documents do not contain (API keys); its code must
        be new."""
        code = DocumentEntry(kind, "$", model).code

        def plan(view: NamespaceView) -> CatalogPlan:
            check_number_of_keys(declared(view, kind))
            return CatalogPlan(view.namespace, (Change("created", kind, code, 1, model),))

        self._publish(plan, caller, caller.namespace, kind, dry_run=False)
        return self.get(kind, code, caller)

    def revise(self, kind: str, code: str, make: Callable[[Entry | None], Model], caller: Caller) -> Entry:
        """Publish the next version of an entry of such a kind, which need not be there. ``make`` gets the version in
        force, None where there is none, and may raise DocumentError."""

        def plan(view: NamespaceView) -> CatalogPlan:
            versions = declared(view, kind).history(kind, code)
            standing = versions[-1] if versions and not versions[-1].retired else None
            if standing is None:
                check_number_of_users(view)
            model = or_problem(lambda: make(standing))
            action: Any = "created" if standing is None else "changed"
            return CatalogPlan(view.namespace, (Change(action, kind, code, len(versions) + 1, model),))

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
        own_namespace = caller.access.namespace
        for name in self._catalog.catalog.namespaces() if own_namespace is None else [own_namespace]:
            if name > after_code and (entry := self._catalog.catalog.view(name).get("namespace", name)) is not None:
                yield entry

    def view(self, namespace: str) -> NamespaceView:
        """The namespace's present catalog. Raises Problem 404 if it is not declared."""
        return declared(self._catalog.catalog.view(namespace))

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
            raise missing(item.kind, item.code, caller)
        return entry, plan

    def _change(
        self,
        document: Callable[[NamespaceView], Document],
        caller: Caller,
        namespace: str,
        kind: str = "",
        *,
        dry_run: bool = False,
        retire: Sequence[tuple[str, str]] = (),
        tick: Tick | None = None,
    ) -> CatalogPlan:
        """Plan from the document and publish. The document and the plan have one view, so that a condition of the
        document (If-Match) holds for the version that the plan replaces."""
        status = 409 if retire else 422

        def plan(view: NamespaceView) -> CatalogPlan:
            now_us, rest = self._now_us and self._now_us(), tick or self._rest
            return or_problem(lambda: plan_document(view, document(view), retire, rest, now_us=now_us), status)

        return self._publish(plan, caller, namespace, kind, dry_run=dry_run)

    def _publish(
        self, make: Callable[[NamespaceView], CatalogPlan], caller: Caller, namespace: str, kind: str, *, dry_run: bool
    ) -> CatalogPlan:
        """Plan from the namespace's present view, and publish, under a lock, so that no plan is based on a catalog that
        another request is changing. What another gateway publishes meanwhile makes the plan lose its claims. API keys
        and users (``kind``) have separate locks, since documents do not contain them."""
        with self._publisher.exclusive(f"{namespace}/{kind}" if kind in BY_THEMSELVES else namespace):
            if not self._catalog.fresh(FRESH_SECONDS):
                raise unavailable("this gateway has lost sight of the catalog")
            view = self._catalog.catalog.view(namespace)
            plan = make(view)
            check_allowed(plan, view.settings, caller)
            try:
                self._publisher.check(plan, caller.access.author)
                if not dry_run:
                    self._publisher.publish(plan, caller.access.author, self._rest)
            except LostClaims as error:
                raise Problem(
                    409,
                    "lost_claim",
                    f"{error}; read what stands and apply again",
                    lost=[_named(change) for change in error.lost],
                ) from None
            except EntriesTooLarge as error:
                raise Problem(
                    422,
                    "too_large",
                    str(error),
                    limit=error.limit,
                    errors=[
                        {
                            "path": f"{change.kind} {change.code}",
                            "detail": f"{size} bytes; up to {error.limit} are allowed",
                        }
                        for change, size in error.entries
                    ],
                ) from None
            except RecordRefused as error:  # the topic's limit is below the setting
                raise Problem(
                    503,
                    "misconfigured",
                    f"{error}; max.message.bytes of the topic and WEIR_KAFKA_RECORD_BYTES do not agree",
                ) from None
            except CannotGoOn as error:
                raise Problem(503, "misconfigured", str(error)) from None
            except (LedgerUnavailable, KafkaException) as error:
                raise unavailable(str(error)) from None
        return plan


def _named(change: Change) -> JsonObject:
    return {"kind": change.kind, "code": change.code, "version": change.version}


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


def _cursor(code: str) -> str:
    return base64.urlsafe_b64encode(code.encode()).decode()


def _after(cursor: str | None) -> str:
    if not cursor:
        return ""
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Problem(422, "invalid", "the cursor is not one of ours; take next_cursor of a page as it is") from None
