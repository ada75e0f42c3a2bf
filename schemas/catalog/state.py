"""State of the catalog derived from its log: every winning version of every entry, viewable as of any catalog
offset."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar

from msgspec import Struct

from schemas.catalog.access.users import User
from schemas.catalog.base import Model
from schemas.catalog.entitlements.features import Feature
from schemas.catalog.indexes import NamespaceIndexes, references
from schemas.catalog.meters import Meter
from schemas.catalog.models import KINDS, Account, Namespace, Plan, Subscription
from schemas.catalog.stored.model_shapes import stored_model
from schemas.catalog.terms import CreditGrant
from schemas.ledgers.first_valid import Claim, FirstValid
from schemas.ledgers.generations import KIND as GENERATION
from schemas.ledgers.generations import Generations
from schemas.ledgers.given_up import KIND as GIVEN_UP
from schemas.ledgers.given_up import GivenUp
from schemas.values.caches.weighted_cache import WeightedCache
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject, stored

T = TypeVar("T")

DEFAULT_NAMESPACE: Final = "default"
MOST_VIEWS: Final = 16_384
MOST_DERIVED: Final = 1_000_000
"""Capacity of the cache of derived values (``NamespaceView.derived``), in units of about one profile version, one
filter value or some hundred characters of a schema."""


class Entry(Struct, frozen=True, dict=True):  # a dict for what is computed once
    """One version of a catalog entry that won its claim."""

    namespace: str
    kind: str
    code: str
    version: int
    retired: bool
    valid_from_us: int | None
    published_us: int  # append time of the record, microseconds UTC
    offset: int  # the record's offset in usage.catalog
    body: Mapping[str, Any]
    author: str = ""
    size: int = 0  # characters of the body's JSON

    @cached_property
    def model(self) -> Any:
        """The body as its pydantic model. Raises pydantic.ValidationError for a body that only an older release
        accepted."""
        return stored_model(self.kind, self.body)


def claim_of(record: Mapping[str, Any]) -> Claim:
    """The claim of a CatalogEntry record."""
    return Claim((record["namespace"], record["kind"], record["code"]), record["version"])


def entry_of(record: Mapping[str, Any], offset: int, append_us: int) -> Entry:
    """The entry in a decoded CatalogEntry record at ``offset``, appended at ``append_us``."""
    return Entry(
        record["namespace"], record["kind"], record["code"], record["version"], record["retired"],
        record["valid_from"], append_us, offset, stored(record["body"]), record["author"], len(record["body"]),
    )  # fmt: skip


def record_of(
    namespace: str, model: Model, *, kind: str, version: int, author: str, claim_id: str,
    retired: bool = False, valid_from_us: int | None = None,
) -> JsonObject:  # fmt: skip
    """A CatalogEntry record for ``model``, ready for the codec. It is valid from a meter's ``start``, if that is
    set."""
    body = model.model_dump(mode="json")
    # Fields that say nothing are left out, so that an earlier release, which does not know them, reads the entry.
    if isinstance(model, Namespace):
        for name in ("clock_ahead_seconds", "inbox", "lock_date", "portal_origins", "seller", "webhooks"):
            if not body[name]:
                del body[name]
    if isinstance(model, CreditGrant | User):
        body = model.written()
    if isinstance(model, Plan | Subscription) and not model.features:
        del body["features"]
    if isinstance(model, Plan) and model.overage is None:
        del body["overage"]
    if isinstance(model, Account) and model.buyer is None:
        del body["buyer"]
    if isinstance(model, Account | Plan | Subscription) and not model.top_ups:
        del body["top_ups"]
    if isinstance(model, Feature):
        body = {
            name: value for name, value in body.items() if name not in ("value", "limits") or value not in (None, [])
        }
    if isinstance(model, Meter) and model.start is not None and valid_from_us is None and not retired:
        valid_from_us = micros(model.start)
    return {
        "namespace": namespace, "kind": kind, "code": body["code"], "version": version, "retired": retired,
        "valid_from": valid_from_us, "body": json.dumps(body, ensure_ascii=False, sort_keys=True), "author": author,
        "claim_id": claim_id,
    }  # fmt: skip


class Catalog:
    """State of the catalog, built by applying the records of usage.catalog in order. Append-only: a view as of an
    older offset never changes.

    One thread applies records; views may be read from other threads, since lists only grow at their end.
    """

    def __init__(self) -> None:
        self._claims = FirstValid()
        self._versions: dict[tuple[str, str], dict[str, list[Entry]]] = {}
        self._changes: dict[str, list[int]] = {}
        self._changes_of: dict[tuple[str, str], list[int]] = {}  # by namespace and kind
        self._indexes: dict[str, NamespaceIndexes] = {}
        self._logs: dict[str, list[Entry]] = {}
        self._views: dict[tuple[str, int], NamespaceView] = {}
        self._derived: WeightedCache[Any] = WeightedCache(MOST_DERIVED)
        self.generations = Generations()
        self.given_up = GivenUp()
        self.next_offset = 0
        self.namespaces_changed = 0
        """One more than the offset of the last entry of a namespace itself."""

    def apply(self, record: Mapping[str, Any], offset: int, append_us: int) -> Entry | None:
        """Apply the decoded record at ``offset``; returns its entry if its claim won, else None. Offsets must
        ascend.

        Raises ValueError for a body that is not JSON; such a record claims nothing.
        """
        if offset < self.next_offset:
            return None
        entry: Entry | None = None
        if record["kind"] == GENERATION:
            self.generations.apply(record)
        if record["kind"] == GIVEN_UP:
            self.given_up.apply(record, append_us)
        # Decoded before it may claim: an unreadable winner would leave a gap in the versions that no writer can fill.
        read = entry_of(record, offset, append_us) if record["kind"] in KINDS else None
        if read is not None and isinstance(read.body, dict) and self._claims.offer(claim_of(record)):
            entry = read
            by_code = self._versions.setdefault((entry.namespace, entry.kind), {})
            versions = by_code.setdefault(entry.code, [])
            previous = versions[-1] if versions else None
            versions.append(entry)
            self._indexes_of(entry.namespace).add(entry, previous)
            self._changes_of.setdefault((entry.namespace, entry.kind), []).append(offset)
            self._logs.setdefault(entry.namespace, []).append(entry)
            self._changes.setdefault(entry.namespace, []).append(offset)
            if entry.kind == "namespace":
                self.namespaces_changed = offset + 1
        self.next_offset = offset + 1
        return entry

    def skip_to(self, next_offset: int) -> None:
        """Mark everything below ``next_offset`` as read, including unreadable records."""
        self.next_offset = max(self.next_offset, next_offset)

    def namespaces(self) -> list[str]:
        """All declared namespaces and the default one, sorted."""
        return sorted({DEFAULT_NAMESPACE, *(name for name, kind in list(self._versions) if kind == "namespace")})

    def view(self, namespace: str, offset: int | None = None) -> NamespaceView:
        """The namespace's catalog as of ``offset`` (exclusive; None: everything read). Cached by the last change
        below the offset."""
        bound = self.next_offset if offset is None else offset
        changes = self._changes.get(namespace, [])
        change_count = bisect_left(changes, bound)
        key = (namespace, changes[change_count - 1] + 1 if change_count else 0)
        view = self._views.get(key)
        if view is None:
            # Views are re-created on demand, so evicting the oldest costs only time. A view takes some 200 bytes, since
            # it refers to the catalog's data.
            while len(self._views) >= MOST_VIEWS:
                self._views.pop(next(iter(self._views)), None)
            view = self._views[key] = NamespaceView(self, namespace, key[1])
        return view

    def changed(self, namespace: str, kinds: Iterable[str], before_offset: int) -> int:
        """One more than the last offset below ``before_offset`` at which an entry of these kinds changed; 0 if none
        did.

        Views with equal results have equal entries of these kinds, so values derived from them can be shared.
        """
        changed_offset = 0
        for kind in kinds:
            changes = self._changes_of.get((namespace, kind), ())
            if count := bisect_left(changes, before_offset):
                changed_offset = max(changed_offset, changes[count - 1] + 1)
        return changed_offset

    def derived(self, key: Hashable, make: Callable[[], tuple[T, int]]) -> T:
        """The cached value for ``key``, computed by ``make`` if missing; see ``WeightedCache.get``."""
        value: T = self._derived.get(key, make)
        return value

    def _indexes_of(self, namespace: str) -> NamespaceIndexes:
        indexes = self._indexes.get(namespace)
        if indexes is None:
            indexes = self._indexes[namespace] = NamespaceIndexes()
        return indexes

    def indexes(self, namespace: str) -> NamespaceIndexes:
        """The indexes of everything read of the namespace."""
        return self._indexes.get(namespace) or NamespaceIndexes()

    def entries(self, namespace: str, kind: str, before_offset: int) -> Iterator[list[Entry]]:
        """For each code (in order of first publication) its versions with offset < ``before_offset``, oldest first."""
        for versions in list(self._versions.get((namespace, kind), {}).values()):
            if published := _below(versions, before_offset):
                yield published

    def log(self, namespace: str, before_offset: int) -> Iterator[Entry]:
        """All versions in the namespace with offset < ``before_offset``, newest first."""
        entries = self._logs.get(namespace, [])
        return (
            entries[index]
            for index in range(bisect_left(entries, before_offset, key=lambda entry: entry.offset) - 1, -1, -1)
        )

    def versions(self, namespace: str, kind: str, code: str, before_offset: int) -> list[Entry]:
        """The versions of one code with offset < ``before_offset``, oldest first; may be empty."""
        return _below(self._versions.get((namespace, kind), {}).get(code, []), before_offset)


def _below(versions: list[Entry], offset: int) -> list[Entry]:
    """A copy of those with a lower offset; most often that is all of them."""
    copy = versions.copy()
    return copy if not copy or copy[-1].offset < offset else copy[: bisect_left(copy, offset, key=_offset)]


def _offset(entry: Entry) -> int:
    return entry.offset


class NamespaceView:
    """The catalog of one namespace as of one catalog offset; immutable."""

    def __init__(self, catalog: Catalog, namespace: str, before_offset: int) -> None:
        self._catalog = catalog
        self.namespace = namespace
        self.before = before_offset
        self._changed: dict[tuple[str, ...], int] = {}

    def at(self, offset: int) -> NamespaceView:
        """The same namespace as of an earlier ``offset`` (exclusive)."""
        return self._catalog.view(self.namespace, min(offset, self.before))

    def changed(self, *kinds: str) -> int:
        """See ``Catalog.changed``."""
        if kinds not in self._changed:
            self._changed[kinds] = self._catalog.changed(self.namespace, kinds, self.before)
        return self._changed[kinds]

    def derived(self, what: str, kinds: tuple[str, ...], make: Callable[[], tuple[T, int]]) -> T:
        """A value derived from entries of these kinds only, computed once per change of such entries and cached.
        ``make`` returns the value and its weight, about the number of small objects in it."""
        return self._catalog.derived((what, self.namespace, self.changed(*kinds)), make)

    def of_version(self, what: str, entry: Entry, make: Callable[[], tuple[T, int]]) -> T:
        """A cached value derived from one version of an entry, which never changes."""
        return self._catalog.derived((what, self.namespace, entry.kind, entry.code, entry.version), make)

    @property
    def indexes(self) -> NamespaceIndexes:
        """The namespace's indexes. Their counts are those of now, whatever the view's offset; codes found in them may
        belong to versions that the view does not have, so read each from the view."""
        return self._catalog.indexes(self.namespace)

    @property
    def known(self) -> bool:
        """Whether the namespace is declared; the default one always is."""
        return self.namespace == DEFAULT_NAMESPACE or self.get("namespace", self.namespace) is not None

    @cached_property
    def settings(self) -> Namespace:
        """The namespace's settings, or the defaults."""
        entry = self.get("namespace", self.namespace)
        return entry.model if entry else Namespace(code=DEFAULT_NAMESPACE)

    def get(self, kind: str, code: str) -> Entry | None:
        """The newest version of an entry; None if there is none or it is retired."""
        versions = self.history(kind, code)
        return versions[-1] if versions and not versions[-1].retired else None

    def version(self, kind: str, code: str, version: int) -> Entry | None:
        """One version of an entry, None if it does not exist."""
        versions = self.history(kind, code)
        return versions[version - 1] if 0 < version <= len(versions) else None

    def history(self, kind: str, code: str) -> list[Entry]:
        """All versions, oldest first."""
        return self._catalog.versions(self.namespace, kind, code, self.before)

    def histories(self, kind: str) -> Iterator[list[Entry]]:
        """All versions of every code of a kind, including retired ones."""
        return self._catalog.entries(self.namespace, kind, self.before)

    def log(self, before_offset: int | None = None) -> Iterator[Entry]:
        """All versions of every kind, newest first, limited to offsets below ``before_offset`` if given."""
        return self._catalog.log(
            self.namespace, self.before if before_offset is None else min(before_offset, self.before)
        )

    def referring(self, kind: str, to_kind: str, code: str) -> Iterator[Entry]:
        """The entries of ``kind`` in force whose newest version refers to this entry of ``to_kind``, in order of their
        first reference to it."""
        for referring in self.indexes.referring(kind, to_kind, code):
            entry = self.get(kind, referring)
            if entry is not None and (to_kind, code) in references(kind, entry.body):
                yield entry

    def histories_referring(self, kind: str, to_kind: str, code: str) -> list[list[Entry]]:
        """All versions of each entry of ``kind`` of which some version refers to this entry of ``to_kind``, in order
        of their first publication."""
        histories = (self.history(kind, referring) for referring in self.indexes.referring(kind, to_kind, code))
        return sorted((history for history in histories if history), key=lambda history: history[0].offset)

    def after(self, kind: str, code: str, *, retired: bool = False) -> Iterator[Entry]:
        """The newest version of each entry whose code is above ``code``, in order of codes; retired ones as well if
        ``retired``."""
        for following in self.indexes.codes_after(kind, code):
            versions = self.history(kind, following)
            if versions and (retired or not versions[-1].retired):
                yield versions[-1]

    def all(self, kind: str) -> list[Entry]:
        """The newest version of every code that is not retired."""
        return [versions[-1] for versions in self.histories(kind) if not versions[-1].retired]

    def time_zone(self, account_id: str) -> str:
        """The account's IANA time zone, also for a retired account; UTC for an unknown one. From the stored body: what
        else it says is nobody's concern here, and there are many accounts."""
        versions = self.history("account", account_id)
        zone = versions[-1].body.get("time_zone", "UTC") if versions else "UTC"
        return zone if isinstance(zone, str) else str(versions[-1].model.time_zone)
