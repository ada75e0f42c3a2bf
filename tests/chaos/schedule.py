"""Which faults strike, in which order and for how long: a pure function of the seed.

A schedule is a sequence of rounds. The faults of a round overlap; the next round begins when the stack has recovered
from all of them. The cards of ``DECK`` are dealt in two parts, each whole and
shuffled, before they are dealt again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["kill", "restart", "freeze", "hang", "refuse", "stall", "cut", "deafen"]
PATH: Final = "clickhouse path"
"""The target of faults on the way between the workers and ClickHouse (``faulty/proxy.py``)."""

# One of each, and what has hurt most elsewhere, first: the short run ends after these.
_FIRST: Final[tuple[tuple[Kind, str], ...]] = (
    ("kill", "worker"), ("kill", "gateway"), ("kill", "clickhouse"), ("kill", "kafka"), ("kill", "rating"),
    ("kill", "webhooks"),
    ("freeze", "worker"), ("freeze", "gateway"), ("restart", "kafka"),
    ("refuse", PATH), ("stall", PATH), ("cut", PATH), ("deafen", PATH),
)  # fmt: skip
_LATER: Final[tuple[tuple[Kind, str], ...]] = (
    ("kill", "worker"), ("freeze", "worker"), ("hang", "worker"), ("freeze", "clickhouse"), ("freeze", "kafka"),
    ("restart", "worker"), ("restart", "gateway"), ("restart", "clickhouse"), ("restart", "rating"),
)  # fmt: skip
DECK: Final = _FIRST + _LATER
SHORT: Final = len(_FIRST)
"""Faults of the short run: one of each kind."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``target`` is a process or ``PATH``; it begins ``after`` seconds into its round and lasts ``seconds`` (0: an
    instant)."""

    kind: Kind
    target: str
    after: float
    seconds: float

    @property
    def label(self) -> str:
        """The fault's row in the table: processes of a kind count together."""
        if self.kind == "hang":
            return "consumer stops silently"
        names = {"kill": "kill -9", "restart": "restart", "freeze": "SIGSTOP"}
        if self.target == PATH:
            return {"refuse": "ClickHouse refuses", "stall": "ClickHouse stalls", "cut": "inserts cut half-way"}.get(
                self.kind, "insert's answer lost"
            )
        return f"{names[self.kind]} {self.target.partition('-')[0]}"


Round = tuple[Fault, ...]


def schedule(seed: int, faults: int, *, workers: int, gateways: int, session_timeout: float) -> list[Round]:
    """So many faults, in rounds of one to three with different targets. Freezes of a worker outlast
    ``session_timeout``."""
    dice = random.Random(seed)
    rounds: list[Round] = []
    left, cards = faults, _FIRST
    while left:
        # Those on the path first: there can be one in a round, and no round is to be spent on it alone.
        waiting = sorted(dice.sample(cards, len(cards)), key=lambda card: card[1] != PATH)
        cards = _LATER if cards is _FIRST else _FIRST
        while waiting and left:
            struck: list[Fault] = []
            for _ in range(min(left, 3)):
                card = next((card for card in waiting if _targets(card[1], struck, workers, gateways)), None)
                if card is None:
                    break
                waiting.remove(card)
                target = dice.choice(_targets(card[1], struck, workers, gateways))
                after = round(dice.uniform(0.0, 1.5), 3) if struck else 0.0
                struck.append(Fault(card[0], target, after, _seconds(*card, dice, session_timeout)))
            rounds.append(tuple(sorted(struck, key=lambda fault: fault.after)))
            left -= len(struck)
    return rounds


def _targets(role: str, struck: list[Fault], workers: int, gateways: int) -> list[str]:
    names = {
        "worker": [f"worker-{index}" for index in range(workers)],
        "gateway": [f"gateway-{index}" if index else "gateway" for index in range(gateways)],
    }.get(role, [role])
    return [name for name in names if all(fault.target != name for fault in struck)]


def _seconds(kind: Kind, role: str, dice: random.Random, session_timeout: float) -> float:
    if kind in ("kill", "restart", "hang"):
        return 0.0
    if (kind, role) == ("freeze", "worker"):
        return round(session_timeout + dice.uniform(0.7, 2.0), 3)
    return round(dice.uniform(1.0, 3.5), 3)
