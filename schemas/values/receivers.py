"""Receivers of webhooks as a setting lists them: address:port[,address:port…]."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

Receiver: TypeAlias = tuple[IPv4Address | IPv6Address, int]


def receivers_of(text: str) -> frozenset[Receiver]:
    """Those that are listed; ``localhost`` is both 127.0.0.1 and ::1. Raises ValueError, which names the faulty one."""
    receivers = set()
    for item in filter(None, (part.strip() for part in text.split(","))):
        host, _, port = item.rpartition(":")
        names = ("127.0.0.1", "::1") if host.lower() == "localhost" else (host.removeprefix("[").removesuffix("]"),)
        try:
            if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                raise ValueError(port)
            receivers |= {(ip_address(name), int(port)) for name in names}
        except ValueError:
            raise ValueError(f"{item!r} is not address:port; write e.g. 127.0.0.1:9000,[::1]:9000") from None
    return frozenset(receivers)
