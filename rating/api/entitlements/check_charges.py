"""From grants to what has to be measured for them, by the profiles and products of a namespace's catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rating.entitlements.decision import RESERVABLE
from rating.entitlements.granted import Grant, Granted, billed_ends_matter, granted_to
from rating.entitlements.questions import (
    MOST_KNOWN,
    Asked,
    KnownQuestions,
    LimitQuestion,
    asked_soon,
    questions_of,
    turn_soon,
)
from rating.invoicing.charges import ChargeBook
from rating.subscriptions.timeline import PlanningError
from schemas.catalog.profiles import KINDS as PROFILE_KINDS
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import NamespaceView

_MOST_TURNS: Final = 50_000
_MOST_GRANTED: Final = 200


@dataclass(frozen=True, slots=True)
class Turns:
    """Of all namespaces of a process. ``looked_at``: namespace, account, feature, subscription and instant of turns of
    which it was said what they will ask for; ``granted``: by namespace, account and instant, what some have from then
    on."""

    looked_at: set[tuple[str, str, str, str, int]] = field(default_factory=set)
    granted: dict[tuple[str, str, int], Granted] = field(default_factory=dict)


class CheckCharges:
    """What questions of a catalog are made of; kept with the catalog."""

    def __init__(self, view: NamespaceView, turns: Turns) -> None:
        self._view = view
        self._book = _book(view)
        self._turns = turns
        self._versions = _versions(view)
        self._known = _known_questions(view)

    def limits(self, grant: Grant, time_zone: str, now_us: int) -> tuple[LimitQuestion, ...] | str:
        """The limits of a grant as questions, () where it is not metered; why it cannot be told."""
        address = grant.feature.profile
        if address is None:
            return ()
        of_profile = self._versions.get(address)
        if of_profile is None:
            return (
                f"feature {grant.feature.code}: there is no profile {address}; publish its meter, or mend the feature"
            )
        try:
            return questions_of(self._book, of_profile, grant, time_zone, now_us, self._known)
        except PlanningError as error:
            return str(error)

    def reservable(self, granted: Granted) -> tuple[tuple[str, str], ...]:
        """(feature, its profile's id) of what an account is granted, where quantities can be set apart."""
        addresses = ((code, grants[0].feature.profile) for code, grants in granted.grants.items())
        of_features = ((code, self._versions.get(address)) for code, address in addresses if address is not None)
        return tuple(
            (code, versions[-1].profile_id)
            for code, versions in of_features
            if versions and versions[-1].aggregation in RESERVABLE
        )

    def soon(self, granted: Granted, grant: Grant, questions: Sequence[LimitQuestion], now_us: int) -> Sequence[Asked]:
        """What its limits will ask for at a turn that is near; once for each turn."""
        turn_us, of_profile = turn_soon(questions, now_us), self._versions.get(grant.feature.profile or "")
        if turn_us is None or of_profile is None:
            return ()
        account_id, feature = granted.account_id, grant.feature.code
        turn = self._view.namespace, account_id, feature, grant.line.subscription, turn_us
        if turn in self._turns.looked_at:
            return ()
        if len(self._turns.looked_at) >= _MOST_TURNS:
            self._turns.looked_at.clear()
        self._turns.looked_at.add(turn)
        then = self._at_turn(granted, grant, turn_us)
        return asked_soon(self._book, of_profile, then, granted.time_zone, turn_us, self._known)

    def _at_turn(self, granted: Granted, grant: Grant, turn_us: int) -> Grant:
        """The grant as it is at a turn; as it is now, where its period goes on or what is billed has to be asked."""
        if turn_us < grant.span.end_us or billed_ends_matter(self._view, granted.account_id):
            return grant
        turn, known = (self._view.namespace, granted.account_id, turn_us), self._turns.granted
        then = known.get(turn)
        if then is None:
            if len(known) >= _MOST_GRANTED:
                known.clear()
            then = known[turn] = granted_to(self._view, granted.account_id, turn_us)
        subscription = grant.line.subscription
        of_feature = then.grants.get(grant.feature.code, ())
        return next((other for other in of_feature if other.line.subscription == subscription), grant)


def _book(view: NamespaceView) -> ChargeBook:
    def make() -> tuple[ChargeBook, int]:
        return ChargeBook(view), len(profile_versions(view)) + 1

    return view.derived("charges of entitlements", ("product", *PROFILE_KINDS), make)


def _known_questions(view: NamespaceView) -> KnownQuestions:
    return view.derived("questions of limits", PROFILE_KINDS, lambda: (KnownQuestions(), MOST_KNOWN))


def _versions(view: NamespaceView) -> Mapping[str, tuple[ProfileVersion, ...]]:
    """Profile address → its versions, oldest first; a meter of one profile also by its own code."""

    def make() -> tuple[Mapping[str, tuple[ProfileVersion, ...]], int]:
        by_id: dict[str, tuple[ProfileVersion, ...]] = {}
        by_meter: dict[str, set[str]] = {}
        for version in profile_versions(view):
            by_id[version.profile_id] = (*by_id.get(version.profile_id, ()), version)
            by_meter.setdefault(version.meter, set()).add(version.profile_id)
        alone = [(meter, *ids) for meter, ids in by_meter.items() if len(ids) == 1]
        addresses = by_id | {meter: by_id[profile_id] for meter, profile_id in alone}
        return addresses, 2 * len(by_id) + 1

    return view.derived("profiles by address", PROFILE_KINDS, make)
