"""Plans the changes that applying a catalog document would make. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from typing import Final

from ingest.catalog.changes import CatalogPlan, Change
from ingest.catalog.checks.bound_faults import bound_faults
from ingest.catalog.checks.dimension_names import name_faults
from ingest.catalog.checks.lock_date_faults import lock_date_faults
from ingest.catalog.checks.references import reference_faults
from ingest.catalog.checks.sandbox_faults import as_it_stands, sandbox_faults
from ingest.catalog.checks.schema_evolution import evolution_faults
from ingest.catalog.checks.touched import Touched, touched_by
from ingest.catalog.checks.warnings import catalog_warnings
from ingest.catalog.document import DocumentError, Fault, Tick, no_tick
from ingest.catalog.entries import LISTS, Document, DocumentEntry, canonical_model
from ingest.catalog.planned import Planned
from schemas.catalog.base import Model
from schemas.catalog.bounds import Bounds, bounds_of
from schemas.catalog.meters import EventType, Meter
from schemas.catalog.models import Account, Namespace, Subscription
from schemas.catalog.prepaid.topup_record import is_topup_grant
from schemas.catalog.state import Entry, NamespaceView
from schemas.values.local_time import local_midnight, parse_zone

MAX_FAULTS: Final = 100


def plan_document(
    view: NamespaceView,
    document: Document,
    retire: Sequence[tuple[str, str]] = (),
    tick: Tick = no_tick,
    choose: Callable[[Planned], Touched] = touched_by,
    now_us: int | None = None,
) -> CatalogPlan:
    """Compare a document with a view of its namespace; ``retire``: further (kind, code) to retire; ``now_us``: the
    present instant in microseconds UTC, before which a lock date has to lie, and by which credit has expired.

    The view's catalog is taken to be valid, so only what ``choose`` says is checked (what the document touches): the
    cost depends on the document and on what refers to it, not on the size of the catalog.

    Raises DocumentError with at most MAX_FAULTS faults, such as references to missing entries, and what ``tick``
    raises.
    """
    return _Planner(view, document, retire, tick, choose, now_us).plan()


class _Planner:
    def __init__(
        self,
        view: NamespaceView,
        document: Document,
        retire: Sequence[tuple[str, str]],
        tick: Tick,
        choose: Callable[[Planned], Touched],
        now_us: int | None,
    ) -> None:
        self._tick = tick
        self._now_us = now_us
        self._choose = choose
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
                if entry.code not in self._by_kind[kind] and not (kind == "credit_grant" and is_topup_grant(entry.code))
            ]

    def plan(self) -> CatalogPlan:
        changes = list(self._namespace_change())
        for kind in LISTS.values():
            for item in self._by_kind[kind].values():
                self._tick()
                model = self._pinned(item) if kind == "subscription" else item.model
                changes.append(self._change(kind, item.code, model))
        changes += [self._retirement(kind, code) for kind, code in self._retired]
        if self._faults:
            raise DocumentError(*self._faults[:MAX_FAULTS])
        planned = Planned(self._view, changes, {(item.kind, item.code): item.path for item in self._document.items})
        self._raise_first(bound_faults(self._bounds(planned), planned))
        touched = self._choose(planned)
        self._raise_first(reference_faults(planned, touched, self._tick))
        warnings = catalog_warnings(planned, touched, self._tick, self._now_us)
        return CatalogPlan(self._document.namespace, tuple(changes), warnings)

    @staticmethod
    def _raise_first(faults: Iterator[Fault]) -> None:
        if first := list(islice(faults, MAX_FAULTS)):
            raise DocumentError(*first)

    def _bounds(self, planned: Planned) -> Bounds:
        """The document's own bounds apply, so that it can raise a bound and use it at once."""
        namespace = planned.get("namespace", self._document.namespace)
        return bounds_of(namespace.bounds if isinstance(namespace, Namespace) else self._view.settings.bounds)

    def _namespace_change(self) -> Iterable[Change]:
        code, declared = self._document.namespace, self._document.declared
        if declared is None:
            if self._view.known:
                if self._now_us is not None:
                    self._now_us = self._view.settings.now_us(self._now_us)
                return
            declared = Namespace(code=code)
        standing = self._view.settings if self._view.known else None
        if declared.bounds is None:  # the document leaves them as they are
            declared = declared.model_copy(update={"bounds": standing.bounds if standing else None})
        declared = as_it_stands(standing, declared)
        self._faults += sandbox_faults(standing, declared)
        if self._now_us is not None:
            self._now_us = declared.now_us(self._now_us)
        locked = standing.lock_date if standing else None
        if declared.lock_date is None:
            declared = declared.model_copy(update={"lock_date": locked})
        self._faults += lock_date_faults(locked, declared.lock_date, self._now_us)
        yield self._change("namespace", code, declared)

    def _change(self, kind: str, code: str, model: Model) -> Change:
        history = self._view.history(kind, code)
        if not history and kind == "credit_grant" and is_topup_grant(code):
            detail = f"{code} is a code of top-ups, which only a payment makes; write another one"
            self._faults.append(Fault(f"{self._place(kind, code)}.code", detail))
        if not history or history[-1].retired:
            if isinstance(model, Meter):
                self._faults += name_faults(model, self._place(kind, code))
            return Change("created", kind, code, len(history) + 1, model)
        if isinstance(model, Meter) and model.start is None:
            # Without a start it is unchanged if it equals the present version, whatever start that one has.
            standing: Meter = history[-1].model
            unchanged = canonical_model(standing) == canonical_model(model.model_copy(update={"start": standing.start}))
        else:
            unchanged = canonical_model(history[-1].model) == canonical_model(model)
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
        named = pinned.change_at is not None and standing is not None and pinned.change_at != standing.change_at
        if named and standing is not None and standing.account != pinned.account:
            detail = (
                f"an account holds for all that is not billed, also before change_at; end {proposed.code} there and "
                f"start another subscription of {pinned.account}, or leave change_at out to correct the account of all "
                "of it"
            )
            self._faults.append(Fault(f"{item.path}.account", detail))
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

    def _place(self, kind: str, code: str) -> str:
        item = self._by_kind[kind].get(code)
        return item.path if item else "$"
