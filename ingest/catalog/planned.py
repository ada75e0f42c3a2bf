"""A namespace's catalog as it would be after a plan. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ingest.catalog.changes import Change
from schemas.catalog.base import Model
from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import Entry, NamespaceView


class Planned:
    """The changes of a plan, laid over the view that it changes. Nothing of the view is copied or looked through, so
    its cost is that of the changes.

    ``paths``: JSON path of each entry of the document by kind and code.
    """

    def __init__(self, view: NamespaceView, changes: Sequence[Change], paths: Mapping[tuple[str, str], str]) -> None:
        self.view = view
        self.changes = changes
        self.paths = paths
        self._change = {(change.kind, change.code): change for change in changes}
        self._position = {(change.kind, change.code): number for number, change in enumerate(changes)}
        self._plans = {
            (change.code, change.version): change.model
            for change in changes
            if change.kind == "plan" and change.action != "retired"
        }
        self._growth = Counter(change.kind for change in changes if change.action == "created")
        self._growth.subtract(change.kind for change in changes if change.action == "retired")
        self._by_account: dict[str, list[str]] = {}
        for change in changes:
            if change.action != "retired" and isinstance(change.model, Subscription):
                self._by_account.setdefault(change.model.account, []).append(change.code)

    def get(self, kind: str, code: str) -> Model | None:
        """The model in force after the plan."""
        change = self._change.get((kind, code))
        if change is not None:
            return None if change.action == "retired" else change.model
        entry = self.view.get(kind, code)
        return None if entry is None else entry.model

    def has(self, kind: str, code: str) -> bool:
        """Whether the entry is in force after the plan."""
        change = self._change.get((kind, code))
        return change.action != "retired" if change is not None else self.view.get(kind, code) is not None

    def standing(self, kind: str, code: str) -> Model | None:
        """The model in force before the plan."""
        entry = self.view.get(kind, code)
        return None if entry is None else entry.model

    def plan_version(self, code: str, version: int) -> Plan | None:
        """A version of a plan, also one that the plan would publish; None if it does not exist."""
        model = self._plans.get((code, version))
        if model is None and (entry := self.view.version("plan", code, version)) is not None:
            model = entry.model
        return model if isinstance(model, Plan) else None

    def published(self) -> Iterator[Change]:
        """The changes that need a record."""
        return (change for change in self.changes if change.action != "unchanged")

    def declares(self, kind: str, code: str) -> bool:
        """Whether the document contains the entry."""
        return (kind, code) in self.paths

    def path_of(self, kind: str, code: str) -> str:
        """JSON path of an entry of the document, "$" if it is not in it."""
        return self.paths.get((kind, code), "$")

    def growth(self, kind: str) -> int:
        """By how many more entries of the kind would be in force."""
        return self._growth[kind]

    def count(self, kind: str) -> int:
        """Number of entries of the kind that would be in force."""
        return self.view.indexes.in_force[kind] + self.growth(kind)

    def was_retired(self, kind: str, code: str) -> bool:
        """Whether the entry existed before the plan and is retired."""
        history = self.view.history(kind, code)
        return bool(history) and history[-1].retired

    def codes(self, kind: str) -> list[str]:
        """The codes in force after the plan; looks through all entries of the kind."""
        codes = dict.fromkeys(entry.code for entry in self.view.all(kind))
        codes |= dict.fromkeys(change.code for change in self.changes if change.kind == kind)
        return [code for code in codes if self.has(kind, code)]

    def referring(self, kind: str, to_kind: str, code: str) -> Iterator[Entry]:
        """The entries of ``kind`` that refer to this entry of ``to_kind`` and that the plan leaves as they are."""
        for entry in self.view.referring(kind, to_kind, code):
            if (kind, entry.code) not in self._change:
                yield entry

    def subscriptions(self, account: str) -> list[Subscription]:
        """The account's subscriptions after the plan, in order of their first publication."""
        codes = [entry.code for entry in self.referring("subscription", "account", account)]
        codes += self._by_account.get(account, ())
        models = (self.get("subscription", code) for code in sorted(codes, key=self._order))
        return [model for model in models if isinstance(model, Subscription)]

    def _order(self, code: str) -> tuple[bool, int]:
        history = self.view.history("subscription", code)
        if history and not history[-1].retired:
            return False, history[0].offset
        return True, self._position["subscription", code]
