"""API keys as catalog entries (pydantic)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.catalog.base import Code, Model
from schemas.fine_instants import Instant

KeyScope = Literal["ingest", "read", "catalog", "admin"]


class KeyLimits(Model):
    """What one gateway takes of a key each second; null: the gateway's default."""

    requests_per_second: Annotated[int, Field(ge=1, le=10**9)] | None = None
    events_per_second: Annotated[int, Field(ge=1, le=10**9)] | None = None
    bytes_per_second: Annotated[int, Field(ge=1, le=10**12)] | None = None


class ApiKey(Model):
    """A key of the namespace: its id, and of the key itself only the hash."""

    code: Code
    name: Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] = ""
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[KeyScope, ...], Field(min_length=1, max_length=4)]
    expires_at: Instant | None = None
    limits: KeyLimits = KeyLimits()
