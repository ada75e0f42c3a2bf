"""A portal token is of one account under one secret until it expires; its page is text, and leads nowhere."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.api.portal.portal_answer import of_customer
from rating.api.portal.portal_token import PREFIX, PortalGrant, grant_of, portal_token
from rating.console.portal.portal_page import portal_page
from tests.unit.rating.console.test_account import RUNNING
from tests.unit.rating.console.test_console import Reader, texts


@given(texts, texts, st.integers(1, 1 << 60))
def test_a_token_comes_back_until_it_expires_and_no_other_does(namespace: str, account: str, expires_us: int) -> None:
    grant = PortalGrant(namespace[:64], account[:256], "key_1", expires_us)
    token = portal_token("secret", grant)
    assert grant_of("secret", token, expires_us - 1) == (grant if len(token) <= 2000 else None)
    assert grant_of("secret", token, expires_us) is None
    assert grant_of("other", token, 0) is None
    body, _, signature = token.partition(".")
    other = portal_token("secret", PortalGrant("x", "y", "", expires_us)).partition(".")[0]
    for forged in (f"{other}.{signature}", body, f"{body}.", f"{PREFIX}.{signature}", f"{body}.ü", "", PREFIX):
        assert grant_of("secret", forged, 0) is None or other == body
    assert "secret" not in token


@given(texts, texts)
def test_a_portal_is_text_and_leads_nowhere(seller: str, name: str) -> None:
    row = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z", "quantity": "9", "events": 1}
    usage = {"metric": "tok.in", "unit": name, "time_zone": "UTC", "rows": [row], "total": {"quantity": "9"}}
    head = {
        "number": name, "period_start": "2026-06-01T00:00:00Z", "period_end": "2026-07-01T00:00:00Z",
        "time_zone": "UTC", "total": "1", "amount_due": "0", "currency": "USD", "state": "paid",
    }  # fmt: skip
    answer: dict[str, Any] = {
        "account_id": name, "name": name, "time_zone": "UTC", "running": {"subscriptions": [RUNNING]},
        "usage": [usage], "balance": {"balances": [{"currency": name, "live": "5"}]}, "entitlements": [],
        "invoices": [head], "incomplete": True,
    }  # fmt: skip
    reader = Reader(portal_page(seller, answer, lambda kind, code: name).removeprefix("<!doctype html>"))
    assert not {"script", "a", "form"} & set(reader.names)
    assert name in reader.text
    assert "Estimated total" in reader.text


def test_a_customer_is_not_told_who_of_the_seller_decided_on_an_invoice() -> None:
    decided: dict[str, Any] = {"author": "Bo (bo@example.com)", "at": "2026-07-01T00:00:00Z"}
    note, paid = {"reason": "late", "author": "Bo"}, {"reference": "p1", "author": "key_1"}
    head = {
        "number": "INV-1", "payments": [paid], "credit_notes": [note], "void": decided | {"reason": "Bo mistook it"},
        "approved": decided | {"draft": 2},
    }  # fmt: skip
    shown = of_customer(head)
    assert "Bo" not in str(shown)
    assert "key_1" not in str(shown)
    assert shown["payments"] == [{"reference": "p1", "author": ""}]
    assert shown["credit_notes"] == [{"reason": "late", "author": ""}]
    assert of_customer(head | {"void": None})["void"] is None
