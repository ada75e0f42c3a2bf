"""GET /v1/catalog/audit: the audit trail in pages, newest first."""

from __future__ import annotations

from itertools import islice

from ingest.http.gateway_problems import Problem
from schemas.catalog.audit_trail import audit
from schemas.catalog.models import KINDS
from schemas.catalog.state import NamespaceView
from schemas.values.json_text import JsonObject


def audit_page(
    view: NamespaceView, *, kind: str | None, code: str | None, author: str | None, limit: int, cursor: str | None
) -> JsonObject:
    """A page as ``{"items", "next_cursor"}``. Raises Problem 422 for an unknown kind or an invalid cursor."""
    if kind is not None and kind not in KINDS:
        raise Problem(422, "invalid", f"no kind {kind[:40]!r}; known: {', '.join(KINDS)}", path="kind")
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise Problem(
            422, "invalid", "the cursor is not one of ours; take next_cursor of a page as it is", path="cursor"
        )
    before_offset = int(cursor) if cursor else None
    changes = list(islice(audit(view, kind=kind, code=code, author=author, before_offset=before_offset), limit + 1))
    following = str(changes[limit - 1].entry.offset) if len(changes) > limit else None
    return {"items": [change.to_json() for change in changes[:limit]], "next_cursor": following}
