"""A short chaos run on a stack of its own: one fault of each kind, with everything counted once at the end (``make
chaos`` is longer)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.schedule import SHORT

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(1200)
def test_one_fault_of_each_kind_loses_and_doubles_nothing(tmp_path: Path) -> None:
    told = tmp_path / "report.json"
    # A process of its own: killed at the limit, it takes the whole stack with it. (Idle, it takes a minute.)
    command = [sys.executable, "-m", "tests.chaos", "--faults", str(SHORT), "--seed", "1", "--json", str(told)]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "stack")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1170,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    report = json.loads(told.read_text())
    verdict = report["verdict"]
    assert (verdict["lost"], verdict["double"], verdict["foreign"]) == (0, 0, 0)
    assert (verdict["differences"], verdict["imbalances"], verdict["verify"]) == ([], [], [])
    # That it was under fire indeed.
    assert report["faults"] == sum(kind["count"] for kind in report["kinds"]) == SHORT == len(report["kinds"])
    assert verdict["events"] > 1000
    assert verdict["totals"] > 100
    alerts = verdict["alerts"]
    assert (alerts["wrong"], alerts["fired"] > 50) == ([], True)
    assert min(alerts["recovered"], alerts["anew"]) > 0
    assert (
        min(
            verdict["duplicates"],
            verdict["conflicts"],
            verdict["voided"],
            report["proxy_hits"],
            report["checkpoints"],
            report["acknowledgements"],
        )
        > 0
    )
