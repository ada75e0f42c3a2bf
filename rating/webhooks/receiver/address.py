"""Which addresses a webhook may go to. Namespaces choose their URLs, and must not reach into the operator's own network
by them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from rating.webhooks.receiver.special_addresses import Address, embedded_ipv4, is_never_a_receiver, is_public
from schemas.errors import WeirError
from schemas.settings import Settings
from schemas.values.record_copy import replace

AddressReach = Literal["public", "loopback", "any"]
Receiver = tuple[Address, int]
IsHere = Callable[[str], bool]


class AddressRefused(WeirError):
    """Nothing may be sent to this address; the message says why and names the remedy."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows. ``named`` are receivers that he names, by http or https.

    Where Weir's own parts listen is never a receiver, whatever else is said: ``own_ports`` of loopback, ``open_ports``
    of every address of this machine, ``own_receivers``, and the addresses of ``own_names``, which are looked up at each
    attempt.
    """

    reach: AddressReach = "public"
    named: frozenset[Receiver] = frozenset()
    own_ports: frozenset[int] = frozenset()
    open_ports: frozenset[int] = frozenset()
    own_receivers: frozenset[Receiver] = frozenset()
    own_names: frozenset[tuple[str, int]] = frozenset()

    def refusal(self, text: str, port: int, scheme: str, here: IsHere = lambda _: False) -> str:
        """Why no message goes to the IP address ``text`` at ``port`` by ``scheme``, http or https; empty where one
        may. ``here``: whether an address is one of this machine's."""
        address = embedded_ipv4(ip_address(text))
        if is_never_a_receiver(address):
            return "is an address that no receiver has"
        if (
            (address.is_loopback and port in self.own_ports | self.open_ports)
            or (address, port) in self.own_receivers
            or (port in self.open_ports and here(text))
        ):
            return "is a port of Weir's own parts"
        if (address, port) in self.named:
            return ""
        if address.is_loopback:
            if self.reach != "public":
                return ""
            return f"is an address of this machine; the operator names receivers here, {_allowing(address, port)}"
        if not is_public(address):
            if self.reach == "any":
                return ""
            return (
                "is an address of a private network; the operator names receivers there"
                f" ({_allowing(address, port)}) or allows all (WEIR_WEBHOOK_REACH=any, {self.reach} now)"
            )
        return "" if scheme == "https" or self.reach == "any" else "is reached by https alone; use https"

    def with_own(self, addresses: Iterable[str], port: int) -> Rules:
        """The rules where one of Weir's own parts listens at these addresses, too."""
        listening = {(embedded_ipv4(ip_address(address)), port) for address in addresses}
        return replace(self, own_receivers=self.own_receivers | listening)

    def choose(
        self, host: str, port: int, addresses: Iterable[str], scheme: str, here: IsHere = lambda _: False
    ) -> list[str]:
        """Those of a host's addresses that may be sent to, in their order. Raises AddressRefused where none is left."""
        refusals = {address: self.refusal(address, port, scheme, here) for address in addresses}
        allowed = [address for address, refusal in refusals.items() if not refusal]
        if not allowed:
            raise AddressRefused(f"{host} {next(iter(refusals.values()), 'has no address')}")
        return allowed


def _allowing(address: IPv4Address | IPv6Address, port: int) -> str:
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"WEIR_WEBHOOK_ALLOW={host}:{port}"


def rules_of(settings: Settings) -> Rules:
    """The rules by the operator's settings."""
    hosts = {
        (settings.clickhouse_host, settings.clickhouse_port),
        (settings.gateway_host, settings.gateway_port),
        (settings.rating_host, settings.rating_port),
        (settings.webhook_host, settings.webhook_port),
        (settings.scheduler_host, settings.scheduler_port),
    }
    for broker in settings.kafka_bootstrap.split(","):
        name, _, port = broker.rpartition(":")
        hosts.add((name.strip("[]"), int(port)))
    literal = {(address, port) for host, port in hosts if (address := _literal(host)) is not None}
    own_ports = {port for address, port in literal if address.is_loopback}
    # A part that listens on all addresses, or by a name, listens on any address of this machine, as far as anybody
    # knows.
    open_ports = {port for host, port in hosts if (address := _literal(host)) is None or address.is_unspecified}
    return Rules(
        settings.webhook_reach,
        frozenset((embedded_ipv4(address), port) for address, port in settings.webhook_receivers()),
        frozenset(own_ports | {int(port) for port in settings.webhook_own_ports.split(",") if port}),
        frozenset(open_ports),
        frozenset(literal),
        frozenset((host, port) for host, port in hosts if _literal(host) is None),
    )


def _literal(host: str) -> Address | None:
    try:
        return embedded_ipv4(ip_address(host))
    except ValueError:
        return None
