"""How much one namespace may hold and send: the one table of bounds, and what the operator sets in place of its
defaults.

A bound is generous: nobody who means well meets it. What a catalog holds already is always loaded and may be changed
and made less; only growth beyond a bound is refused. Bounds are set with the admin key of the settings alone
(``namespace: {code: …, bounds: {…}}``), never with a key of the namespace.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Final

from pydantic import Field

from schemas.catalog.base import Model

Count = Annotated[int, Field(ge=1, le=10**12)]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds for a namespace. Of the catalog: entries that are in force, retired ones and older versions not
    counted."""

    entries: int = 500_000
    """entries of all kinds (each process keeps about 3 KiB of each)"""
    catalog_bytes: int = 256 * 1024 * 1024
    """their bodies together, as JSON"""
    event_types: int = 20_000
    """event types"""
    profiles: int = 10_000
    """profiles of all meters"""
    profiles_per_event_name: int = 256
    """profiles that look at events of one name: each costs a worker some 0.3 µs an event, and a record where it
    matches"""
    filters: int = 100
    """filters of one profile, with its meter's"""
    filter_values: int = 10_000
    """values in the list of one filter"""
    dimensions: int = 16
    """dimensions of one profile"""
    price_cells: int = 10_000
    """priced combinations of dimension values of one price"""
    subscriptions_per_account: int = 10_000
    """subscriptions of one account"""
    api_keys: int = 1_000
    """keys that are not revoked"""
    document_nodes: int = 1_000_000
    """scalars, lists and mappings of one document, with all that its aliases stand for"""


BOUNDS: Final = Bounds()


class NamespaceBounds(Model):
    """What the operator has set for one namespace; null: the default. The last three are what one gateway takes in a
    second of all the namespace's keys together (default: ``WEIR_NAMESPACE_…_PER_SECOND``), and the most that a key of
    the namespace may give another key."""

    entries: Count | None = None
    """entries of all kinds that are in force"""
    catalog_bytes: Count | None = None
    """their bodies together, as JSON"""
    event_types: Count | None = None
    """event types"""
    profiles: Count | None = None
    """profiles of all meters"""
    profiles_per_event_name: Count | None = None
    """profiles that look at events of one name"""
    filters: Count | None = None
    """filters of one profile, with its meter's"""
    filter_values: Count | None = None
    """values in the list of one filter"""
    dimensions: Count | None = None
    """dimensions of one profile"""
    price_cells: Count | None = None
    """priced combinations of dimension values of one price"""
    subscriptions_per_account: Count | None = None
    """subscriptions of one account"""
    api_keys: Count | None = None
    """keys that are not revoked"""
    document_nodes: Count | None = None
    """scalars, lists and mappings of one document, with all that its aliases stand for"""
    requests_per_second: Count | None = None
    """what one gateway takes of all the namespace's keys together"""
    events_per_second: Count | None = None
    """the same in events"""
    bytes_per_second: Count | None = None
    """the same in bytes of bodies"""

    def in_force(self) -> Bounds:
        """With the defaults for what is not set."""
        settings = {item.name: getattr(self, item.name) for item in fields(Bounds)}
        return Bounds(**{name: value for name, value in settings.items() if value is not None})


def bounds_of(settings: NamespaceBounds | None) -> Bounds:
    """What holds where a namespace's ``settings`` say so."""
    return BOUNDS if settings is None else settings.in_force()
