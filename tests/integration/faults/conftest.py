"""The stack of a file with tests of faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Waiting
from tests.integration.faults.fault_rig import Rig


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, wait_until: Waiting) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("faults"), wait_until)
    yield made
    made.stack.stop()
    made.clickhouse.stop()
