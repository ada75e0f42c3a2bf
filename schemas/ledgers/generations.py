"""Generations of usage.events: which one is written and which one is metered, derived from records on
usage.catalog. Pure.

A generation is a topic with a fixed number of partitions. Two records replace it, under the first-valid rule:

- ``sealing``: generation g accepts no more events; g + 1 will have so many partitions. Gateways then answer 503.
- ``open``: g + 1 accepts events. g ended at these offsets, one per partition, and the broker refuses further records.

Workers meter g durably to its end before they begin with g + 1, so every identity that counted in g is in the
journal before a copy in g + 1 is decided (DESIGN invariants 2 and 3 across generations).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.kafka.codec import AvroRecord
from schemas.ledgers.first_valid import Claim, FirstValid
from schemas.values.record_copy import replace

KIND: Final = "generation"
_CODE: Final = "usage.events"

Offsets = Mapping[tuple[int, int], int]
"""(generation, partition) → next offset."""


def offsets_of(record: Mapping[str, Any]) -> dict[tuple[int, int], int]:
    """The ``offsets`` of a decoded record."""
    return {(item["generation"], item["partition"]): item["next_offset"] for item in record["offsets"]}


def written_offsets(offsets: Offsets) -> list[dict[str, int]]:
    """The same as records and answers have them, in order."""
    return [
        {"generation": generation, "partition": partition, "next_offset": end}
        for (generation, partition), end in sorted(offsets.items())
    ]


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation. ``partitions`` None: the number of its topic (the first generation)."""

    number: int
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class GenerationState:
    """The state of generations.

    ``current``: None if no change was ever begun; ``following``: the generation being opened, while ``current`` is
    sealed or about to be. ``ends``: generation → end offsets of its partitions, for all sealed ones. ``carried``:
    generation → offset below which its partitions contain records carried over from the previous generation.
    """

    version: int = 0
    current: Generation | None = None
    following: Generation | None = None
    ends: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    carried: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def newest(self, configured: int) -> Generation:
        """The generation that accepts events, or did last; ``configured``: the generation that the stack began
        with."""
        return self.current or Generation(configured)

    def writable(self, configured: int) -> Generation | None:
        """The generation that accepts events; None while it is being replaced."""
        return None if self.following else self.newest(configured)

    def known(self, configured: int) -> range:
        """Numbers of all generations, oldest first."""
        return range(min([*self.ends, self.newest(configured).number]), self.newest(configured).number + 1)

    def to_meter(self, configured: int, progress: Offsets) -> int:
        """The oldest generation that is not completely metered."""
        return next(
            (number for number in self.known(configured) if not self.metered_to_its_end(number, progress)),
            self.newest(configured).number,
        )

    def metered_to_its_end(self, number: int, progress: Offsets) -> bool:
        """Whether the generation is sealed and completely metered."""
        ends = self.ends.get(number)
        return ends is not None and all(
            progress.get((number, partition), 0) >= end for partition, end in enumerate(ends)
        )


class Generations:
    """Derives the state, from ``state`` on. It is replaced as a whole, so other threads may read it."""

    def __init__(self, state: GenerationState | None = None) -> None:
        self.state = state or GenerationState()
        self._claims = FirstValid({_CODE: self.state.version})

    def apply(self, record: Mapping[str, Any]) -> bool:
        """Apply the next record in log order; False if it is void."""
        following = _after(self.state, record)
        if following is None or not self._claims.offer(Claim(_CODE, record["version"])):
            return False
        self.state = replace(following, version=record["version"])
        return True


def _after(state: GenerationState, record: Mapping[str, Any]) -> GenerationState | None:
    try:
        body = json.loads(record["body"])
        number, partitions = int(body["generation"]), int(body["partitions"])
        ends = tuple(int(end) for end in body.get("ends", ()))
        carried = tuple(int(end) for end in body.get("carried", ()))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if body.get("state") == "sealing":
        if state.following is not None or partitions < 1 or (state.current and state.current.number != number):
            return None
        return replace(state, current=state.current or Generation(number), following=Generation(number + 1, partitions))
    if body.get("state") == "open" and state.current is not None and state.following == Generation(number, partitions):
        if not ends:
            return None
        return GenerationState(
            0, state.following, None, {**state.ends, state.current.number: ends},
            {**state.carried, number: carried} if carried else state.carried,
        )  # fmt: skip
    return None


def sealing_record(state: GenerationState, configured: int, partitions: int, claim_id: str) -> AvroRecord:
    """The record that begins replacing the present generation by one with ``partitions``."""
    body = {"state": "sealing", "generation": state.newest(configured).number, "partitions": partitions}
    return _record(state.version + 1, body, claim_id)


def open_record(
    state: GenerationState, ends: tuple[int, ...], claim_id: str, carried: tuple[int, ...] = ()
) -> AvroRecord:
    """The record that opens the following generation. ``ends``: end offsets of the present one; ``carried``:
    offsets below which the new one contains records carried over."""
    assert state.following is not None, "a change was begun"
    following = {"generation": state.following.number, "partitions": state.following.partitions}
    begins = {"carried": carried} if any(carried) else {}
    return _record(state.version + 1, {"state": "open", "ends": ends} | following | begins, claim_id)


def _record(version: int, body: Mapping[str, Any], claim_id: str) -> AvroRecord:
    return {
        "namespace": "", "kind": KIND, "code": _CODE, "version": version, "retired": False, "valid_from": None,
        "body": json.dumps(body, sort_keys=True), "author": "weir generation change", "claim_id": claim_id,
    }  # fmt: skip
