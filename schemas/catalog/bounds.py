"""Limits (bounds) on what one namespace may contain and send: the defaults, and the operator's settings in their
place.

The bounds are generous for legitimate use. Entries that exist already always load and may be changed or reduced;
only growth beyond a bound is refused. Bounds can be set only with the admin key of the settings (``namespace:
{code: …, bounds: {…}}``), never with a key of the namespace.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Final

from pydantic import Field

from schemas.catalog.base import Model

Count = Annotated[int, Field(ge=1, le=10**12)]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds in force for a namespace. Those of the catalog count entries in force, not retired ones or older
    versions."""

    entries: int = 500_000
    """entries of all kinds (each process keeps about 3 KiB of each)"""
    catalog_bytes: int = 256 * 1024 * 1024
    """their bodies together, as JSON"""
    event_types: int = 20_000
    """event types"""
    profiles: int = 10_000
    """profiles of all meters"""
    profiles_per_event_name: int = 256
    """profiles that match events of one name: each costs a worker about 0.3 µs per event, unless filters on one
    property (``eq``, ``in``) tell them apart, and a record per match"""
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
    """scalars, lists and mappings of one document, with its aliases expanded"""


BOUNDS: Final = Bounds()


class NamespaceBounds(Model):
    """Bounds that the operator has set for one namespace; null: the default. The last three limit what one gateway
    accepts per second from all keys of the namespace together (default: ``WEIR_NAMESPACE_…_PER_SECOND``), and the
    limits that a key of the namespace may grant to another key."""

    entries: Count | None = None
    """entries of all kinds that are in force"""
    catalog_bytes: Count | None = None
    """their bodies together, as JSON"""
    event_types: Count | None = None
    """event types"""
    profiles: Count | None = None
    """profiles of all meters"""
    profiles_per_event_name: Count | None = None
    """profiles that match events of one name"""
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
    """scalars, lists and mappings of one document, with its aliases expanded"""
    requests_per_second: Count | None = None
    """requests that one gateway accepts per second from all keys of the namespace together"""
    events_per_second: Count | None = None
    """events, likewise"""
    bytes_per_second: Count | None = None
    """bytes of request bodies, likewise"""

    def in_force(self) -> Bounds:
        """These bounds, with defaults for those that are not set."""
        settings = {item.name: getattr(self, item.name) for item in fields(Bounds)}
        return Bounds(**{name: value for name, value in settings.items() if value is not None})


def bounds_of(settings: NamespaceBounds | None) -> Bounds:
    """The bounds in force, given a namespace's ``settings``."""
    return BOUNDS if settings is None else settings.in_force()
