"""README's tour is run as it is printed, against this run's stack."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli.connection import base_url
from deploy.local.stack import Stack
from tests.integration.world import World

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


def test_the_tour_works_as_it_is_written(stack: Stack, world: World) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    script = "\n".join(blocks)
    # Only where the stack is differs: its ports, its key, the programs of this environment.
    for printed, here in (
        ("http://127.0.0.1:8080", base_url(stack.settings, "gateway")),
        ("http://127.0.0.1:8081", base_url(stack.settings, "rating")),
        (".weir/admin-key", str(stack.data_dir / "admin-key")),
        (".venv/bin/weir", shlex.quote(str(Path(sys.executable).parent / "weir"))),
    ):
        assert printed in script
        script = script.replace(printed, here)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=clean | {"WEIR_DATA_DIR": str(stack.data_dir)},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 invoice published in tour" in done.stdout
    assert '"quantity":"90.5"' in done.stdout
    assert "refused by filter to.country ne" in done.stdout
    assert "no difference" in done.stdout
    assert '"amount": "12.00"' in done.stdout
    tour = World(stack.settings, "tour", world.wait)
    assert [(one["account_id"], one["total"]) for one in tour.invoices()] == [("acme", "0.46")]
