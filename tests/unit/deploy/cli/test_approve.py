"""`weir invoice approve --all`: which drafts it approves, and in which order."""

from __future__ import annotations

from typing import Any

import httpx

from deploy.cli.billing.invoice import _awaiting


def draft(name: str, start: str, approval: str = "required", held: Any = None) -> dict[str, Any]:
    return {
        "invoice_id": name, "version": len(name), "period_start": start, "period_end": start, "sequence": 0,
        "draft": {"approval": approval, "held": held},
    }  # fmt: skip


def test_all_that_await_approval_of_all_pages_earlier_periods_first() -> None:
    pages = {
        None: ([draft("c", "2026-03-01"), draft("held", "2026-03-01", held={"reason": "x"})], "next"),
        "next": ([draft("bb", "2026-02-01"), draft("grace", "2026-02-01", "none"), draft("aaa", "2026-01-01")], None),
    }

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.url.params["state"]) == ("/v1/invoices", "draft")
        value, following = pages[request.url.params.get("cursor")]
        return httpx.Response(200, json={"invoices": value, "next_cursor": following})

    with httpx.Client(base_url="http://weir", transport=httpx.MockTransport(answer)) as client:
        assert list(_awaiting(client).items()) == [("aaa", 3), ("bb", 2), ("c", 1)]
