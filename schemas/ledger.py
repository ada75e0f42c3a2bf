"""The one rule of every ledger topic: the first valid record wins.

A record claims a key and a version. In log order, the claim whose version follows what stands (1 where nothing does) is the
truth; every other claim is void, for ever and for every follower. So a writer knows whether it won by reading its
record back, and a record that was written twice counts once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """``key`` at ``version``. A claim that opens a key in a chain (an invoice) also says after which ``predecessor``
    it comes in ``chain``; it is valid only where that predecessor is the chain's head."""

    key: Hashable
    version: int
    chain: Hashable | None = None
    predecessor: Hashable | None = None


class FirstValid:
    """The fold: what stands after the claims offered so far."""

    def __init__(self) -> None:
        self._versions: dict[Hashable, int] = {}
        self._heads: dict[Hashable, Hashable] = {}

    def offer(self, claim: Claim) -> bool:
        """Take the next claim in log order; True where it wins."""
        if not self.would_win(claim):
            return False
        self._versions[claim.key] = claim.version
        if claim.chain is not None and claim.version == 1:
            self._heads[claim.chain] = claim.key
        return True

    def would_win(self, claim: Claim) -> bool:
        """Whether the claim would win if it were the next in the log."""
        if claim.version != self._versions.get(claim.key, 0) + 1:
            return False
        return not (
            claim.chain is not None and claim.version == 1 and self._heads.get(claim.chain) != claim.predecessor
        )

    def version(self, key: Hashable) -> int:
        """The version that stands; 0 for none."""
        return self._versions.get(key, 0)

    def head(self, chain: Hashable) -> Hashable | None:
        """The key that came last into the chain; None for an empty one."""
        return self._heads.get(chain)
