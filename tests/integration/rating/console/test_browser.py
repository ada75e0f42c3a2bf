"""Every page of the console and the portal in a real browser, on a vendor's data, and a catalog made by clicks."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import pytest
from starlette.routing import Match, Route

from deploy.cli.connection import base_url
from rating.console.site import ROUTERS
from schemas.settings import Settings
from tests.integration.conftest import Waiting
from tests.integration.rating.console.browser_look import Browser, chromium, opened_browser
from tests.integration.rating.console.llm_vendor import open_vendor
from tests.integration.world import World, declare

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

NO_PAGES: Final = {
    *("/assets/{name}", "/invoices.csv", "/invoices/{invoice_id}.pdf", "/reports/usage.{form}"),
    *("/portal/usage.csv", "/portal/events.csv", "/portal/invoices/{invoice_id}.pdf"),
    *("/login/oidc", "/login/oidc/callback", "/settings/password"),
}
"""What the console answers to GET with a document, or by a redirection; and the page of those alone who logged in by a
password (``settings_steps.py`` opens it)."""

FORMS: Final = (
    ("metrics", "code=tokens"),
    ("products", "code=input"),
    ("plans", "code=scale"),
    ("charges", "plan=starter&charge=input"),
    ("accounts", "code=birke"),
    ("subscriptions", "code=chautari-scale"),
    ("features", "code=tokens"),
    ("credits", "code=birke-prepaid"),
    ("alert-rules", "code=quota"),
)
"""A form of each place of the catalog, filled"""


@pytest.fixture(scope="module")
def vendor(settings: Settings, wait_until: Waiting) -> Iterator[World]:
    """A namespace of the vendor."""
    chromium()
    code = f"t{uuid.uuid4().hex[:12]}"
    declare(settings, {"namespace": {"code": code, "name": "Small Models", "max_event_age_seconds": None}})
    world = World(settings, code, wait_until)
    open_vendor(world)
    yield world
    world.disconnect()


@pytest.fixture(scope="module")
def browser(settings: Settings, vendor: World) -> Iterator[Browser]:
    key = settings.admin_key.get_secret_value()
    with opened_browser(base_url(settings, "rating"), key) as browser:
        yield browser


def test_every_page_is_for_everybody_and_has_no_trouble(vendor: World, browser: Browser) -> None:
    """The pages are those that links lead to, each of a kind once; and each kind that the console has is among them.
    No page is wider than a phone, none has trouble with the console or a serious finding of axe."""
    routes = _kinds()
    with vendor.http("rating") as service:
        portal = service.post("/v1/portal-tokens", json={"account_id": "birke"}).json()["url"]
    month = f"{datetime.now(UTC):%Y-%m}"
    named = f"namespace={vendor.namespace}"
    waiting = deque(
        [
            f"/accounts/birke?{named}&from=2026-09&metric=tokens.input&split=model",
            f"/reports/usage?{named}&metric=tokens.input&from={month}&group_by=account&group_by=dimension%3Amodel",
            f"/doctor?{named}&account_id=birke&metric=tokens.input&period={month}",
            f"/search?{named}&q=a",
            *(f"/catalog/{place}/form?{named}&{query}" for place, query in FORMS),
            f"/?{named}",
            portal,
            "/login",
        ]
    )
    looked: dict[tuple[str, str], str] = {}
    faults: dict[str, list[str]] = {}
    while waiting:
        address = waiting.popleft()
        kind = _kind_of(address, routes)
        if kind is None or kind in looked:
            continue
        looked[kind] = address
        answer = browser.page.goto(address)
        assert answer.status == 200, address
        if found := browser.faults():
            faults[address] = found
        waiting.extend(link for link in browser.links() if named in link or link.startswith("/portal"))
    assert faults == {}
    assert {template for template, _ in looked} == {route.path for route in routes} - NO_PAGES


def test_a_customer_is_billed_for_a_new_metric_by_clicking_alone(vendor: World, browser: Browser) -> None:
    """Settings → metric → product → plan → price → customer → subscription; then its events show as usage. Every page
    on the way is for everybody, too, those with faults of a form as well."""
    faults = []
    browser.page.goto(f"/?namespace={vendor.namespace}")
    browser.follow("Settings")
    browser.follow("Billable metrics")
    browser.follow("Create a metric")
    browser.fill(code="images", name="Images", unit="image", event_name="image", profiles__0__code="made")
    browser.fill(profiles__0__aggregation="sum")
    browser.save()
    assert "needs a property" in browser.text()
    browser.troubles.clear()  # the browser's own line about the status 422
    faults += browser.faults()
    browser.fill(profiles__0__property="count")
    browser.save()
    browser.follow("Create a product of images.made")
    browser.fill(code="images", name="Images")
    browser.save()
    browser.follow("Plans")
    browser.follow("Create a plan")
    browser.fill(code="pictures", name="Pictures", currency="USD")
    browser.save()
    browser.follow("Add a product")
    browser.fill(product="images", price__model="per_unit")
    browser.follow("Update the form: fields and rows")
    browser.fill(price__unit_amount="0.04")
    faults += browser.faults()
    browser.save()
    browser.follow("Customers")
    browser.follow("Create a customer")
    browser.fill(code="dala", name="Dala AB", time_zone="Europe/Stockholm")
    browser.save()
    browser.follow("Subscribe to a plan")
    browser.fill(code="dala-pictures", plan="pictures", start=f"{datetime.now(UTC):%Y-%m}-01")
    browser.save()
    faults += browser.faults()
    assert faults == []

    event = {"event_name": "image", "account_id": "dala", "properties": {"count": 25}}
    vendor.send([event])
    vendor.metered()
    browser.follow("Customers")
    browser.follow("Dala AB")
    text = browser.text()
    assert "sum: 25 image from 1 event" in text
    assert "1.00 USD" in text


def _kinds() -> list[Route]:
    """Routes of what the console answers to GET."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, Route)]
    return [route for route in routes if "GET" in (route.methods or ())]


def _kind_of(address: str, routes: list[Route]) -> tuple[str, str] | None:
    """(path of its route, place of the catalog); None for what is no page."""
    scope = {"type": "http", "method": "GET", "path": urlsplit(address).path}
    for route in routes:
        match, found = route.matches(scope)
        if match is Match.FULL:
            place = found["path_params"].get("place", "")
            return None if route.path in NO_PAGES else (route.path, place)
    return None
