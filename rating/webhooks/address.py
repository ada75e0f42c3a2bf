"""Which addresses a webhook may go to. Namespaces choose their URLs, and must not reach into the operator's own network by them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal

Reach = Literal["public", "loopback", "any"]
_NAT64: Final = IPv6Network("64:ff9b::/96")


class Refused(Exception):
    """Nothing may be sent there; the message says why and names the remedy."""


def permitted(text: str, reach: Reach, scheme: str) -> bool:
    """Whether a message may go to the IP address ``text`` by ``scheme``, http or https.

    Link-local addresses (where clouds keep their credentials), multicast and reserved ones are never a receiver's.
    """
    address = _innermost(ip_address(text))
    if address.is_loopback:
        return reach != "public"
    if address.is_multicast or address.is_unspecified or address.is_link_local or address.is_reserved:
        return False
    return reach == "any" or (address.is_global and scheme == "https")


def choose(host: str, addresses: Iterable[str], reach: Reach, scheme: str) -> list[str]:
    """Those of a host's addresses that may be sent to, in their order. Raises Refused where none is left."""
    found = list(dict.fromkeys(addresses))
    kept = [one for one in found if permitted(one, reach, scheme)]
    if kept:
        return kept
    if any(permitted(one, reach, "https") for one in found):
        raise Refused("http is for receivers on this machine only; use https")
    where = "this machine" if all(_innermost(ip_address(one)).is_loopback for one in found) else "a private network"
    raise Refused(f"{host} is an address of {where}; WEIR_WEBHOOK_REACH says what is allowed ({reach} now)")


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
