"""Asks the gateway on behalf of a visitor of the console: what the catalog's API does, it alone does."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx

from rating.api.rating_problems import RatingProblem, unavailable
from schemas.http.api_keys import ON_BEHALF_OF, Access
from schemas.http.problems import Problem, reason_of
from schemas.http.tls_context import client_context, service_tls
from schemas.settings import Settings
from schemas.values.json_text import JsonObject

log = logging.getLogger(__name__)

_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """A success: its JSON, {} where it has none."""

    status: int
    body: JsonObject


class GatewayClient:
    """A client of the gateway, of this process' event loop. It connects when it is first asked."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = settings.gateway_base()
        self._key = settings.admin_key.get_secret_value()
        self._tls = service_tls(settings)
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def ask(
        self,
        access: Access,
        namespace: str,
        method: str,
        path: str,
        body: JsonObject | None = None,
        *,
        version: int | None = None,
    ) -> GatewayAnswer:
        """Ask with the rights and in the name of ``access``. ``path``: with its codes quoted; ``version``: the one that
        must be in force. Raises Problem: the gateway's refusal with its ``errors``, 503 where it does not answer."""
        headers = {"authorization": f"Bearer {self._key}", "weir-namespace": namespace}
        if access.key_id:
            headers[ON_BEHALF_OF] = access.key_id
        if version is not None:
            headers["if-match"] = f'"{version}"'
        try:
            answer = await self._connected().request(method, self.url + path, json=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.error("the gateway does not answer at %s: %s: %s", self.url, type(error).__name__, error)
            raise unavailable(
                f"the gateway does not answer: {type(error).__name__}",
                "`weir status` tells what is up; WEIR_GATEWAY_URL of the rating service, which its log shows, says "
                "where it is",
            ) from None
        if answer.is_success:
            return GatewayAnswer(answer.status_code, _object(answer))
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            log.error("the gateway at %s does not take the admin key, or whom it is asked for", self.url)
        raise _refusal(answer)

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            verify = client_context(self.url, self._tls)
            self._client = httpx.AsyncClient(
                timeout=_SECONDS, verify=verify, trust_env=False, transport=self._transport
            )
        return self._client

    async def close(self) -> None:
        """Give up its connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _object(answer: httpx.Response) -> JsonObject:
    try:
        body: Any = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _refusal(answer: httpx.Response) -> Problem:
    body = _object(answer)
    detail = str(body.get("detail") or f"the gateway answered {answer.status_code}")
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return RatingProblem(
            HTTPStatus.FORBIDDEN,
            f"the gateway does not take this: {detail}. Log in again; where that does not help, "
            "WEIR_ADMIN_KEY of the gateway and of the rating service are not one",
        )
    retry = {"Retry-After": again} if (again := answer.headers.get("retry-after", "")) else None
    reason = str(body.get("reason") or reason_of(answer.status_code))
    errors = body.get("errors")
    if errors is None and isinstance(body.get("path"), str):
        errors = [{"path": body["path"], "detail": detail}]
    return Problem(answer.status_code, reason, detail, headers=retry, errors=errors)
