"""What the image installs, how it asks whether its process is well, and a compose file that fits both."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.image.health_check import LIVE, address
from deploy.image.runtime_lock import entries, needed, runtime_lock, runtime_names
from deploy.image.trial import COMPOSE, PORTS, adapted
from deploy.release.__main__ import required_names
from deploy.release.bill_of_materials import locked_packages, shipped
from schemas.settings import Settings

ROOT = Path(__file__).parents[4]
LOCK = (ROOT / "deploy" / "requirements.lock").read_text("utf8")
DIRECT = runtime_names((ROOT / "pyproject.toml").read_text("utf8"))
COMPOSED = yaml.safe_load(COMPOSE.read_text("utf8"))
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf8")
WEIR = ("init", *PORTS)


def test_the_image_has_what_installed_packages_say_they_need_and_no_engine() -> None:
    locked = {package.name for package in locked_packages(LOCK)}
    by_metadata = shipped(DIRECT, {name: required_names(name) for name in locked}) & locked
    assert needed(entries(LOCK), DIRECT) == by_metadata
    assert not {"chdb", "pandas", "pytest", "mypy"} & by_metadata


def test_every_package_of_the_image_has_its_version_and_hashes() -> None:
    packages = locked_packages(runtime_lock(LOCK, DIRECT))
    assert len(packages) > 50
    assert all(package.hashes for package in packages)
    [alone] = locked_packages(runtime_lock(LOCK, ["setuptools"]))
    assert alone.name == "setuptools"


def test_a_package_comes_with_those_that_are_locked_because_of_it() -> None:
    head = "a==1 \\\n    --hash=sha256:0\n    # via weir (pyproject.toml)\n"
    middle = "b==2\n    # via\n    #   a\n    #   c\n"
    lock = f"{head}{middle}c==3\nd==4\n    # via b\n"
    assert needed(entries(lock), ["A"]) == {"a", "b", "d"}
    assert runtime_lock(lock, ["c"]) == lock.removeprefix(head)


@pytest.mark.parametrize(
    ("command", "environment", "url"),
    [
        (["python3", "-m", "ingest.gateway"], {}, "http://127.0.0.1:8080/healthz"),
        (["docker-init", "--", "python3", "-m", "rating.service"], {"WEIR_RATING_PORT": "81"}, "http://127.0.0.1:81/healthz"),
        (["python3", "-m", "stream_processors.worker", ""], {"WEIR_WORKER_WEB_PORT": ""}, "http://127.0.0.1:6066/metrics"),
        (["python3", "-m", "rating.scheduler", "--once"], {}, None),
        (["weir", "init"], {}, None),
    ],
)  # fmt: skip
def test_the_health_check_asks_the_process_that_the_container_runs(
    command: list[str], environment: dict[str, str], url: str | None
) -> None:
    assert address(command, environment) == url


def test_the_health_check_has_the_settings_ports() -> None:
    for variable, port, _ in LIVE.values():
        assert Settings.model_fields[variable.removeprefix("WEIR_").lower()].default == port


def test_the_compose_file_runs_every_process_as_the_image_expects() -> None:
    commands = {name: COMPOSED["services"][name]["command"] for name in WEIR}
    assert commands.pop("init") == ["weir", "init"]
    assert {command[-1] for command in commands.values()} == set(LIVE)
    fields = {f"WEIR_{field.upper()}" for field in Settings.model_fields}
    for name in WEIR:
        service = COMPOSED["services"][name]
        assert {key for key in service["environment"] if key.startswith("WEIR_")} <= fields
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert set(re.findall(r"WEIR_[A-Z_]+(?==)", DOCKERFILE)) <= fields


def test_every_image_of_the_compose_file_is_a_setting_and_pinned() -> None:
    images = {service["image"] for service in COMPOSED["services"].values()}
    assert len(images) == 5
    assert all(re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[\w./-]+:v?\d[\w.]*\}", image) for image in images)


def test_the_trial_changes_no_more_than_network_ports_and_stores() -> None:
    ports = {name: 1000 + number for number, name in enumerate(PORTS)}
    trial: dict[str, Any] = adapted(COMPOSED, ports)["services"]
    assert set(trial) == {"kafka", "clickhouse", *WEIR}
    assert trial["rating"]["command"] == COMPOSED["services"]["rating"]["command"]
    assert trial["rating"]["environment"]["WEIR_RATING_PORT"] == str(ports["rating"])
    assert all(service["network_mode"] == "host" and "ports" not in service for service in trial.values())
