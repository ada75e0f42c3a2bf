"""The common rule of ledger topics: the first valid record wins.

A record claims a key and a version. In log order, the first claim whose version is one more than the present one (0
if there is none) is valid; all other claims to it are void for every follower. A writer learns whether it won by
reading its record back, and a record written twice counts once.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from msgspec import Struct


class Claim(Struct, frozen=True):
    """A claim of ``key`` at ``version``.

    Claims may form a chain (an account's invoices): a first version with ``chain`` is valid only if its
    ``predecessor`` is the chain's head; its key, or ``successor``, then becomes the head. A later version that
    names a ``successor`` (voiding an invoice) is subject to the same condition. ``before``: a key that must not
    exist yet (for a draft: the invoice). ``needs``: facts that must have these values, None for facts never set;
    ``sets``: facts that the claim sets.
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
        """Whether the chain's head decides about the claim."""
        return self.chain is not None and (self.version == 1 or self.successor is not None)


class ClaimState(Protocol):
    """A part of the state of the claims, by key."""

    def get(self, key: Hashable, otherwise: Any = None, /) -> Any:
        """The value of a key, or ``otherwise``."""

    def __contains__(self, key: object, /) -> bool: ...

    def __setitem__(self, key: Hashable, value: Any, /) -> None: ...


class FirstValid:
    """The state after the claims offered so far: ``versions`` of keys, ``heads`` of chains, and ``facts``. None: none
    were offered yet."""

    def __init__(
        self, versions: ClaimState | None = None, heads: ClaimState | None = None, facts: ClaimState | None = None
    ) -> None:
        self._versions: ClaimState = {} if versions is None else versions
        self._heads: ClaimState = {} if heads is None else heads
        self._facts: ClaimState = {} if facts is None else facts

    def offer(self, claim: Claim) -> bool:
        """Apply the next claim in log order; True if it is valid."""
        if not self.would_win(claim):
            return False
        self._versions[claim.key] = claim.version
        for fact, value in claim.sets:
            self._facts[fact] = value
        if claim.chained:
            self._heads[claim.chain] = claim.key if claim.successor is None else claim.successor
        return True

    def would_win(self, claim: Claim) -> bool:
        """Whether the claim would be valid if it were next in the log."""
        if claim.version != self._versions.get(claim.key, 0) + 1:
            return False
        if claim.before in self._versions or any(self._facts.get(fact) != value for fact, value in claim.needs):
            return False
        return not (claim.chained and self._heads.get(claim.chain) != claim.predecessor)

    def version(self, key: Hashable) -> int:
        """The present version of the key; 0 if there is none."""
        return int(self._versions.get(key, 0))

    def head(self, chain: Hashable) -> Hashable | None:
        """The chain's head, which its next claim must name as predecessor; None for an empty chain."""
        head: Hashable | None = self._heads.get(chain)
        return head
