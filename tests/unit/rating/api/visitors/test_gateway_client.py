"""What a visitor of the console is told of the gateway's address: nothing. The log has it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import httpx
import pytest
from pydantic import SecretStr

from rating.api.visitors.gateway_client import GatewayClient
from schemas.http.api_keys import ALL_SCOPES, Access
from schemas.http.problems import Problem
from schemas.settings import Settings

URL = "http://gateway.internal:8080"


def _away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"cannot connect to {URL}")


def _unauthorised(request: httpx.Request) -> httpx.Response:
    return httpx.Response(401, json={"detail": "wrong or revoked key"})


@pytest.mark.parametrize(("handler", "status"), [(_away, 503), (_unauthorised, 403)])
def test_a_gateway_that_does_not_help_is_named_in_the_log_alone(
    handler: Callable[[httpx.Request], httpx.Response], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    settings = Settings(admin_key=SecretStr("secret-admin-key"), gateway_url=URL)

    async def ask() -> None:
        client = GatewayClient(settings, httpx.MockTransport(handler))
        try:
            await client.ask(Access(None, ALL_SCOPES, "admin"), "shop", "GET", "/v1/plans")
        finally:
            await client.close()

    with pytest.raises(Problem) as raised:
        asyncio.run(ask())
    assert raised.value.status == status
    assert "gateway.internal" not in str(raised.value.document())
    assert URL in caplog.text
    assert "secret-admin-key" not in caplog.text
