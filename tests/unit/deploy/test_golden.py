"""Ids of what exists stay byte for byte, and the services' documents change only on purpose (tests/golden)."""

from __future__ import annotations

import json

import pytest

from tests.golden.made import IDS, ids


@pytest.mark.parametrize("name", json.loads(IDS.read_text()))
def test_an_id_of_what_exists_is_what_it_was(name: str) -> None:
    now = json.loads(json.dumps(ids()))
    assert now[name] == json.loads(IDS.read_text())[name], "another id for the same thing bills or counts it twice"


def test_every_case_has_its_golden_id() -> None:
    assert ids().keys() == json.loads(IDS.read_text()).keys(), "`python -m tests.golden` adds those of new cases"
