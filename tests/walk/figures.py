"""The figures of a road: stays, rooms, climbs, returns, names and turns."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise

from marks import PACKAGES
from statements import imported_by
from tracer import Reading, Tracer

Stay = tuple[str, list[str]]
"""A module, and the functions read in it one after another."""


def stays_of(road: Sequence[Reading]) -> list[Stay]:
    """The stays, each function where it is first read."""
    stays: list[Stay] = []
    for reading in dict.fromkeys(road):
        if not stays or stays[-1][0] != reading.module:
            stays.append((reading.module, []))
        stays[-1][1].append(reading.name)
    return stays


def turns_of(road: Sequence[Reading]) -> int:
    """Stays where each return to a function with statements left counts, too."""
    return sum(
        1 for before, reading in zip((None, *road), road, strict=False) if not before or before.module != reading.module
    )


def print_figures(tracer: Tracer, checkout: str) -> None:
    """Print the road's figures and its stays as JSON."""
    road = tracer.road()
    stays = stays_of(road)
    modules = [module for module, _ in stays]
    imports = imported_by(checkout, {*PACKAGES, "deploy"})
    rooms = len(set(modules))
    names = {name for reading in road for name in reading.names | reading.classes}
    figures = {
        "stays": len(stays), "rooms": rooms, "returns": len(stays) - rooms, "turns": turns_of(road),
        "climbs": sum(before in imports(module) for before, module in pairwise(modules)), "names": len(names),
    }  # fmt: skip
    json.dump({"figures": figures, "stays": stays, "names": sorted(names)}, sys.stdout)
    sys.stdout.flush()
