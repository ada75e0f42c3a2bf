"""API keys as catalog entries (pydantic)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.catalog.base import Code, Model
from schemas.values.fine_instants import Instant

KeyScope = Literal["ingest", "read", "catalog", "admin"]


class KeyLimits(Model):
    """What one gateway takes of a key each second."""

    requests_per_second: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """null: the gateway's default"""
    events_per_second: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """null: the gateway's default"""
    bytes_per_second: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """of bodies, decompressed; null: the gateway's default"""


class ApiKey(Model):
    """A key of the namespace: its id, and of the key itself only the hash."""

    code: Code
    """made by the server"""
    name: Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] = ""
    """as people read it"""
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """made by the server"""
    scopes: Annotated[tuple[KeyScope, ...], Field(min_length=1, max_length=4)]
    """what it opens"""
    expires_at: Instant | None = None
    """null: never"""
    limits: KeyLimits = KeyLimits()
    """in place of the gateway's defaults"""
