"""The one rule of every ledger topic: the first valid record wins.

A record claims a key and a version. In log order, the claim whose version follows what stands (1 where nothing does) is
the truth; every other claim is void, for ever and for every follower. So a writer knows whether it won by reading its
record back, and a record that was written twice counts once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """``key`` at ``version``. A claim that opens a key in a chain (an invoice) also says after which ``predecessor``
    it comes in ``chain``; it is valid only where that predecessor is the chain's head, which its key then is, or
    ``successor``. A later version that names a ``successor`` is held to the chain in the same way (a void invoice).

    ``before``: a key that must not stand yet (an invoice, for its drafts). ``needs``: facts of the log that must be
    just so at that moment, None for one that no claim has set; ``sets``: those that it changes.
    """

    key: Hashable
    version: int
    chain: Hashable | None = None
    predecessor: Hashable | None = None
    successor: Hashable | None = None
    before: Hashable | None = None
    needs: tuple[tuple[Hashable, Hashable | None], ...] = ()
    sets: tuple[tuple[Hashable, Hashable], ...] = ()

    @property
    def chained(self) -> bool:
        """Whether the chain decides on it."""
        return self.chain is not None and (self.version == 1 or self.successor is not None)


class FirstValid:
    """The fold: what stands after the claims offered so far."""

    def __init__(self) -> None:
        self._versions: dict[Hashable, int] = {}
        self._heads: dict[Hashable, Hashable] = {}
        self._facts: dict[Hashable, Hashable] = {}

    def offer(self, claim: Claim) -> bool:
        """Take the next claim in log order; True where it wins."""
        if not self.would_win(claim):
            return False
        self._versions[claim.key] = claim.version
        self._facts.update(claim.sets)
        if claim.chained:
            self._heads[claim.chain] = claim.key if claim.successor is None else claim.successor
        return True

    def would_win(self, claim: Claim) -> bool:
        """Whether the claim would win if it were the next in the log."""
        if claim.version != self._versions.get(claim.key, 0) + 1:
            return False
        if claim.before in self._versions or any(self._facts.get(fact) != value for fact, value in claim.needs):
            return False
        return not (claim.chained and self._heads.get(claim.chain) != claim.predecessor)

    def version(self, key: Hashable) -> int:
        """The version that stands; 0 for none."""
        return self._versions.get(key, 0)

    def head(self, chain: Hashable) -> Hashable | None:
        """What the next claim of the chain must name as its predecessor; None for an empty one."""
        return self._heads.get(chain)
