"""Which IP addresses are public, by IANA's registries of special-purpose addresses: the IPv4 one as of 2025-10-09, the
IPv6 one as of 2025-10-09 (iana-ipv4-special-registry, iana-ipv6-special-registry; column "Globally Reachable"). In
code, so that every process and every version of Python answers alike. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# N/A in the registry (deprecated, or depending on what is embedded) counts as not reachable.
_NOT_REACHABLE: Final = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
    192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 255.255.255.255/32
    ::1/128 ::/128 ::ffff:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32
    2001:2::/48 2001:10::/28 2001:db8::/32
    2002::/16 3fff::/20 5f00::/16 fc00::/7 fe80::/10
    224.0.0.0/4 ff00::/8"""  # the last line, multicast, has registries of its own
_REACHABLE: Final = """
    192.0.0.9/32 192.0.0.10/32 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24
    64:ff9b::/96 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:3::/32 2001:4:112::/48 2001:20::/28 2001:30::/28
    2620:4f:8000::/48"""
_TABLE: Final[tuple[tuple[Network, bool], ...]] = tuple(
    # The longest prefix decides, as in a routing table.
    sorted(
        [(ip_network(text), False) for text in _NOT_REACHABLE.split()]
        + [(ip_network(text), True) for text in _REACHABLE.split()],
        key=lambda row: -row[0].prefixlen,
    )
)
# IANA assigns global unicast addresses from this block alone; what lies outside of it is reserved.
_UNICAST: Final = IPv6Network("2000::/3")
_NEVER: Final = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "fe80::/10", "fec0::/10", "ff00::/8", "64:ff9b:1::/48", "2001::/32", "::ffff:0:0:0/96"),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")


def embedded_ipv4(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does: mapped, behind a NAT64, by 6to4, or of the old
    compatible form."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """Whether an ``embedded_ipv4`` address is one of the public Internet."""
    for network, reachable in _TABLE:
        if address.version == network.version and address in network:
            return reachable
    return address.version == 4 or address in _UNICAST


def is_never_a_receiver(address: Address) -> bool:
    """Whether nothing can be a receiver there, also in an inner network: link-local (where clouds keep their
    credentials), multicast, unspecified, reserved, and tunnels that could lead anywhere."""
    return any(address.version == network.version and address in network for network in _NEVER) or (
        isinstance(address, IPv6Address) and address.is_reserved and not address.is_loopback
    )
