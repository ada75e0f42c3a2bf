"""The steps of a keeper of usage: what is held is brought forward to another cut, and what was measured is put to it.
Blocking, with a ClickHouse client; nothing else may change what is held meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import NO_ADVANCE, Advance, HeldCut, HeldUsage, MeasuredAsOf
from rating.entitlements.held_values import Held
from rating.entitlements.measuring import appended, voided_between, whole

log = logging.getLogger(__name__)

_RENEWED: Final = 200
"""Of what cannot be brought forward, so much is measured again at once."""
_PAUSE_SECONDS: Final = 0.001
"""While a thread works out what came, every check waits to get the interpreter back, several times; in these pauses
the event loop answers what has come meanwhile."""


def advanced(client: Any, name: str, held: HeldUsage, since: MeasuredAsOf, as_of: MeasuredAsOf) -> HeldCut:
    """What is held as of ``as_of``; of what cannot be brought forward, what was used last is measured again, and the
    rest is let go."""
    if as_of.offsets == since.offsets:
        return held.ahead(NO_ADVANCE, {}, as_of)
    rows = appended(client, name, held.profiles(), since.offsets, as_of.offsets, held.accounts())
    advance = held.after(rows, voided_between(client, name, since.offsets, as_of.offsets), as_of.now_us, _pause)
    newest = held.newest(advance.stale, _RENEWED, as_of.now_us)
    return held.ahead(advance, _measured(client, name, newest, as_of), as_of)


def joined(
    client: Any, name: str, held: HeldUsage, measured: Mapping[UsageKey, Held], since: MeasuredAsOf, again: bool
) -> HeldCut:
    """What is held, as of the same cut, with what was measured as of an earlier one, brought forward to it; ``again``:
    only what is still held."""
    as_of = held.as_of
    assert as_of is not None, "something was measured for it"
    if as_of.offsets != since.offsets:
        apart = HeldUsage()
        apart.take(apart.ahead(NO_ADVANCE, measured, since))
        apart.take(advanced(client, name, apart, since, as_of))
        measured = apart.values(as_of.now_us)
    if again:
        measured = {key: value for key, value in measured.items() if held.holds(key)}
    for key, value in measured.items():
        before = held.value(key, as_of.now_us)
        if before is not None and not before.agrees(value):
            log.error("namespace %s: usage held of account %s was not what is stored now", name, key[0])
    return held.ahead(NO_ADVANCE, measured, as_of)


def _pause() -> None:
    time.sleep(_PAUSE_SECONDS)


def let_go(held: HeldUsage, keys: Collection[UsageKey]) -> HeldCut:
    """What is held, as of the same cut, without some of it."""
    as_of = held.as_of
    assert as_of is not None, "these keys are held"
    return held.ahead(Advance((), frozenset(keys)), {}, as_of)


def _measured(client: Any, name: str, keys: list[UsageKey], as_of: MeasuredAsOf) -> dict[UsageKey, Held]:
    """The keys, measured as a whole; none of them where that fails."""
    try:
        return whole(client, name, keys, as_of) if keys else {}
    except Exception as error:  # of one account, perhaps: no other's use stays as it was for that
        log.warning("namespace %s: some usage for checks is not measured again: %s", name, error)
        return {}
