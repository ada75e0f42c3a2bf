"""Profiles that look at one event name, told apart by one equality filter: CPU microseconds an event to match."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import numpy as np

from growth.fit import cpu_ms
from schemas.catalog.meters import Filter
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion
from schemas.matching.columns import ColumnMatcher, Events, Matches  # where an older checkout has them too

SIZES = (1, 50, 500)
RUN = 4_000  # events


def profile(number: int) -> ProfileVersion:
    """A sum of one model's tokens."""
    rule = Filter(property=("model",), operator="eq", value=f"model {number}")
    return ProfileVersion(
        profile_id=f"tokens.p{number}", version=1, meter="tokens", profile=f"p{number}", name="", unit="",
        event_name="call", aggregation="sum", property=("tokens",), filters=(rule,), dimensions=(), window_seconds=60,
        valid_from_us=BEGINNING, valid_to_us=FOREVER, by_text=False,
    )  # fmt: skip


def measure(size: int) -> Iterator[tuple[str, float]]:
    """One profile takes every event, many take a part each; or none takes any."""
    matcher = ColumnMatcher(profile(number) for number in range(size))
    chance = random.Random(7)
    for what, models in (("each event matches one", range(size)), ("no profile matches", (-1,))):
        properties = [
            json.dumps({"model": f"model {chance.choice(models)}", "tokens": chance.randrange(900), "x": "y" * 40})
            for _ in range(RUN)
        ]
        for run in (RUN, RUN // 20):
            yield f"{what}, {run} at once", _microseconds(matcher, properties[:run])


def _microseconds(matcher: ColumnMatcher, properties: list[str]) -> float:
    events = Events(
        np.arange(len(properties)), np.arange(len(properties)), [text.encode() for text in properties],
        lambda: properties,
    )  # fmt: skip
    return cpu_ms(lambda: matcher.match("call", events, Matches()), 15) / len(properties) * 1e3
