"""REFERENCE.md is what the models say now, and its examples are taken as they stand."""

from __future__ import annotations

from functools import cache

import pytest
from pydantic import BaseModel

from schemas.catalog.models import KINDS
from schemas.prices import parse_price, set_by_close
from schemas.prices.models import MODELS
from schemas.reference.__main__ import PLACE, SETTINGS_PLACE
from schemas.reference.examples import EXAMPLES, example_of
from schemas.reference.page import PARTS, described, page
from schemas.reference.settings_page import settings_page

INTERNAL = {"api_key", "user", "backfill"}  # made by Weir, never written by users


def test_the_page_is_what_the_models_say() -> None:
    assert PLACE.read_text(encoding="utf-8") == page(), "`make reference` writes it anew"
    assert SETTINGS_PLACE.read_text(encoding="utf-8") == settings_page(), "`make reference` writes it anew"


def test_everything_that_users_write_is_on_the_page() -> None:
    shown = {model for part in PARTS for model in part.models}
    assert {model for kind, model in KINDS.items() if kind not in INTERNAL} <= shown
    assert set(MODELS.values()) <= shown
    assert shown == EXAMPLES.keys()


@cache
def pairs() -> list[tuple[type[BaseModel], str]]:
    return list(described())


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.__name__)
def test_each_field_has_a_meaning_and_an_example(model: type[BaseModel]) -> None:
    fields = [field for described_model, field in pairs() if described_model is model]
    assert fields
    for field in fields:
        example_of(model, field)
        name = next(key for key, model_field in model.model_fields.items() if (model_field.alias or key) == field)
        assert model.model_fields[name].description or field == "model", field


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.__name__)
def test_each_example_is_taken(model: type[BaseModel]) -> None:
    for example in EXAMPLES[model]:
        model.model_validate(example)
        if model in MODELS.values():
            assert set_by_close(parse_price(example, "USD")) == ""
