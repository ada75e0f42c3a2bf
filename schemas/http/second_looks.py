"""Second looks: a request that misses what another process may have published a moment before is looked at once more,
as soon as the catalog is as recent as the request.

A catalog follows its topic by a fraction of a second. Waits are bounded in rate, so whoever asks again and again for
what there is not is answered at once, and a wrong key is looked for once.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.http.api_keys import Denied, key_hash

PAUSE_SECONDS: Final = 0.02
PAUSES: Final = 100
BURST: Final = 20
"""Waits that a tenant may begin at once; all wrong keys together are one tenant."""
A_SECOND: Final = 2
"""Waits of a tenant that become possible again in a second."""
REMEMBERED: Final = 10_000
"""Tenants and wrong keys that are remembered."""

_NOBODY: Final = ""


class SecondLooks:
    """Waits for the catalog of one process, for one event loop. ``reached(moment)``: whether all that was published
    before ``moment`` (monotonic) is known; if not, it soon will be."""

    def __init__(
        self,
        reached: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reached = reached
        self._clock = clock
        self._pause = pause
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tenant → waits that were left to it, and when."""
        self._wrong_keys: OrderedDict[str, None] = OrderedDict()

    async def due(self, tenant: str) -> bool:
        """Whether to look again at what ``tenant`` was refused: once all that was published before now is known. False
        where that takes two seconds, and at once where the tenant has waited too often."""
        now = self._clock()
        if not self._may_wait(tenant, now):
            return False
        for _ in range(PAUSES):
            if self._reached(now):
                return True
            await self._pause(PAUSE_SECONDS)
        return False

    async def due_for_key(self, denied: Denied, credentials: str) -> bool:
        """Whether to check ``credentials`` again, which were denied; once for each that stay wrong. An unknown key and
        a wrong secret take the same time."""
        digest = key_hash(credentials)
        if not denied.look_again or digest in self._wrong_keys or not await self.due(_NOBODY):
            return False
        self._wrong_keys[digest] = None  # whoever is let in now is not denied again
        while len(self._wrong_keys) > REMEMBERED:
            self._wrong_keys.popitem(last=False)
        return True

    def _may_wait(self, tenant: str, now: float) -> bool:
        left, since = self._left.pop(tenant, (float(BURST), now))
        left = min(float(BURST), left + (now - since) * A_SECOND)
        may = left >= 1
        self._left[tenant] = (left - 1 if may else left), now
        while len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return may
