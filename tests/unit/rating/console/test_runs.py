"""The pages of billing runs and the webhook's lines: what was found stands first, and nothing that a customer wrote is
markup."""

from __future__ import annotations

import re
from typing import Any

from rating.close.checklist.checks import ChecklistPoint
from rating.console.frame import Frame
from rating.console.overview.webhook_summary import webhook_summary
from rating.console.runs.run_pages import checklist, run, runs
from rating.invoices.lists import Page
from schemas.ledgers.checkpoints import Run

FOUND = ChecklistPoint("silent_accounts", 25, "accounts with usage before and none now", ("<b>acme</b>", "beta"))
TOLD = ChecklistPoint("awaiting", 1, "drafts that wait for approval", ("inv_1 of acme",))
FINE = ChecklistPoint("lag", 0, "records in the inbox; `weir status`")


def made(*checks: ChecklistPoint) -> Run:
    body = {"namespace": "n", "as_of": "2026-11-01T00:00:00Z", "checklist": [check.to_json() for check in checks]}
    return Run("run_1", 7, 12, 1_793_491_200_123_456, body)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_a_runs_page_tells_its_findings_first_and_what_is_fine_in_a_line() -> None:
    page = run(Frame("n"), made(FINE, FOUND, TOLD), Page((), None), 0, None)
    text = words(page)
    assert "Billed what was due until 2026-11-01 00:00:00 UTC" in text
    assert "checkpoint 7" in text
    assert text.index("25 accounts with usage before and none now") < text.index(
        "Looked for, and none found: records in the inbox."
    )
    assert "and 23 more" in text
    assert "&lt;b&gt;acme&lt;/b&gt;" in page
    assert "<b>acme" not in page


def test_what_only_waits_for_somebody_is_told_and_is_no_warning() -> None:
    text = words("".join(checklist([FINE, TOLD])))
    assert "Nothing to mend was found." in text
    assert "inv_1 of acme" in text
    assert "no list" in words("".join(checklist([])))


def test_the_list_links_each_run_with_its_invoices_and_findings() -> None:
    page = runs(Frame("n"), [made(FINE, FOUND), made()], {"run_1": 12345}, "run_1")
    assert 'href="/runs/run_1?namespace=n"' in page
    assert 'href="/runs?namespace=n&amp;cursor=run_1"' in page
    text = words(page)
    assert "12 345" in text
    assert "silent accounts: 25" in text
    assert "no list" in text
    assert "none yet" in runs(Frame("n"), [], {}, None)


def test_the_webhooks_lines_say_what_is_wrong_and_nothing_where_there_never_was_one() -> None:
    status: dict[str, Any] = {
        "webhook": None,
        "webhooks": [],
        "delivering": False,
        "waiting": 0,
        "delivered": 0,
        "given_up": 0,
        "oldest_waiting": None,
        "next_try": None,
        "last_success": None,
        "last_failure": None,
    }
    assert webhook_summary(status) is None
    refused = {"message_id": "inv_1_v1", "refused_at": "2026-11-01T00:00:00Z", "error": "it answered 500"}
    hook = {"code": None, "url": "https://example.com/<x>", "enabled": False}
    shown = webhook_summary(
        status | {"webhook": hook, "given_up": 2, "waiting": 1, "last_failure": refused, "oldest_waiting": "then"}
    )
    assert shown is not None
    text = words(shown)
    assert "https://example.com/&lt;x&gt; (disabled: what comes waits)" in text
    assert "No process delivers" in text
    assert "it answered 500" in text
    assert "replay --given-up" in text
    assert "Waiting since then, next try now" in text
