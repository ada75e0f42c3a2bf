"""Converts a document's items to catalog models and reports every fault with its JSON path. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from ingest.catalog.checks.empty_filters import never_faults
from ingest.catalog.checks.faults import placed_faults
from ingest.catalog.document import DocumentError, Fault, Tick, no_tick
from schemas.catalog.base import Model
from schemas.catalog.meters import Meter
from schemas.catalog.models import KINDS, Namespace, Plan, Subscription
from schemas.http.faults.fault_texts import fault_text, told_once
from schemas.prices import price_in
from schemas.values.json_text import JsonObject, canonical, exact

LISTS: Final[dict[str, str]] = {
    "event_types": "event_type",
    "meters": "meter",
    "features": "feature",
    "units": "unit",
    "products": "product",
    "plans": "plan",
    "accounts": "account",
    "subscriptions": "subscription",
    "credit_grants": "credit_grant",
    "alert_rules": "alert_rule",
}
MAX_FAULTS: Final = 100
_TOP: Final = ("namespace", "prune", *LISTS)


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """An entry of a document: kind, JSON path and model."""

    kind: str
    path: str
    model: Any

    @property
    def code(self) -> str:
        """The entry's code."""
        return str(self.model.code)


@dataclass(frozen=True, slots=True)
class Document:
    """A checked document. ``declared``: the namespace's settings, None if the document only names it; ``listed``:
    kinds for which it contains a list."""

    namespace: str
    declared: Namespace | None
    prune: bool
    listed: frozenset[str]
    items: tuple[DocumentEntry, ...]


def read_document(raw: Mapping[str, Any], default_namespace: str, tick: Tick = no_tick) -> Document:
    """Check all items. Raises DocumentError with the faults; checking stops after MAX_FAULTS."""
    faults: list[Fault] = [
        Fault(f"$.{key}", f"unknown; a document has {', '.join(_TOP)}") for key in raw if key not in _TOP
    ]
    prune = raw.get("prune", False)
    if not isinstance(prune, bool):
        faults.append(Fault("$.prune", "write true or false"))
    items: list[DocumentEntry] = []
    for name, kind in LISTS.items():
        values = raw.get(name)
        if values is None:
            continue
        if not isinstance(values, list):
            faults.append(Fault(f"$.{name}", "not a list; write one entry a list item"))
            continue
        path_by_code: dict[str, str] = {}
        for number, value in enumerate(values):
            tick()
            if len(faults) >= MAX_FAULTS:
                raise DocumentError(*faults[:MAX_FAULTS])
            path = f"$.{name}[{number}]"
            model = read_model(kind, value, path, faults)
            if model is None:
                continue
            item = DocumentEntry(kind, path, model)
            if item.code in path_by_code:
                faults.append(Fault(f"{path}.code", f"{item.code} stands at {path_by_code[item.code]} already"))
            path_by_code.setdefault(item.code, path)
            items.append(item)
    declared = read_namespace(raw.get("namespace", default_namespace), faults)
    if faults or declared is None:
        raise DocumentError(*faults)
    named_only = isinstance(raw.get("namespace", ""), str)
    listed = frozenset(kind for name, kind in LISTS.items() if raw.get(name) is not None)
    return Document(declared.code, None if named_only else declared, bool(prune), listed, tuple(items))


def read_namespace(value: Any, faults: list[Fault]) -> Namespace | None:
    """A namespace's settings from its object, or default settings from its code alone."""
    namespace = read_model("namespace", {"code": value} if isinstance(value, str) else value, "$.namespace", faults)
    return namespace if isinstance(namespace, Namespace) else None


def read_model(kind: str, value: Any, path: str, faults: list[Fault]) -> Model | None:
    """The model, or None after appending its faults to ``faults``."""
    try:
        model = KINDS[kind].model_validate(value)
        body_of(model)
    except ValidationError as error:
        placed = list(placed_faults(kind, value, path))
        for problem in told_once(error.errors(include_url=False)):
            if not problem["loc"] and placed:
                continue  # the model's general message for a fault that ``placed`` reports with its path
            faults.append(Fault(_place(path, problem["loc"]), fault_text(problem, KINDS[kind])))
        faults.extend(placed)
        return None
    except (ValueError, TypeError) as error:
        faults += [Fault(path, str(error)), *placed_faults(kind, value, path)]
        return None
    never = list(never_faults(model, path)) if isinstance(model, Meter) else []
    faults.extend(never)
    return None if never else model


def _place(path: str, location: Iterable[int | str]) -> str:
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and part != "datetime":  # one of a union's parts, of an instant or a date
            path += f".{part}"
    return path


def body_of(model: Model) -> JsonObject:
    """The entry's body as stored in the log: JSON values only, decimals as text."""
    body: JsonObject = json.loads(json.dumps(model.model_dump(mode="json"), allow_nan=False))
    return body


def canonical_model(model: Model) -> str:
    """Canonical text of a model: equal for entries with the same meaning, however their prices are written, so that
    unchanged entries are recognised."""
    body = body_of(model)
    if isinstance(model, Plan):
        for charge, written in zip(model.charges, body["charges"], strict=True):
            written["price"] = price_in(charge.price).model_dump(mode="json")
    elif isinstance(model, Subscription):
        for override, written in zip(model.overrides, body["overrides"], strict=True):
            written["price"] = price_in(override.price).model_dump(mode="json")
    return canonical(exact(json.dumps(body)))
