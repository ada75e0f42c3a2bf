"""A public generator makes a client of each document without a word of complaint, and all that it makes can be
imported."""

from __future__ import annotations

import importlib
import pkgutil
import typing
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


@pytest.mark.parametrize("service", ["gateway", "rating"])
def test_every_module_of_the_client_can_be_imported(clients: Path, service: str) -> None:
    with imported(clients / f"weir_{service}") as package:
        names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
        assert len(names) > 100
        for name in names:
            typing.get_type_hints(importlib.import_module(name))


def test_a_price_is_read_as_its_model(clients: Path) -> None:
    with imported(clients / "weir_gateway"):
        from weir_gateway.models import Charge, TieredPrice

        tiers = [{"up_to": "10", "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}]
        charge = Charge.from_dict({"product": "calls", "price": {"model": "tiered", "tiers": tiers}})
        assert isinstance(charge.price, TieredPrice)
        assert [tier.up_to for tier in charge.price.tiers] == ["10", None]
        assert charge.to_dict()["price"]["tiers"][0]["unit_amount"] == "1"
