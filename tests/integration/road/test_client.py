"""Clients that a public generator makes of the documents do what a company does: publish, send, ask, and read
errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.cli.connection import base_url
from schemas.http.scopes import Service
from tests.generated_client import generate, imported, needs_generator
from tests.integration.world import World

pytestmark = pytest.mark.integration

CATALOG = {
    "meters": [
        {
            "code": "calls",
            "event_name": "call",
            "profiles": [{"code": "seconds", "aggregation": "sum", "property": ["seconds"]}],
        }
    ],
    "products": [{"code": "calls", "profile": "calls.seconds"}],
    "plans": [
        {
            "code": "basic",
            "currency": "USD",
            "charges": [{"product": "calls", "price": {"model": "per_unit", "unit_amount": "0.5"}}],
        }
    ],
    "accounts": [{"code": "acme"}],
    "subscriptions": [{"code": "acme-basic", "account": "acme", "plan": "basic", "start": "2026-01-01T00:00:00Z"}],
}


def test_generated_clients_publish_send_and_read(world: World, tmp_path: Path) -> None:
    needs_generator()
    made = {service: generate(service, tmp_path) for service in ("gateway", "rating")}

    def client(package: Any, service: Service) -> Any:
        key = world.settings.admin_key.get_secret_value()
        namespace = {"Weir-Namespace": world.namespace}
        return package.AuthenticatedClient(base_url(world.settings, service), token=key, headers=namespace, timeout=60)

    with imported(made["gateway"]) as package:
        from weir_gateway.api.catalog import apply_catalog
        from weir_gateway.api.events import send_events
        from weir_gateway.api.meters import get_meters
        from weir_gateway.models import (
            AcceptedEvents,
            CatalogApplied,
            CatalogDocument,
            MeterEntry,
            ProblemDocument,
            SendEventsBody,
        )

        gateway = client(package, "gateway")
        applied = apply_catalog.sync(client=gateway, body=CatalogDocument.from_dict(CATALOG))
        assert isinstance(applied, CatalogApplied)
        assert [(one.kind, one.code) for one in applied.created][:2] == [("meter", "calls"), ("product", "calls")]
        meter = get_meters.sync("calls", client=gateway)
        assert isinstance(meter, MeterEntry)
        assert (meter.version, meter.profiles[0].aggregation) == (1, "sum")
        event = {
            "event_name": "call",
            "account_id": "acme",
            "idempotency_key": "c1",
            "timestamp": "2026-01-20T12:00:00Z",
        }
        sent = send_events.sync(
            client=gateway, body=SendEventsBody.from_dict({"events": [event | {"properties": {"seconds": "3"}}]})
        )
        assert isinstance(sent, AcceptedEvents)
        assert sent.idempotency_keys == ["c1"]
        missing = get_meters.sync("nothing", client=gateway)
        assert isinstance(missing, ProblemDocument)
        assert (missing.status, missing.reason) == (404, "not_found")

    world.metered()
    with imported(made["rating"]) as package:
        from weir_rating.api.invoices import list_invoices
        from weir_rating.api.prices import price_quantities
        from weir_rating.api.usage import get_usage
        from weir_rating.models import InvoicePage, PricedLine, PriceRequest, UsageAnswer
        from weir_rating.models import ProblemDocument as RatingProblem

        rating = client(package, "rating")
        usage = get_usage.sync(client=rating, metric="calls", from_="2026-01", account_id="acme")
        assert isinstance(usage, UsageAnswer)
        assert (usage.total.quantity, usage.total.events, usage.from_.year) == ("3", 1, 2026)
        priced = price_quantities.sync(
            client=rating,
            body=PriceRequest.from_dict({"price": {"model": "per_unit", "unit_amount": "0.5"}, "quantity": "3"}),
        )
        assert isinstance(priced, PricedLine)
        assert (priced.amount, priced.steps[0].kind) == ("1.50", "per_unit")
        page = list_invoices.sync(client=rating)
        assert isinstance(page, InvoicePage)
        assert (page.invoices, page.next_cursor) == ([], None)
        wrong = get_usage.sync(client=rating, metric="calls", from_="soon")
        assert isinstance(wrong, RatingProblem)
        assert (wrong.status, wrong.reason) == (422, "invalid")
