"""The demo as it runs, over the first quarter of its year: processes are killed in the middle, and every bill is
recomputed by another program. (`make demo` and `make demo-check` do the same with all twelve months.)"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.season import NAMESPACE, Season
from deploy.local.stack import Stack
from rating.verify.verification import verify
from tests.integration.world import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[3]
QUARTER = Season(months=3)
CHECKER = ROOT / "tests" / "independent" / "bills.py"


def environment(stack: Stack) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
    return clean | {"WEIR_DATA_DIR": str(stack.data_dir)}


def demo(stack: Stack) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deploy.demo", "--months", str(QUARTER.months)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(stack), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(process: subprocess.Popen[str]) -> str:
    try:
        out, err = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, err[-3000:]
    return out


def check_bills(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    months = [argument for month in range(1, QUARTER.months + 1) for argument in ("--month", str(month))]
    command = [sys.executable, str(CHECKER), "--weir", str(Path(sys.executable).parent / "weir"), *months, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(stack), capture_output=True, text=True, timeout=120, check=False
    )


def test_a_quarter_is_billed_to_the_cent_whatever_is_killed(
    stack: Stack, wait_until: Any, demo_package: Path, tmp_path: Path
) -> None:
    assert demo_package.exists()
    world = World(stack.settings, NAMESPACE, wait_until)
    process = demo(stack)

    def durable() -> int:
        assert process.poll() is None, process.communicate()
        [(count,)] = world.rows("SELECT count() FROM usage_events WHERE namespace = {n:String}")
        return int(count)

    victims = [name for name in ("worker-0", "clickhouse", "gateway") if name in stack.state().processes]
    for number, victim in enumerate(victims, 1):
        wait_until(lambda number=number: durable() > 15_000 * number, timeout=180)
        stack.wait_ready(victim, 60, not_pid=stack.kill(victim))
    out = finished(process)
    assert f"{QUARTER.invoices} invoices published" in out
    assert "in full" not in out
    assert "tier 3 (over 2500)" in out

    # Every line of every bill, by a program that shares nothing with Weir.
    checked = check_bills(stack)
    assert checked.stdout == f"{QUARTER.invoices} bills, 450 lines: equal to the cent\n", (
        checked.stdout + checked.stderr
    )
    books = world.books()
    assert books["balanced"]
    assert (books["metered"], books["unmatched"], books["conflicts"], books["refused"]) == (QUARTER.flights, 0, 0, 3)
    assert books["duplicates"] >= 1700
    assert verify(stack.settings, namespace=NAMESPACE, invoices=True) == []

    # That program does find a cent, a missing bill and a doubled one.
    invoices = world.invoices()
    invoices[0]["lines"][3]["amount"] = str(float(invoices[0]["lines"][3]["amount"]) + 0.01)
    file = tmp_path / "invoices.json"
    file.write_text(json.dumps([*invoices[:-1], invoices[1]]))
    wrong = check_bills(stack, "--invoices", str(file))
    assert wrong.returncode == 1
    for sign in (
        f"amount {invoices[0]['lines'][3]['amount']} instead of",
        "billed twice",
        "no invoice",
        "3 differences",
    ):
        assert sign in wrong.stdout

    # Run again it changes nothing, and says so.
    before = world.invoices()
    assert "nothing was changed" in finished(demo(stack))
    assert world.books() == books
    assert world.invoices() == before
