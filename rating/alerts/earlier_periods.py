"""Which periods before the running ones are looked at: those in which usage changed since the last look. An event of a
period's last moments, one that comes late and a void cross their own period's thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rating.alerts.observations import Look
from rating.alerts.pending import NEVER

MOST_BACK: Final = 62
"""Periods before the running one: more days than an event may be old by default."""
MOST_LOOKS: Final = 40
"""At earlier instants after one look at the present; accounts that are left over wait for the next one."""
LookAt = Callable[[Sequence[str], int], Look]
"""Looks at accounts at an instant, microseconds UTC."""


def earlier_looks(look: Look, taken: Mapping[str, int], look_at: LookAt) -> tuple[list[Look], dict[str, int]]:
    """(looks at earlier instants, accounts that are left over, as in ``taken``). ``taken``: account → the earliest
    instant at which its usage changed. Back from the starts of what is watched now, period by period, as far as usage
    changed; of an account of which nothing is watched any more, the period in which it changed. Pure but for
    ``look_at``."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for account, first_us in taken.items():
        if first_us == NEVER:
            continue
        starts = look.starts.get(account)
        instants = [start - 1 for start in starts if first_us < start] if starts else [first_us]
        if instants:
            groups.setdefault(tuple(sorted(instants)), []).append(account)
    looks: list[Look] = []
    left_over: dict[str, int] = {}
    for begins, accounts in groups.items():
        if len(looks) >= MOST_LOOKS:
            left_over |= {account: taken[account] for account in accounts}
        else:
            looks += _walk(dict.fromkeys(begins, accounts), taken, look_at)
    return looks, left_over


def _walk(frontier: dict[int, list[str]], taken: Mapping[str, int], look_at: LookAt) -> list[Look]:
    looks: list[Look] = []
    visited: set[tuple[str, int]] = set()
    for _ in range(MOST_BACK):
        following: dict[int, list[str]] = {}
        for instant_us, accounts in sorted(frontier.items(), reverse=True):
            visited |= {(account, instant_us) for account in accounts}
            earlier = look_at(accounts, instant_us)
            looks.append(earlier)
            for account in accounts:
                for start in sorted(earlier.starts.get(account, ())):
                    if taken[account] < start and (account, start - 1) not in visited:
                        visited.add((account, start - 1))
                        following.setdefault(start - 1, []).append(account)
        if not following:
            break
        frontier = following
    return looks
