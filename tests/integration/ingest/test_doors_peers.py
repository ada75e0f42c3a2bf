"""The SDKs of other systems, as their packages come, against the real gateway: what they send is metered, and they
understand what they are told."""

from __future__ import annotations

import asyncio
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

from deploy.cli.connection import base_url, services_of
from tests.integration.world import World, books_of

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
    own = services_of(world.settings).headers()
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


def test_lagos_client_creates_events_and_understands_refusals(world: World) -> None:
    world.apply(
        meters=[METER],
        plans=[{"code": "basic", "currency": "USD"}],
        accounts=[{"code": "acme"}],
        subscriptions=[{"code": "acme-basic", "account": "acme", "plan": "basic", "start": "2026-01-01"}],
    )
    with world.http("gateway") as admin:
        key = admin.post("/v1/api-keys", json={"scopes": ["ingest"]}).json()["key"]  # it says the namespace
    url = base_url(world.settings, "gateway")
    client = LagoClient(api_key=key, api_url=url)

    def event(i: str, **more: Any) -> Event:
        told = {"transaction_id": i, "external_subscription_id": "acme-basic", "code": "call"}
        return Event(**(told | {"timestamp": int(AT.timestamp()), "properties": {"s": "0.25"}} | more))

    created = client.events.create(event("one", precise_total_amount_cents="12.5"))
    assert created is not None
    assert (created.transaction_id, created.external_subscription_id) == ("one", "acme-basic")
    assert (created.precise_total_amount_cents, created.properties) == ("12.5", {"s": "0.25"})
    assert created.timestamp == "2026-05-04T12:00:00Z"
    again = client.events.create(event("one", precise_total_amount_cents="12.5"))
    assert again is not None
    assert again.lago_id == created.lago_id
    client.events.batch_create(BatchEvent(events=[event("two", timestamp=f"{AT.timestamp():.6f}"), event("three")]))
    client.events.create(event("one", external_subscription_id="direct"))  # another subscription's: another event
    with pytest.raises(LagoApiError) as caught:
        client.events.create(event("five", timestamp="yesterday"))
    assert caught.value.status_code == 422
    assert caught.value.response["code"] == "validation_errors"
    assert caught.value.response["error_details"] == {"timestamp": ["invalid_format"]}
    with pytest.raises(LagoApiError) as caught:
        client.events.batch_create(BatchEvent(events=[event("six"), event("seven", transaction_id="")]))
    assert caught.value.response["error_details"] == {"1": {"transaction_id": ["value_is_mandatory"]}}
    with pytest.raises(LagoApiError) as caught:
        LagoClient(api_key="wrong", api_url=url).events.create(event("eight"))
    assert (caught.value.status_code, caught.value.response["error"]) == (401, "Unauthorized")
    world.metered()
    assert {row["account_id"]: (row["quantity"], row["events"]) for row in world.usage("calls", **DAY)} == {
        "acme": ("0.75", 3),
        "direct": ("0.25", 1),
    }
