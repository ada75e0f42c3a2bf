"""A portal token is of one account under one secret until it expires; its page is text, and leads nowhere."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rating.api.portal.customer_view import events_of_customer, line_of_customer, live_of_customer, of_customer
from rating.api.portal.portal_token import PREFIX, PortalGrant, grant_of, portal_token
from rating.console.html import Html
from rating.console.page_answers import page_of
from rating.console.portal.portal_frame import PortalFrame
from rating.console.portal.portal_invoice_page import portal_invoice, portal_line
from rating.console.portal.portal_page import portal_page
from rating.console.portal.portal_usage_page import PortalUsage, portal_usage_page
from rating.explain.counted_events import EventsPage, ExplainedEvent
from rating.usage import Usage, UsageGroup
from schemas.catalog.models import Namespace
from schemas.values.time_zones import parse_zone
from tests.unit.rating.console.test_account import RUNNING
from tests.unit.rating.console.test_console import Reader, texts

INVOICE: dict[str, Any] = {
    "invoice_id": "inv_1", "number": "INV-1", "time_zone": "UTC", "currency": "USD", "state": "paid",
    "service_start": "2026-06-01T00:00:00Z", "service_end": "2026-07-01T00:00:00Z", "subtotal": "3", "total": "2",
    "payments": [{"amount": "2", "paid_at": "2026-07-02T00:00:00Z"}], "void": None, "due_date": None,
    "credit_notes": [{"number": "CN-1", "subtotal": "1", "reason": "late"}], "amount_due": "0",
}  # fmt: skip
LINE: dict[str, Any] = {
    "number": 1, "steps": [{"text": "3 × 1"}], "note": "", "quantity": "3", "unit": "call", "amount": "3",
}  # fmt: skip
_TOTAL: dict[str, Any] = {"checkpoint": 1, "quantity": "1", "events": 1, "amount": "1"}
EXPLAINED: dict[str, Any] = {
    "invoice_id": "inv_1", "line": 1, "kind": "usage", "product": "p", "description": "Calls",
    "period": {"local_start": "a", "local_end": "b", "time_zone": "UTC"}, "steps": [{"text": "3 × 1", "amount": "3"}],
    "rounding": {"rule": "once", "amount": "3", "currency": "USD"}, "note": "", "sentence": "Secret", "price": "Secret",
    "checkpoint": {"as_of": "2026-07-01T00:00:00Z", "run_id": "Secret"},
    "profile": {
        "id": "calls.sum", "aggregation": "sum", "versions": [{"event_name": "call", "filters": ["Secret customer"]}],
    },
    "quantity": {
        "billed": "3", "events": 3, "unit": "call", "rule": "sum", "events_shown": 3, "days_add_up": False,
        "by_day": [{"date": "2026-06-01", "quantity": "3", "events": 3}],
        "by_dimensions": [{"values": {"way": None}, "quantity": "3", "events": 3}], "recomputed": "Secret",
        "agrees": "Secret",
    },
    "adjustment": {
        "adjusts": "inv_0", "difference": "0", "before": _TOTAL, "now": _TOTAL, "late_events": None,
        "voided_events": {"count": 1, "events": [{"reason": "Secret", "author": "Secret"}]},
    },
}  # fmt: skip


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
def test_a_portal_is_text_and_leads_nowhere_else(seller: str, name: str) -> None:
    portal = PortalFrame(seller, "weirp_x.y", lambda kind, code: name)
    row = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z", "quantity": "9", "events": 1}
    usage = {"metric": "tok.in", "unit": name, "time_zone": "UTC", "rows": [row], "total": {"quantity": "9"}}
    head = {
        "invoice_id": name, "number": name, "period_start": "2026-06-01T00:00:00Z",
        "period_end": "2026-07-01T00:00:00Z",
        "time_zone": "UTC", "total": "1", "amount_due": "0", "currency": "USD", "state": "paid",
    }  # fmt: skip
    answer: dict[str, Any] = {
        "account_id": name, "name": name, "time_zone": "UTC", "running": {"subscriptions": [RUNNING]},
        "usage": [usage], "balance": {"balances": [{"currency": name, "live": "5"}]}, "entitlements": [],
        "invoices": [head], "metrics": [{"metric": "tok.in"}], "incomplete": True,
    }  # fmt: skip
    reader = _leads_within(portal_page(portal, answer))
    assert name in reader.text
    assert "Estimated total" in reader.text
    group = UsageGroup(Usage(Decimal(3), 1), dimensions=(name,))
    shown = PortalUsage("tok.in", name, name, name, (name,), usage | {"aggregation": "sum"}, (group,), name)
    assert name in _leads_within(portal_usage_page(portal, shown)).text


@given(texts, texts)
def test_an_invoice_and_a_line_of_the_portal_are_text_and_lead_nowhere_else(seller: str, name: str) -> None:
    portal = PortalFrame(seller, "weirp_x.y", lambda kind, code: "")
    answer = {"invoice": INVOICE | {"number": name}, "lines": [LINE | {"description": name, "note": name}]}
    assert name in _leads_within(portal_invoice(portal, answer)).text
    line = line_of_customer(EXPLAINED | {"description": name})
    event = {"idempotency_key": name, "local_time": "x", "quantity": "1", "properties": msgspec.Raw(b'{"a": 1}')}
    reader = _leads_within(portal_line(portal, line, {"events": [event], "next_cursor": name}))
    assert name in reader.text
    assert '{"a": 1}' in reader.text
    assert not any("Secret" in text for text in reader.text)


def _leads_within(page: str) -> Reader:
    reader = Reader(page.removeprefix("<!doctype html>"))
    assert "script" not in reader.names
    assert all(link.startswith(("/portal", "/assets/")) for link in reader.links)
    return reader


def test_a_line_is_explained_without_the_sellers_rules_and_without_who_took_events_back() -> None:
    shown = line_of_customer(EXPLAINED)
    assert "Secret" not in json.dumps(shown)
    assert (shown["event_names"], shown["adjustment"]["taken_back_events"]) == (["call"], 1)
    flat = line_of_customer(EXPLAINED | {"profile": None, "quantity": None, "adjustment": None})
    assert (flat["metric"], flat["quantity"], flat["adjustment"], flat["event_names"]) == (None, None, None, [])


def test_an_event_is_shown_without_where_it_lies() -> None:
    event = ExplainedEvent(0, (1, 2, 3, 4), 7, Decimal(1), "", "{}", 0, "call", "", "k", '{"x": 1.50}')
    (shown,) = events_of_customer(EventsPage((event,), None), parse_zone("UTC"))["events"]
    assert not {"position", "profile_version", "appended_at"} & set(shown)
    assert bytes(shown["properties"]) == b'{"x": 1.50}'


def test_only_named_sites_may_show_a_page_in_a_frame() -> None:
    policy = page_of(Html(""), ancestors=("https://a.example", "https://b.example:8443")).headers
    assert "frame-ancestors https://a.example https://b.example:8443;" in policy["content-security-policy"]
    assert "frame-ancestors 'none';" in page_of(Html("")).headers["content-security-policy"]


@pytest.mark.parametrize(
    "origin",
    ["http://a.example", "https://a.example/", "https://a.example; x", "https://*", "https://A.example", "'self'",
     "https://a.example https://b.example", "https://a.example\n", "https://-a.example", "https://a.example:0"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(origin: str) -> None:
    assert Namespace(code="a", portal_origins=("https://a.example:8443", "http://localhost:3000")).portal_origins
    with pytest.raises(ValidationError):
        Namespace(code="a", portal_origins=(origin,))


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


def test_a_live_answer_tells_the_customer_neither_problems_nor_how_much_all_customers_use() -> None:
    positions = [{"generation": 1, "partition": 0, "offset": 7}]
    answer = {"balances": [], "problems": ["s1: why"], "as_of": {"at": "2026-11-30T00:00:00Z", "positions": positions}}
    assert live_of_customer(answer) == {
        "balances": [],
        "problems": [],
        "as_of": {"at": "2026-11-30T00:00:00Z", "positions": []},
    }
    assert answer["as_of"]["positions"] == positions
