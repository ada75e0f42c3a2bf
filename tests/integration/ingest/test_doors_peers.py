"""The SDKs of other systems, as their packages come, against the real gateway: what they send is metered, and they
understand what they are told."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import openmeter
import openmeter.aio
import openmeter.models
import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent
from corehttp.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from lago_python_client import Client as LagoClient
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models import BatchEvent, Event
from roadkit import World, books_of

from deploy.cli.connection import base_url, headers
from schemas.settings import Settings

pytestmark = pytest.mark.integration

METER = {"code": "calls", "event_name": "call", "profiles": [{"code": "s", "aggregation": "sum", "property": ["s"]}]}
AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = {"start": "2026-05-04T00:00:00Z", "end": "2026-05-05T00:00:00Z"}


def cloudevent(i: str, **more: Any) -> CloudEvent:
    told = {"id": i, "source": "/pbx", "type": "call", "subject": "acme", "time": AT.isoformat()}
    return CloudEvent(told, {"s": 0.5} | more)


def metered(i: str, **more: Any) -> openmeter.models.Event:
    told: dict[str, Any] = {"id": i, "source": "/pbx", "specversion": "1.0", "type": "call", "subject": "acme"}
    return openmeter.models.Event(**(told | {"time": AT, "data": {"s": 0.5}} | more))


def test_cloudevents_of_every_mode_and_openmeters_clients_are_metered_once(world: World) -> None:
    world.apply(meters=[METER])
    own = headers(world.settings)
    with world.http("gateway") as http:

        def post(told: dict[str, str], body: bytes) -> httpx.Response:
            return http.post("/api/v1/events", headers=own | told, content=body)

        assert post(*to_structured(cloudevent("structured"))).status_code == 204
        assert post(*to_binary(cloudevent("binary"))).status_code == 204
        parts = [to_structured(cloudevent(i))[1] for i in ("batched", "structured", "binary")]
        batch = {"content-type": "application/cloudevents-batch+json"}
        assert post(batch, b"[" + b",".join(parts) + b"]").status_code == 204
        refused = post(*to_binary(CloudEvent({"type": "call", "source": "/pbx"}, {"s": 1})))
        assert (refused.status_code, refused.json()["path"]) == (400, "ce-subject")
        assert post({"content-type": "application/cloudevents+avro"}, b"\x00").status_code == 415

    url, token = base_url(world.settings, "gateway"), world.settings.admin_key.get_secret_value()
    told = {"Weir-Namespace": world.namespace}
    with openmeter.Client(endpoint=url, token=token) as client:
        client.events.ingest_event(metered("one"), headers=told)
        client.events.ingest_events([metered("two"), metered("batched")], headers=told)
        client.events.ingest_events_json([metered("three"), metered("one")], headers=told)
        with pytest.raises(HttpResponseError) as caught:
            client.events.ingest_events([metered("four"), metered("five", subject="")], headers=told)
        assert caught.value.status_code == 400
        assert caught.value.model.title == "Bad Request"
        assert caught.value.model.extensions == {"reason": "invalid", "index": 1, "path": "$[1].subject"}
        with pytest.raises(ResourceNotFoundError):
            client.events.ingest_event(metered("six"), headers={"Weir-Namespace": "nowhere"})
    with openmeter.Client(endpoint=url, token="wrong") as stranger, pytest.raises(ClientAuthenticationError):
        stranger.events.ingest_event(metered("seven"), headers=told)

    async def later() -> None:
        async with openmeter.aio.Client(endpoint=url, token=token) as client:
            await client.events.ingest_event(metered("async"), headers=told)

    asyncio.run(later())
    world.metered()
    world.wait(lambda: world.books()["refused"] == 4 and world.books()["balanced"])
    books_of(world.books(), refused=4, accepted=11, metered=7, duplicates=4)
    [row] = world.usage("calls", **DAY)
    assert row == {"account_id": "acme", "quantity": "3.5", "events": 7}


def test_lagos_client_creates_events_and_understands_refusals(world: World, settings: Settings) -> None:
    """Lago's client sends no header of ours, so its events go to the gateway's default namespace."""
    mark = uuid.uuid4().hex[:12]
    default = World(settings, settings.namespace, world.wait)
    subscription = {"code": f"s{mark}", "account": f"a{mark}", "plan": f"p{mark}", "start": "2026-01-01"}
    default.apply(
        meters=[METER | {"code": mark, "event_name": mark}],
        plans=[{"code": f"p{mark}", "currency": "USD"}],
        accounts=[{"code": f"a{mark}"}],
        subscriptions=[subscription],
    )
    client = LagoClient(api_key=settings.admin_key.get_secret_value(), api_url=base_url(settings, "gateway"))
    now = datetime.now(UTC)

    def event(i: str, **more: Any) -> Event:
        told = {"transaction_id": f"{mark}-{i}", "external_subscription_id": f"s{mark}", "code": mark}
        return Event(**(told | {"timestamp": int(now.timestamp()), "properties": {"s": "0.25"}} | more))

    created = client.events.create(event("one", precise_total_amount_cents="12.5"))
    assert created is not None
    assert (created.transaction_id, created.external_subscription_id) == (f"{mark}-one", f"s{mark}")
    assert (created.precise_total_amount_cents, created.properties) == ("12.5", {"s": "0.25"})
    again = client.events.create(event("one", precise_total_amount_cents="12.5"))
    assert again is not None
    assert again.lago_id == created.lago_id
    text = f"{now.timestamp():.6f}"
    client.events.batch_create(BatchEvent(events=[event("two", timestamp=text), event("three", timestamp=None)]))
    client.events.create(event("four", external_subscription_id=f"direct{mark}"))
    with pytest.raises(LagoApiError) as caught:
        client.events.create(event("five", timestamp="yesterday"))
    assert caught.value.status_code == 422
    assert caught.value.response["code"] == "validation_errors"
    assert caught.value.response["error_details"] == {"timestamp": ["invalid_format"]}
    with pytest.raises(LagoApiError) as caught:
        client.events.batch_create(BatchEvent(events=[event("six"), event("seven", transaction_id="")]))
    assert caught.value.response["error_details"] == {"1": {"transaction_id": ["value_is_mandatory"]}}
    with pytest.raises(LagoApiError) as caught:
        LagoClient(api_key="wrong", api_url=base_url(settings, "gateway")).events.create(event("eight"))
    assert (caught.value.status_code, caught.value.response["error"]) == (401, "Unauthorized")
    default.metered()
    start, end = now.replace(hour=0, minute=0, second=0, microsecond=0), now.replace(microsecond=0)
    rows = default.usage(mark, start=start.isoformat(), end=end.replace(year=end.year + 1).isoformat())
    assert {row["account_id"]: (row["quantity"], row["events"]) for row in rows} == {
        f"a{mark}": ("0.75", 3),
        f"direct{mark}": ("0.25", 1),
    }
