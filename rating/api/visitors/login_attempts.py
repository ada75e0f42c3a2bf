"""How often somebody may try to log in: after so many wrong keys, by address, by user and in all, no key is looked at
for a while. Keeps its counts in memory; ``now`` is in seconds and never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

BURST: Final = 10
"""Wrong keys that one address may give at once; then one more every EACH seconds."""
EACH: Final = 30.0
USER_BURST: Final = 30
"""Wrong passwords of one user, of whatever addresses; then one more every USER_EACH seconds."""
USER_EACH: Final = 60.0
ALL_BURST: Final = 200
"""Wrong keys of all addresses together at once; then one more every ALL_EACH seconds."""
ALL_EACH: Final = 1.0
REMEMBERED: Final = 10_000
"""Addresses whose tries are kept."""
_EVERYBODY: Final = ""


@dataclass(slots=True)
class _Spent:
    tries: float
    at: float

    def now(self, seconds: float, seconds_a_try: float) -> float:
        return max(self.tries - (seconds - self.at) / seconds_a_try, 0.0)


class LoginAttempts:
    """Wrong tries by address, in this process alone: two services count two times."""

    def __init__(self) -> None:
        self._spent: dict[str, _Spent] = {}

    def wait(self, address: str, now: float, user: str = "") -> int:
        """Seconds until a try from this address, as this ``user`` ("": by a key), is looked at; 0: now."""
        network = _network(address)
        return max(
            self._wait(network, BURST, EACH, now),
            self._wait(_passwords(network), BURST, EACH, now),
            self._wait(_of_user(user), USER_BURST, USER_EACH, now) if user else 0,
            self._wait(_EVERYBODY, ALL_BURST, ALL_EACH, now),
        )

    def failed(self, address: str, now: float, user: str = "") -> None:
        """Count a wrong key, or a wrong password of a ``user``."""
        network = _network(address)
        counted = [
            (network, EACH),
            (_EVERYBODY, ALL_EACH),
            *([(_passwords(network), EACH), (_of_user(user), USER_EACH)] if user else ()),
        ]
        for name, seconds_a_try in counted:
            known = self._spent.pop(name, None)
            self._spent[name] = _Spent((known.now(now, seconds_a_try) if known else 0.0) + 1, now)
        while len(self._spent) > REMEMBERED:
            # The one that was wrong the longest ago; what all together tried is kept.
            del self._spent[next(name for name in self._spent if name != _EVERYBODY)]

    def forget(self, address: str) -> None:
        """Drop an address's wrong keys, after a right login. Wrong passwords come back with time alone: else whoever
        may log in would guess others', and spend the tries of all together."""
        self._spent.pop(_network(address), None)

    def _wait(self, name: str, burst: int, seconds_a_try: float, now: float) -> int:
        known = self._spent.get(name)
        over = 0.0 if known is None else known.now(now, seconds_a_try) - burst + 1
        return ceil(over * seconds_a_try) if over > 0 else 0


def _of_user(user: str) -> str:
    return f"user {user[:128]}"


def _passwords(network: str) -> str:
    return f"{network} passwords"


def _network(address: str) -> str:
    """An IPv6 address' /64, which one customer of a provider has all of; anything else as it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or f"{IPv6Address(int(parsed) >> 64 << 64)}/64")
