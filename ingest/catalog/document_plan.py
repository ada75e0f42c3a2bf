"""Plans the changes that applying a catalog document would make. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import islice
from typing import Any, Final, Literal

from ingest.catalog.checks.bound_faults import Current, bound_faults
from ingest.catalog.checks.dimension_names import name_faults
from ingest.catalog.checks.references import After
from ingest.catalog.checks.schema_evolution import evolution_faults
from ingest.catalog.checks.warnings import catalog_warnings
from ingest.catalog.document import DocumentError, Fault, Tick, no_tick
from ingest.catalog.entries import LISTS, Document, DocumentEntry, says
from schemas.catalog.base import Model
from schemas.catalog.bounds import bounds_of
from schemas.catalog.meters import EventType, Meter
from schemas.catalog.models import KINDS, Account, Namespace, Plan, Subscription
from schemas.catalog.state import Entry, NamespaceView
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.local_time import local_midnight, parse_zone

PlannedAction = Literal["created", "changed", "retired", "unchanged"]
MAX_FAULTS: Final = 100


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one entry. ``version``: the version that results (for "unchanged": the present one)."""

    action: PlannedAction
    kind: str
    code: str
    version: int
    model: Model


@dataclass(frozen=True, slots=True)
class CatalogPlan:
    """All changes of a document, in the order of publication."""

    namespace: str
    changes: tuple[Change, ...]
    warnings: tuple[Fault, ...] = ()

    def to_publish(self) -> list[Change]:
        """The changes that need a record."""
        return [change for change in self.changes if change.action != "unchanged"]

    def summary(self) -> JsonObject:
        """``{"namespace", "created": [{"kind", "code", "version"}], "changed", "retired", "unchanged"}``, and
        ``"warnings": [{"path", "detail"}]`` if there are any. A published meter with a start also has ``start`` and
        ``event_name``."""
        lists: dict[str, list[JsonObject]] = {"created": [], "changed": [], "retired": [], "unchanged": []}
        for change in self.changes:
            summary = {"kind": change.kind, "code": change.code, "version": change.version}
            if (
                isinstance(change.model, Meter)
                and change.model.start is not None
                and change.action in ("created", "changed")
            ):
                summary |= {
                    "start": rfc3339(micros(change.model.start)),
                    "event_name": change.model.event_name or change.code,
                }
            lists[change.action].append(summary)
        return {"namespace": self.namespace, **lists, **self.warned()}

    def warned(self) -> JsonObject:
        """``{"warnings": [{"path", "detail"}]}``, empty if there are none."""
        if not self.warnings:
            return {}
        return {"warnings": [{"path": fault.path, "detail": fault.detail} for fault in self.warnings]}


def plan_document(
    view: NamespaceView, document: Document, retire: Sequence[tuple[str, str]] = (), tick: Tick = no_tick
) -> CatalogPlan:
    """Compare a document with a view of its namespace; ``retire``: further (kind, code) to retire.

    Raises DocumentError with at most MAX_FAULTS faults, such as references to missing entries, and what ``tick``
    raises.
    """
    return _Planner(view, document, retire, tick).plan()


class _Planner:
    def __init__(
        self, view: NamespaceView, document: Document, retire: Sequence[tuple[str, str]], tick: Tick = no_tick
    ) -> None:
        self._tick = tick
        self._plans: dict[str, int] = {}
        self._document = document
        self._view = view
        self._faults: list[Fault] = []
        self._by_kind: dict[str, dict[str, DocumentEntry]] = {kind: {} for kind in LISTS.values()}
        for item in document.items:
            self._by_kind[item.kind][item.code] = item
        self._retired = [(kind, code) for kind, code in retire if self._view.get(kind, code) is not None]
        if document.prune:
            self._retired += [
                (kind, entry.code)
                for kind in reversed(LISTS.values())
                if kind in document.listed
                for entry in self._view.all(kind)
                if entry.code not in self._by_kind[kind]
            ]

    def plan(self) -> CatalogPlan:
        changes = list(self._namespace_change())
        for kind in LISTS.values():
            for item in self._by_kind[kind].values():
                self._tick()
                model = self._pinned(item) if kind == "subscription" else item.model
                changes.append(self._change(kind, item.code, model))
        retired = [self._retirement(kind, code) for kind, code in self._retired]
        current: dict[str, dict[str, Model]] = {}
        if not self._faults:
            current = self._after(changes)
            self._faults += islice(self._bound_faults(current, [*changes, *retired]), MAX_FAULTS)
        if not self._faults:
            planned = After(current, self._plan_version(changes), self._place, self._was, self._tick)
            self._faults += islice(planned.faults(), MAX_FAULTS)
        if self._faults:
            raise DocumentError(*self._faults[:MAX_FAULTS])
        return CatalogPlan(
            self._document.namespace, (*changes, *retired), catalog_warnings(current, self._declared_at, self._tick)
        )

    def _namespace_change(self) -> Iterable[Change]:
        code, declared = self._document.namespace, self._document.declared
        if declared is None:
            if self._view.known:
                return
            declared = Namespace(code=code)
        if declared.bounds is None:  # the document leaves them as they are
            declared = declared.model_copy(update={"bounds": self._view.settings.bounds if self._view.known else None})
        yield self._change("namespace", code, declared)

    def _bound_faults(self, current: dict[str, dict[str, Model]], changes: Sequence[Change]) -> Iterator[Fault]:
        published = [change for change in changes if change.action != "unchanged"]
        if not published:
            return
        # The document's own bounds apply, so that it can raise a bound and use it at once.
        namespace = current["namespace"].get(self._document.namespace)
        bounds = namespace.bounds if isinstance(namespace, Namespace) else self._view.settings.bounds
        changed = [(change.kind, change.code, self._standing(change.kind, change.code)) for change in published]

        def before() -> Current:
            return Current(self._held, self._view.size)

        yield from bound_faults(bounds_of(bounds), before, current, changed, self._place)

    @cached_property
    def _held(self) -> dict[str, dict[str, Model]]:
        return {kind: {entry.code: entry.model for entry in self._view.all(kind)} for kind in KINDS}

    def _standing(self, kind: str, code: str) -> Model | None:
        entry = self._view.get(kind, code)
        return None if entry is None else entry.model

    def _change(self, kind: str, code: str, model: Model) -> Change:
        history = self._view.history(kind, code)
        if not history or history[-1].retired:
            if isinstance(model, Meter):
                self._faults += name_faults(model, self._place(kind, code))
            return Change("created", kind, code, len(history) + 1, model)
        if isinstance(model, Meter) and model.start is None:
            # Without a start it is unchanged if it equals the present version, whatever start that one has.
            standing: Meter = history[-1].model
            unchanged = says(standing) == says(model.model_copy(update={"start": standing.start}))
        else:
            unchanged = says(history[-1].model) == says(model)
        if unchanged:
            return Change("unchanged", kind, code, len(history), model)
        if isinstance(model, Meter):
            self._faults += name_faults(model, self._place(kind, code))
        if isinstance(model, EventType):
            self._faults += evolution_faults(history[-1].model, model, self._place(kind, code))
        return Change("changed", kind, code, len(history) + 1, model)

    def _retirement(self, kind: str, code: str) -> Change:
        history = self._view.history(kind, code)
        return Change("retired", kind, code, len(history) + 1, history[-1].model)

    def _pinned(self, item: DocumentEntry) -> Subscription:
        """The subscription with its plan version and instants filled in; the present entry's values are kept where
        the document does not change them."""
        proposed: Subscription = item.model
        entry = self._view.get("subscription", proposed.code)
        standing: Subscription | None = entry.model if entry else None
        version = proposed.plan_version
        if version is None:
            if standing is not None and standing.plan == proposed.plan:
                version = standing.plan_version
            elif (plan := self._by_kind["plan"].get(proposed.plan)) is not None:
                version = self._planned_version(plan)
            else:
                version = len(self._view.history("plan", proposed.plan)) or None
        try:
            instants = {
                name: self._instant(proposed, day, getattr(standing, name, None), entry)
                for name in ("start", "end", "change_at", "trial_end")
                if (day := getattr(proposed, name)) is not None
            }
        except ValueError as error:
            self._faults.append(Fault(item.path, str(error)))
            return proposed
        if "end" in instants and instants["end"] <= instants["start"]:
            self._faults.append(Fault(f"{item.path}.end", "must be after start"))
        pinned = proposed.model_copy(update={"plan_version": version, **instants})
        moved = standing is not None and (standing.plan, standing.plan_version) != (pinned.plan, pinned.plan_version)
        old, new = (self._currency(subscription) if moved else None for subscription in (standing, pinned))
        if old and new and old != new:
            detail = (
                f"{proposed.plan} is in {new}, the plan before it in {old}; end this subscription and start another"
            )
            self._faults.append(Fault(f"{item.path}.plan", detail))
        return pinned

    def _planned_version(self, item: DocumentEntry) -> int:
        """The resulting version of a plan in the document, computed once per plan."""
        if item.code not in self._plans:
            self._plans[item.code] = self._change("plan", item.code, item.model).version
        return self._plans[item.code]

    def _currency(self, subscription: Subscription | None) -> str | None:
        """Currency of a subscription's plan version, None if unknown."""
        if subscription is None or subscription.plan_version is None:
            return None
        item = self._by_kind["plan"].get(subscription.plan)
        if item is not None and self._planned_version(item) == subscription.plan_version:
            return str(item.model.currency)
        entry = self._view.version("plan", subscription.plan, subscription.plan_version)
        return None if entry is None else str(entry.model.currency)

    def _instant(
        self, proposed: Subscription, day: datetime | date, standing: datetime | date | None, entry: Entry | None
    ) -> datetime:
        if isinstance(day, datetime):
            return day.astimezone(UTC)
        if entry is not None and isinstance(standing, datetime):
            # Compared in the time zone valid when the present entry was published: the same date is then no change.
            zone = self._view.at(entry.offset).time_zone(proposed.account)
            if local_midnight(day, parse_zone(zone)) == standing:
                return standing
        return local_midnight(day, parse_zone(self._zone(proposed.account)))

    def _zone(self, account: str) -> str:
        item = self._by_kind["account"].get(account)
        if item is not None:
            declared: Account = item.model
            return declared.time_zone
        return self._view.time_zone(account)

    def _after(self, changes: Iterable[Change]) -> dict[str, dict[str, Model]]:
        current = {kind: dict(models) for kind, models in self._held.items()}
        for change in changes:
            current[change.kind][change.code] = change.model
        for kind, code in self._retired:
            current[kind].pop(code, None)
        return current

    def _plan_version(self, changes: Iterable[Change]) -> Any:
        coming = {(change.code, change.version): change.model for change in changes if change.kind == "plan"}

        def find(code: str, version: int) -> Plan | None:
            plan = coming.get((code, version))
            if plan is None and (entry := self._view.version("plan", code, version)) is not None:
                plan = entry.model
            return plan if isinstance(plan, Plan) else None

        return find

    def _was(self, kind: str, code: str) -> bool:
        history = self._view.history(kind, code)
        return bool(history) and history[-1].retired

    def _declared_at(self, kind: str, code: str) -> str | None:
        item = self._by_kind[kind].get(code)
        return item.path if item else None

    def _place(self, kind: str, code: str) -> str:
        return self._declared_at(kind, code) or "$"
