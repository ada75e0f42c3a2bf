"""What the producers of a chaos run send: a pure function of the seed, and of what was acknowledged before.

Beside fresh events: copies (also written differently, and through the other gateway) and conflicts. A conflict is
made only of an event that was acknowledged before, so that which of the two came first is known.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

ACCOUNTS: Final = 23
SWINGING: Final = "swing"
"""An account, and its namespace, whose usage of a day goes above a threshold and below it again and again."""
HISTORY: Final = 2_000
"""So many of its latest events a producer may copy."""

_COPIES: Final = 0.15
"""Share of the events that are copies, or contradict."""
_AGGREGATED: Final = ("sum", "count_unique", "max", "min", "latest")
CATALOG: Final[dict[str, Any]] = {
    "meters": [
        {
            "code": "call",
            "event_name": "call",
            "window": "hour",
            "profiles": [
                {"code": "count", "aggregation": "count"},
                *({"code": name, "aggregation": name, "property": ["v"]} for name in _AGGREGATED),
                {
                    "code": "abroad",
                    "aggregation": "sum",
                    "property": ["v"],
                    "filters": [{"property": ["to", "region"], "operator": "ne", "value": "eu"}],
                    "dimensions": [["to", "region"]],
                },
            ],
        },
        {"code": "ping", "event_name": "ping", "profiles": [{"code": "count", "aggregation": "count"}]},
    ]
}


class Identity(NamedTuple):
    """What makes two events copies of each other."""

    namespace: str
    source: str
    key: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as its first copy said it. ``value`` is the text of the property ``v``."""

    identity: Identity
    event_name: str
    account: str
    timestamp: datetime
    value: str
    region: str

    def document(self, *, rewritten: bool = False, value: str | None = None) -> dict[str, Any]:
        """The event as JSON; ``rewritten``: the same content in other bytes; ``value``: another content, a conflict."""
        properties: dict[str, Any] = {"v": value or self.value, "to": {"region": self.region, "n": 1}}
        if rewritten:
            properties = {"to": {"n": 1, "region": self.region}, "v": self.value}
        return {
            "event_name": self.event_name,
            "account_id": self.account,
            "idempotency_key": self.identity.key,
            "source": self.identity.source,
            "timestamp": self.timestamp.isoformat(),
            "properties": properties,
        }


@dataclass(frozen=True, slots=True)
class Batch:
    """One request. ``sent``: the event behind each document; ``conflicts`` counts those that differ from it."""

    namespace: str
    documents: Sequence[dict[str, Any]]
    sent: Sequence[Sent]
    conflicts: int

    def body(self) -> bytes:
        """As the gateway and the inbox take it."""
        return json.dumps({"events": list(self.documents)}).encode()


class Writer:
    """Makes one producer's batches; tell it with ``acknowledged`` what it may contradict. ``bases``: namespace → its
    first event time; ``conflicts``: share of the events that contradict an earlier one."""

    def __init__(self, seed: int, producer: str, bases: Mapping[str, datetime], conflicts: float) -> None:
        self._dice = random.Random(f"{seed}/{producer}")
        self._producer = producer
        self._bases = bases
        self._conflicts = conflicts
        self._number = 0
        self._history: dict[str, list[Sent]] = {namespace: [] for namespace in bases}

    def acknowledged(self, batch: Batch) -> None:
        """The batch is in Kafka."""
        history = self._history[batch.namespace]
        history += batch.sent
        del history[:-HISTORY]

    def batch(self, most: int) -> Batch:
        """The next one, of 1 to ``most`` events."""
        dice = self._dice
        namespace = dice.choice(list(self._bases))
        history = self._history[namespace]
        documents: list[dict[str, Any]] = []
        sent: dict[Identity, Sent] = {}
        conflicts = 0
        for _ in range(dice.choice((1, 5, most // 2, most))):
            what = dice.random()
            copied = bool(history) and what < _COPIES
            one = dice.choice(history) if copied else self._fresh(namespace)
            if one.identity in sent:
                continue
            sent[one.identity] = one
            if copied and what < self._conflicts:
                conflicts += 1
                documents.append(one.document(value=f"{one.value}1"))
            else:
                documents.append(one.document(rewritten=what < _COPIES / 3))
        return Batch(namespace, documents, list(sent.values()), conflicts)

    def _fresh(self, namespace: str) -> Sent:
        dice = self._dice
        self._number += 1
        digits = dice.choice((0, 2, 6, 12))
        # Whole seconds of two hours a day, so that several events of an account share the greatest timestamp.
        moment = self._bases[namespace] + timedelta(days=dice.randrange(3), seconds=dice.randrange(7200))
        return Sent(
            Identity(namespace, dice.choice(("", "", "billing")), f"{self._producer}-{self._number}"),
            dice.choices(("call", "ping", "noise"), (85, 10, 5))[0],
            f"acct_{min(dice.randrange(ACCOUNTS), dice.randrange(ACCOUNTS))}",
            moment,
            f"{dice.randrange(-50, 1000)}.{dice.randrange(10**digits):0{digits}}"
            if digits
            else str(dice.randrange(50)),
            dice.choice(("eu", "us", "ap")),
        )


class SwingWriter(Writer):
    """Events of ``SWINGING`` on one day of ``namespace``, in batches that take it just above a threshold whenever the
    last event of the batch before has been voided."""

    def __init__(self, namespace: str, day: datetime, threshold: int) -> None:
        super().__init__(0, SWINGING, {namespace: day}, 0.0)
        self.namespace = namespace
        self._day = day
        self._count = threshold

    def batch(self, most: int) -> Batch:
        """As many events as are missing to the threshold."""
        count, self._count = self._count, 1
        sent = [self._event() for _ in range(count)]
        return Batch(self.namespace, [event.document() for event in sent], sent, 0)

    def _event(self) -> Sent:
        self._number += 1
        identity = Identity(self.namespace, "", f"{SWINGING}-{self._number}")
        return Sent(identity, "call", SWINGING, self._day, "1", "eu")
