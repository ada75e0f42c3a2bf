"""Catalog documents as text: YAML or JSON whose scalars are what was written (pure).

YAML 1.1 makes a float of 0.10, False of NO, 8 of 010 and a date of 2013-01-01. Here numbers are exact (int or Decimal), only
``true`` and ``false`` are booleans, and everything else stays text.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import yaml

from schemas.json_text import exact

MAX_NODES: Final = 1_000_000
MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: JSON path and a sentence with the remedy."""

    path: str
    detail: str


class DocumentError(ValueError):
    """A document that cannot be taken; all that is wrong with it."""

    def __init__(self, *faults: Fault, malformed: bool = False) -> None:
        super().__init__("\n".join(f"{fault.path}: {fault.detail}" for fault in faults))
        self.faults = faults
        self.malformed = malformed


class _ExactLoader(yaml.CSafeLoader):
    """Safe loader with exact scalars; a key that stands twice is an error."""


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
    seen: set[str] = set()
    for key, _value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)
_ExactLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_ExactLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load_document(text: bytes, *, json_only: bool = False) -> dict[str, Any]:
    """The document's top object. Raises DocumentError (``malformed``) with the line where it is no YAML or JSON."""
    try:
        found = exact(text) if json_only or text.lstrip()[:1] == b"{" else _yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        kind = "JSON" if json_only else "YAML or JSON"
        what = " ".join(str(error).split()) or type(error).__name__
        raise DocumentError(Fault("$", f"the document is not {kind}: {what}"), malformed=True) from None
    if not isinstance(found, dict):
        raise DocumentError(Fault("$", "the document is not an object; write e.g. `meters:` and a list below it"))
    _bounded(found)
    return found


def _yaml(text: bytes) -> Any:
    """The document as YAML. Its depth is looked at first: libyaml's composer recurses in C, where too deep is no
    exception but the end of the process."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return yaml.load(text, Loader=_ExactLoader)  # noqa: S506  a SafeLoader


def _bounded(value: Any) -> None:
    """Aliases can make a small text stand for a vast document; what it stands for is bounded too."""
    stack: list[tuple[str, Any]] = [("$", value)]
    nodes = 0
    while stack:
        path, item = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise DocumentError(Fault("$", f"the document has more than {MAX_NODES} nodes; apply it in parts"))
        if isinstance(item, dict):
            for key, inner in item.items():
                if not isinstance(key, str):
                    raise DocumentError(Fault(path, f"the key {key!r} is not text; put it in quotes"))
                stack.append((f"{path}.{key}", inner))
        elif isinstance(item, list):
            stack.extend((f"{path}[{number}]", inner) for number, inner in enumerate(item))
