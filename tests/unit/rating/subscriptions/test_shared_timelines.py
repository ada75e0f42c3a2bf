"""Timelines of all subscriptions together are those of each by itself, whatever they have alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.subscriptions.shared_timelines import timelines
from rating.subscriptions.timeline import PlanningError, Timeline, timeline_of
from schemas.catalog.base import STORED, Model
from schemas.catalog.models import KINDS
from schemas.catalog.state import Catalog, NamespaceView
from schemas.catalog.stored.model_shapes import ModelShapes
from schemas.values.json_text import to_json
from tests.unit.rating.builders import PLAN

_DATES = ("2013-01-01", "2013-01-01T00:00:00Z", "2013-01-15T12:00:00.000001Z", "2013-02-01T00:00:00+01:00")
_WRONG = st.sampled_from(["", "no code", "\x00", 7, None, "2013-13-01", [1]])

_bodies = st.fixed_dictionaries(
    {
        "code": st.sampled_from(["a", "b", "c"]),
        "account": st.sampled_from(["acme", "nobody", "east"]),
        "plan": st.sampled_from(["basic", "basic", "pro", "none"]),
        "start": st.sampled_from(_DATES),
    },
    optional={
        "plan_version": st.sampled_from([None, 1, 2, True, 1.0]),
        "end": st.sampled_from([None, *_DATES]),
        "billing_anchor": st.sampled_from([None, "2013-01-31"]),
        "change_at": st.sampled_from([None, "2013-03-01"]),
        "trial_end": st.sampled_from([None, "2013-01-10", "2013-01-10T00:00:00Z"]),
        "minimum_commitment": st.sampled_from([None, "1", "1.0"]),
        "overrides": st.sampled_from([[], [{"charge": "fee", "price": {"model": "flat", "amount": "3"}}]]),
        "discounts": st.sampled_from([[], [{"code": "ten", "percent": "10"}]]),
        "account_of_old": st.just(""),
    },
)
_damage = st.none() | st.tuples(st.sampled_from(["code", "account", "plan", "start", "end", "trial_end"]), _WRONG)


def _view(bodies: list[tuple[dict[str, Any], tuple[str, Any] | None, bool]]) -> NamespaceView:
    catalog = Catalog()
    plans = [PLAN, PLAN | {"code": "pro", "trial_days": 14}, PLAN | {"name": "dearer"}]
    stored: list[tuple[str, str, dict[str, Any], bool]] = [("plan", plan["code"], plan, False) for plan in plans]
    stored += [("account", "acme", {"code": "acme", "time_zone": "America/New_York"}, False)]
    stored += [("account", "east", {"code": "east", "time_zone": 7}, False)]
    for body, damage, retired in bodies:
        stored.append(("subscription", body["code"], body if damage is None else body | dict([damage]), retired))
    stored.insert(3, stored.pop(2))  # one version of a plan comes after an account
    versions: dict[tuple[str, str], int] = {}
    for offset, (kind, code, body, retired) in enumerate(stored):
        version = versions[kind, code] = versions.get((kind, code), 0) + 1
        record = {
            "namespace": "n", "kind": kind, "code": code, "version": version, "retired": retired, "valid_from": None,
            "body": to_json(body), "author": "", "claim_id": str(offset),
        }  # fmt: skip
        assert catalog.apply(record, offset, offset) is not None
    return catalog.view("n")


def _each(view: NamespaceView) -> tuple[list[Timeline], list[str]]:
    lines: list[Timeline] = []
    problems: list[str] = []
    for versions in view.histories("subscription"):
        for version in versions:
            version.__dict__["model"] = _Unread(version.kind, version.body)
        try:
            line = timeline_of(view, versions)
        except PlanningError as error:
            problems.append(str(error))
        except ValueError as error:
            problems.append(f"subscription {versions[-1].code}: {error}")
        else:
            lines += [line] if line is not None else []
    return lines, problems


class _Unread:
    """A model that is validated whole, where it is first looked at."""

    def __init__(self, kind: str, body: Any) -> None:
        self._kind, self._body = kind, body

    def __getattr__(self, name: str) -> Any:
        return getattr(KINDS[self._kind].model_validate(self._body, context=STORED), name)


@given(st.lists(st.tuples(_bodies, _damage, st.booleans()), max_size=8))
def test_timelines_of_all_are_those_of_each(
    bodies: list[tuple[dict[str, Any], tuple[str, Any] | None, bool]],
) -> None:
    problems: list[str] = []
    lines = timelines(_view(bodies), problems)
    assert (list(lines), problems) == _each(_view(bodies))


def test_equal_terms_share_their_segments() -> None:
    bodies = [{"code": code, "account": "acme", "plan": "basic", "start": "2013-01-01"} for code in "abc"]
    first, second, third = timelines(_view([(body, None, False) for body in bodies]), [])
    assert first.segments is second.segments is third.segments


@given(st.lists(st.tuples(_bodies, _damage), max_size=6))
def test_a_stored_body_is_the_model_that_it_is_by_itself(
    bodies: list[tuple[dict[str, Any], tuple[str, Any] | None]],
) -> None:
    shapes = ModelShapes(most=2)
    for body, damage in bodies:
        stored = body if damage is None else body | dict([damage])
        assert _read(shapes.model, stored) == _read(_whole, stored)


def _whole(kind: str, body: Mapping[str, Any]) -> Model:
    return KINDS[kind].model_validate(body, context=STORED)


def _read(reader: Callable[[str, Mapping[str, Any]], Model], stored: Mapping[str, Any]) -> tuple[Any, ...]:
    try:
        model = reader("subscription", stored)
    except ValueError as error:
        return type(error), str(error)
    return model, model.model_dump_json(), model.model_fields_set
