"""A public generator makes a client of each document without a word of complaint, and what it makes is sound Python by
its types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.generated_client import generate, imported, needs_generator


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_generator()
    folder = tmp_path_factory.mktemp("clients")
    for service in ("gateway", "rating"):
        generate(service, folder)
    return folder


def test_the_clients_types_hold(clients: Path) -> None:
    # Generator 0.29 asks isinstance(body, list[…]) of an operation one of whose media types is a list
    # (findings/openapi_client_list_body_never_sends.sh).
    (clients / "mypy.ini").write_text(
        "[mypy]\nstrict = True\n[mypy-weir_gateway.api.events.send_foreign_events]\nignore_errors = True\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "weir_gateway", "weir_rating"]
    done = subprocess.run(command, cwd=clients, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_price_is_read_as_its_model(clients: Path) -> None:
    with imported(clients / "weir_gateway"):
        from weir_gateway.models import Charge, TieredPrice

        tiers = [{"up_to": "10", "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}]
        charge = Charge.from_dict({"product": "calls", "price": {"model": "tiered", "tiers": tiers}})
        assert isinstance(charge.price, TieredPrice)
        assert [tier.up_to for tier in charge.price.tiers] == ["10", None]
        assert charge.to_dict()["price"]["tiers"][0]["unit_amount"] == "1"
