"""Placeholders of one ClickHouse statement, and the values that are bound to them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Binder:
    """Collects the values bound to the placeholders of one statement. ``parameters``: by name."""

    parameters: dict[str, object] = field(default_factory=dict)

    def __call__(self, name: str, kind: str, value: object) -> str:
        """Bind ``value`` under ``name``; the placeholder of ClickHouse type ``kind`` to write in the SQL.

        Raises ValueError where another value has the name: two conditions would silently share one of them.
        """
        if self.parameters.setdefault(name, value) != value:
            raise ValueError(f"two values are bound to {name}: {self.parameters[name]!r} and {value!r}")
        return f"{{{name}:{kind}}}"

    def instant(self, name: str, us: int) -> str:
        """Bind an instant, microseconds UTC, as a DateTime64(6)."""
        return f"fromUnixTimestamp64Micro({self(name, 'Int64', us)}, 'UTC')"
