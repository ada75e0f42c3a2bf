"""What accounts are granted, kept in memory until the catalog or time changes it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from rating.entitlements.granted import Granted
from schemas.catalog.profiles import KINDS as PROFILE_KINDS
from schemas.catalog.state import NamespaceView

_KINDS: Final = ("plan", "feature", "product", *PROFILE_KINDS)
_MOST_WEIGHT: Final = 600_000
_ACCOUNT_WEIGHT: Final = 8


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an account is granted, as long as ``known_by`` is the catalog's."""

    known_by: tuple[int, ...]
    granted: Granted

    @property
    def weight(self) -> int:
        """About the room that it takes, in grants: some 200 bytes each."""
        return _ACCOUNT_WEIGHT + sum(map(len, self.granted.grants.values()))


@dataclass(slots=True)
class _NamespaceGrants:
    """By account, the one that was used longest ago first."""

    accounts: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)
    weight: int = 0

    def put(self, account_id: str, kept: _Kept) -> None:
        """Keep it in place of what was kept of the account."""
        before = self.accounts.pop(account_id, None)
        self.weight += kept.weight - (before.weight if before is not None else 0)
        self.accounts[account_id] = kept

    def shrink(self, weight: int) -> None:
        """Let go of what was used longest ago until no more than this is left."""
        while self.weight > weight and self.accounts:
            self.weight -= self.accounts.popitem(last=False)[1].weight


class GrantBook:
    """What accounts of all namespaces are granted. ``most_weight``: of all of it; a namespace has half at most, and the
    one that has most lets go first."""

    def __init__(self, most_weight: int = _MOST_WEIGHT) -> None:
        self._most_weight = most_weight
        self._namespaces: dict[str, _NamespaceGrants] = {}

    @property
    def weight(self) -> int:
        """Of all that is kept."""
        return sum(namespace.weight for namespace in self._namespaces.values())

    def known(self, view: NamespaceView, account_id: str, now_us: int) -> Granted | None:
        """What the account has at ``now_us``; None where it has to be worked out."""
        of_namespace = self._namespaces.get(view.namespace)
        kept = of_namespace.accounts.get(account_id) if of_namespace is not None else None
        if of_namespace is None or kept is None or now_us >= kept.granted.until_us:
            return None
        if kept.known_by[0] != view.before:
            known_by = _known_by(view, account_id)
            if known_by[1:] != kept.known_by[1:]:
                return None
            of_namespace.accounts[account_id] = _Kept(known_by, kept.granted)
        of_namespace.accounts.move_to_end(account_id)
        return kept.granted

    def keep(self, view: NamespaceView, granted: Granted) -> None:
        """Keep what was worked out."""
        of_namespace = self._namespaces.setdefault(view.namespace, _NamespaceGrants())
        of_namespace.put(granted.account_id, _Kept(_known_by(view, granted.account_id), granted))
        of_namespace.shrink(self._most_weight // 2)
        while (beyond := self.weight - self._most_weight) > 0:
            largest = max(self._namespaces.values(), key=lambda namespace: namespace.weight)
            largest.shrink(largest.weight - beyond)


def _known_by(view: NamespaceView, account_id: str) -> tuple[int, ...]:
    """What decides that an account's grants are the same: the view itself; what they are made of; the newest versions
    of the account and of its subscriptions."""
    account = view.history("account", account_id)
    versions = [
        history[-1].offset for history in view.histories_referring("subscription", "account", account_id) if history
    ]
    return view.before, view.changed(*_KINDS), account[-1].offset if account else -1, *versions
