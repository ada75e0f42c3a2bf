"""Parses catalog documents (YAML or JSON) without altering scalars. Pure.

YAML 1.1 reads 0.10 as a float, NO as False, 010 as 8 and 2013-01-01 as a date. Here numbers are exact (int or
Decimal), only ``true`` and ``false`` are booleans, and everything else stays text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import yaml

from schemas.errors import WeirError
from schemas.values.json_text import JsonObject, exact

MAX_NODES: Final = 1_000_000
MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its JSON path, and a sentence with the remedy."""

    path: str
    detail: str


class DocumentError(WeirError, ValueError):
    """A document that is refused, with all its faults. ``malformed``: it is not YAML or JSON at all."""

    def __init__(self, *faults: Fault, malformed: bool = False) -> None:
        super().__init__("\n".join(f"{fault.path}: {fault.detail}" for fault in faults))
        self.faults = faults
        self.malformed = malformed


Tick = Callable[[], None]
"""Called regularly during long work; raises an exception to end it (a deadline)."""
_TICK: Final = 500


def no_tick() -> None:
    """A tick for work without a deadline."""


class _ExactLoader(yaml.CSafeLoader):
    """YAML's safe loader with exact scalars; duplicate keys are an error."""

    tick: Tick = staticmethod(no_tick)
    mappings = 0


_ExactLoader.yaml_implicit_resolvers = {}
_ExactLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_ExactLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_ExactLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_ExactLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$"), list("-0123456789")
)
_ExactLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def _decimal(loader: _ExactLoader, node: yaml.ScalarNode) -> Decimal:
    return Decimal(str(loader.construct_scalar(node)))


def _integer(loader: _ExactLoader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))


def _mapping(loader: _ExactLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    loader.mappings += 1
    if loader.mappings % _TICK == 0:
        loader.tick()
    names: set[str] = set()
    for key, _value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in names:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            names.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)
_ExactLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_ExactLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_document(
    text: bytes, *, json_only: bool = False, most_nodes: int = MAX_NODES, tick: Tick = no_tick
) -> JsonObject:
    """Parse a document; returns its top-level object.

    Raises DocumentError: ``malformed`` (with the line) if it is not YAML or JSON, or if it has more than
    ``most_nodes`` nodes. Nodes are counted with aliases and merge keys expanded, before anything is built from
    them.
    """
    try:
        document = exact(text) if json_only or text.lstrip()[:1] == b"{" else _yaml(text, most_nodes, tick)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, DocumentError):
            raise
        kind = "JSON" if json_only else "YAML or JSON"
        what = " ".join(str(error).split()) or type(error).__name__
        raise DocumentError(Fault("$", f"the document is not {kind}: {what}"), malformed=True) from None
    if not isinstance(document, dict):
        raise DocumentError(Fault("$", "the document is not an object; write e.g. `meters:` and a list below it"))
    _bounded(document, most_nodes, tick)
    return document


def _yaml(text: bytes, most_nodes: int, tick: Tick) -> Any:
    """Parse YAML, after counting nodes and depth on the event stream.

    libyaml's composer recurses in C, where excessive depth ends the process instead of raising, and a merge key
    copies everything that its alias refers to.
    """
    _measure(text, most_nodes, tick)
    loader = _ExactLoader(text)
    loader.tick = tick
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end was not read yet: its anchor, and its nodes and levels so far, with aliases
    counted as what they refer to."""

    anchor: str | None
    nodes: int = 1
    levels: int = 1


def _measure(text: bytes, most_nodes: int, tick: Tick) -> None:
    """Count nodes and levels in one pass, with aliases counted at their expanded size.

    Raises DocumentError for more than ``most_nodes`` nodes, ValueError for more than MAX_DEPTH levels.
    """
    known: dict[str, tuple[int, int]] = {}  # anchor → nodes, levels
    stack: list[_Open] = []
    for number, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        if number % _TICK == 0:
            tick()
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(event.anchor))
            if len(stack) > MAX_DEPTH:
                raise ValueError(_TOO_DEEP)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            ended = stack.pop()
            anchor, nodes, levels = ended.anchor, ended.nodes, ended.levels
        elif isinstance(event, yaml.ScalarEvent):
            anchor, nodes, levels = event.anchor, 1, 0
        elif isinstance(event, yaml.AliasEvent):
            if any(begun.anchor == event.anchor for begun in stack):
                raise ValueError(f"the alias {event.anchor!r} stands inside of what it stands for")
            anchor, (nodes, levels) = None, known.get(event.anchor or "", (1, 0))
        else:
            continue
        if anchor is not None:
            known[anchor] = nodes, levels
        if stack:
            stack[-1].nodes += nodes
            stack[-1].levels = max(stack[-1].levels, levels + 1)
            if len(stack) + levels > MAX_DEPTH:
                raise ValueError(_TOO_DEEP)
            if stack[-1].nodes > most_nodes:
                raise _too_many(most_nodes)


_TOO_DEEP: Final = f"it is nested deeper than {MAX_DEPTH} levels"


def _too_many(most_nodes: int) -> DocumentError:
    detail = f"the document stands for more than {most_nodes} nodes, with what its aliases repeat; apply it in parts"
    return DocumentError(Fault("$", detail))


def _bounded(value: Any, most_nodes: int, tick: Tick) -> None:
    """The same check for parsed JSON; also requires every key to be text."""
    stack: list[Any] = [value]
    nodes = 0
    while stack:
        item = stack.pop()
        nodes += 1
        if nodes > most_nodes:
            raise _too_many(most_nodes)
        if nodes % _TICK == 0:
            tick()
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                raise DocumentError(_key_fault(value))
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _key_fault(value: Any) -> Fault:
    """The first key that is not text."""
    stack: list[tuple[str, Any]] = [("$", value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if not isinstance(key, str):
                    return Fault(path, f"the key {key!r} is not text; put it in quotes")
                stack.append((f"{path}.{key}", inner))
        elif isinstance(item, list):
            stack.extend((f"{path}[{number}]", inner) for number, inner in enumerate(item))
    return Fault("$", "a key is not text; put it in quotes")
