"""Ids of what exists stay byte for byte, and the services' documents change only on purpose (tests/golden)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden.made import DOCUMENTS, FOLDER, IDS, ids, text
from tests.golden.year import YEAR, golden


@pytest.mark.parametrize("name", json.loads(IDS.read_text()))
def test_an_id_of_what_exists_is_what_it_was(name: str) -> None:
    now = json.loads(json.dumps(ids()))
    assert now[name] == json.loads(IDS.read_text())[name], "another id for the same thing bills or counts it twice"


def test_every_case_has_its_golden_id() -> None:
    assert ids().keys() == json.loads(IDS.read_text()).keys(), "`python -m tests.golden` adds those of new cases"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_what_clients_were_made_from(name: str) -> None:
    previous, now = json.loads((FOLDER / name).read_text()), json.loads(text(DOCUMENTS[name]()))
    assert _enums_in_order(now) == _enums_in_order(previous), (
        f"{name} changed; where that is meant: `.venv/bin/python -m tests.golden`, and look at the difference"
    )


def _enums_in_order(document: Any) -> Any:
    """The document with the values of each enum sorted: typing may give a route the Literal of the same values that
    another module wrote in another order (findings/fastapi_enum_order_is_another_modules.sh)."""
    if isinstance(document, dict):
        return {
            key: sorted(value) if key == "enum" and isinstance(value, list) else _enums_in_order(value)
            for key, value in document.items()
        }
    return [_enums_in_order(part) for part in document] if isinstance(document, list) else document


def test_a_documents_enums_are_in_no_order() -> None:
    first, second = {"a": [{"enum": ["void", "paid"]}]}, {"a": [{"enum": ["paid", "void"]}]}
    assert _enums_in_order(first) == _enums_in_order(second) != _enums_in_order({"a": [{"enum": ["paid"]}]})


def test_the_demos_year_gives_every_topic_the_bytes_that_it_always_did() -> None:
    previous_document, now = json.loads(YEAR.read_text()), json.loads(text(golden()))
    assert now["samples"] == previous_document["samples"], (
        "where a new field is meant: `.venv/bin/python -m tests.golden --records`"
    )
    changed = [
        name for name in previous_document["records"] if now["records"].get(name) != previous_document["records"][name]
    ]
    assert not changed, (
        f"{len(changed)} records are other bytes than they were: {changed[:5]}; `.venv/bin/python "
        "-m tests.golden.year NAME`, "
        "here and in a checkout from before, prints one to compare; where all that is meant: `.venv/bin/python "
        "-m tests.golden --records`"
    )
    assert now["records"].keys() == previous_document["records"].keys(), "`python -m tests.golden` adds new ones"
