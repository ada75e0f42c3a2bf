"""Walks the roads of a checkout and prints their figures; see the package's docstring."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
ROADS: Final = ("invoice", "key")
FIGURES: Final = ("stays", "rooms", "climbs", "returns", "names", "turns")


def walk(road: str, checkout: Path) -> dict[str, Any]:
    """``figures``, ``stays`` and ``names`` of a road through a checkout, by a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    run = subprocess.run(
        [sys.executable, str(HERE / f"{road}_trip.py")],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.walk", description=__doc__)
    parser.add_argument("roads", nargs="*", choices=[*ROADS, []], help="default: both")
    parser.add_argument("--checkout", type=Path, default=HERE.parents[1], help="folder of another commit's files")
    parser.add_argument("--stays", action="store_true", help="also list the stays and the names")
    options = parser.parse_args()
    for road in options.roads or ROADS:
        walked = walk(road, options.checkout.resolve())
        print(f"{road:8}", ", ".join(f"{name} {walked['figures'][name]}" for name in FIGURES))
        if options.stays:
            for number, (module, functions) in enumerate(walked["stays"], 1):
                print(f"{number:4} {module:52} {', '.join(functions)}")
            print(f"     {' '.join(walked['names'])}")


if __name__ == "__main__":
    main()
