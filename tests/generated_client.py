"""A client of a service, made of its OpenAPI document by a public generator, as users make theirs."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from schemas.http.scopes import Service
from tests.golden.made import FOLDER

_CONFIG = {
    "post_hooks": [],
    "literal_enums": True,
    # Lines are bytes to the generator; JSON is YAML, too.
    "content_type_overrides": {
        "application/x-ndjson": "application/octet-stream",
        "application/yaml": "application/json",
        "application/pdf": "application/octet-stream",
    },
}


def needs_generator() -> None:
    """Skips where the checkout's environment is older than its lock; CI's never is."""
    if not os.environ.get("CI"):
        pytest.importorskip("openapi_python_client", reason="`make setup` installs openapi-python-client")


def generate(service: Service, folder: Path) -> Path:
    """The package ``folder/weir_SERVICE``; raises AssertionError where the generator has anything to say about the
    document."""
    place, config = folder / f"weir_{service}", folder / f"{service}.json"
    config.write_text(json.dumps(_CONFIG))
    command = [
        str(Path(sys.executable).with_name("openapi-python-client")),
        "generate",
        "--path",
        str(FOLDER / f"openapi_{service}.json"),
        "--output-path",
        str(place),
        "--meta",
        "none",
        "--config",
        str(config),
        "--fail-on-warning",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


@contextmanager
def imported(place: Path) -> Iterator[ModuleType]:
    """The package, importable by its name meanwhile."""
    sys.path.insert(0, str(place.parent))
    try:
        yield importlib.import_module(place.name)
    finally:
        sys.path.remove(str(place.parent))
        for name in [name for name in sys.modules if name.partition(".")[0] == place.name]:
            del sys.modules[name]
