"""One attempt at a receiver: its address is looked up and checked, the message posted to that very address, the status
read.

No redirect is followed, no proxy asked, and nothing of what a receiver answers is kept but its status and Retry-After:
it may well send back what it was sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final

import httpx

from rating.webhooks.receiver.address import AddressRefused, rules_of
from schemas.settings import Settings

_PORTS: Final = {"http": 80, "https": 443}
_AGENT: Final = {"user-agent": "Weir-Webhooks/1", "content-type": "application/json", "accept": "*/*"}


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """What a receiver answered. ``status`` 0: there was none, and ``error`` says why. ``retry_after``: seconds that the
    receiver asks for."""

    status: int
    error: str = ""
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the receiver accepted the message (2xx)."""
        return 200 <= self.status < 300


class Sender:
    """Posts messages to any receivers, concurrently. Call ``close`` when done."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._rules = rules_of(settings)
        self._seconds = settings.webhook_timeout_seconds
        # A kept connection would be one for an address, while its certificate was checked for one of its names.
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=settings.webhook_ca) if settings.webhook_ca else True,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            timeout=None,  # noqa: S113  send() has a deadline for all of it
            trust_env=False,
            follow_redirects=False,
            transport=transport,
        )

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, now_seconds: float) -> ReceiverAnswer:
        """The receiver's answer within the timeout; failures are answers with status 0. Raises only CancelledError."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._send(httpx.URL(url), headers, body, now_seconds)
        except AddressRefused as refused:
            return ReceiverAnswer(0, str(refused))
        except TimeoutError:
            return ReceiverAnswer(0, f"no answer within {self._seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ssl.SSLError, UnicodeError, ValueError) as error:
            return ReceiverAnswer(0, _reason(error))

    async def close(self) -> None:
        """Close the connections; attempts under way fail."""
        await self._client.aclose()

    async def _send(
        self, url: httpx.URL, headers: Mapping[str, str], body: bytes, now_seconds: float
    ) -> ReceiverAnswer:
        host = url.raw_host.decode("ascii")
        port = url.port or _PORTS[url.scheme]
        rules = self._rules.with_own(await self._own_addresses(port), port)
        allowed = rules.choose(host, port, await _addresses(host, port), url.scheme, of_this_machine)
        # To the address that was checked: asked again, a name could lead elsewhere. The certificate is still checked
        # for the name.
        extensions = None if _literal(host) else {"sni_hostname": host}
        sent = {**_AGENT, "host": url.netloc.decode("ascii"), **headers}
        for is_last, address in ((candidate == allowed[-1], candidate) for candidate in allowed):
            try:
                request = self._client.stream(
                    "POST", url.copy_with(host=address), headers=sent, content=body, extensions=extensions
                )
                async with request as answer:
                    return _answer(answer, now_seconds)
            except httpx.ConnectError:
                if is_last:
                    raise
        raise AssertionError("choose() gives at least one address")

    async def _own_addresses(self, port: int) -> list[str]:
        """Where Weir's own parts listen at the port that the settings name by host names."""
        found: list[str] = []
        for name, own_port in self._rules.own_names:
            if own_port == port:
                with suppress(OSError):  # a part that cannot be looked up cannot be reached by its address either
                    found += await _addresses(name, port)
        return found


async def _addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host. Raises OSError."""
    looked_up = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in looked_up]


def of_this_machine(address: str) -> bool:
    """Whether an IP address is one of this machine's own: only to such a one a socket can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as endpoint:
        endpoint.bind((address, 0))
        return True
    return False


def _answer(answer: httpx.Response, now_seconds: float) -> ReceiverAnswer:
    status = answer.status_code
    error = "" if answer.is_success else "redirects are not followed" if answer.is_redirect else f"it answered {status}"
    return ReceiverAnswer(
        status, error, None if answer.is_success else retry_after(answer.headers.get("retry-after"), now_seconds)
    )


def retry_after(text: str | None, now_seconds: float) -> float | None:
    """Seconds that the header asks to wait: a number, or the time until an HTTP date; None where it says nothing."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:12])  # seconds to wait
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_seconds)
    except (ValueError, OverflowError):
        return None


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    """The error in our own words: its text may hold what the receiver sent."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and type(error).__name__ == "gaierror":
        return "its host name cannot be resolved"
    cause = error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    names = {
        "ConnectError": "it cannot be connected to",
        "ReadError": "it closed the connection before it answered",
        "RemoteProtocolError": "it closed the connection or spoke no HTTP",
    }
    return names.get(type(error).__name__, f"the connection failed ({type(error).__name__})")
