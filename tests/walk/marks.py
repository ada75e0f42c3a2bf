"""Whether a value holds the thing whose road is walked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

PACKAGES: Final = frozenset({"schemas", "ingest", "stream_processors", "rating"})
_ATOMS: Final = (int, float, Decimal, bool, type)
_DEPTH: Final = 7


def is_ours(value: object) -> bool:
    """Whether the value's class is of one of the packages."""
    return package_of(value) in PACKAGES


def package_of(value: object) -> str:
    """The package of the value's class."""
    return (type(value).__module__ or "").split(".")[0]


class Marks:
    """``tokens``: texts or bytes that contain the thing's name; ``exact``: texts that are it; ``parts``: classes whose
    every value is a part of it. Values of ``closed`` modules and classes are not looked into: they hold everything."""

    def __init__(
        self,
        tokens: Iterable[str | bytes],
        exact: Iterable[str] = (),
        parts: Iterable[str] = (),
        closed_modules: tuple[str, ...] = (),
        closed_classes: Iterable[str] = (),
    ) -> None:
        self._texts = [token for token in tokens if isinstance(token, str)]
        self._bytes = [token.encode() if isinstance(token, str) else token for token in tokens]
        self._exact, self._parts = frozenset(exact), frozenset(parts)
        self._closed_modules, self._closed_classes = closed_modules, frozenset(closed_classes)

    def names(self, value: str | bytes) -> bool:
        """Whether a text or bytes name the thing."""
        if isinstance(value, str):
            return value in self._exact or any(token in value for token in self._texts)
        return any(token in value for token in self._bytes)

    def holds(self, value: Any, depth: int = _DEPTH, seen: set[int] | None = None) -> bool:
        """Whether the value is, names or contains the thing, at most ``depth`` levels below."""
        if value is None or isinstance(value, _ATOMS):
            return False
        if isinstance(value, (str, bytes)):
            return self.names(value)
        seen = set() if seen is None else seen
        if id(value) in seen or depth < 0:
            return False
        seen.add(id(value))
        kind = type(value)
        module = kind.__module__ or ""
        if kind.__name__ in self._parts:
            return True
        if kind.__name__ in self._closed_classes or module.startswith(self._closed_modules or ("-",)):
            return False
        if module == "pyarrow.lib" and hasattr(value, "to_pylist"):
            return self.holds(str(value.to_pylist()), depth, seen)
        return any(self.holds(item, depth - 1, seen) for item in _items(value))


def _items(value: Any) -> list[Any]:
    """What a container or an object of ours holds."""
    if isinstance(value, dict) or (hasattr(value, "items") and type(value).__module__.startswith("collections")):
        return [item for pair in list(value.items()) for item in pair]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if not is_ours(value) and package_of(value) != "stand_ins":
        return []
    names: list[str] = []
    for base in type(value).__mro__:
        slots = getattr(base, "__slots__", ())
        fields = base.__dict__.get("__struct_fields__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
        names += fields if isinstance(fields, tuple) else ()
    attributes: Mapping[str, Any] = getattr(value, "__dict__", {})
    return [getattr(value, name, None) for name in names] + list(attributes.values())
