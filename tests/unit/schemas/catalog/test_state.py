"""The catalog's fold, its views, and the spans of profile versions in event time."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.meters import Meter
from schemas.catalog.models import Plan
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion, profile_versions, resolve
from schemas.catalog.state import DEFAULT_NAMESPACE, Catalog, Entry, NamespaceView, entry_of, record_of


def meter(*filters: str, code: str = "m", profiles: tuple[str, ...] = ("p",), name: str = "", **extra: Any) -> Meter:
    return Meter.model_validate(
        {
            "code": code,
            "name": name,
            "filters": [{"property": "f", "operator": "eq", "value": value} for value in filters],
            "profiles": [{"code": profile, "name": name, "aggregation": "count"} for profile in profiles],
            **extra,
        }
    )


def record(model: Any, version: int, *, kind: str = "meter", namespace: str = "ns", **extra: Any) -> dict[str, Any]:
    return record_of(namespace, model, kind=kind, version=version, author="me", claim_id=f"c{version}", **extra)


def published(*records: dict[str, Any]) -> Catalog:
    """A catalog whose record at offset n was appended at instant 100 × n."""
    catalog = Catalog()
    for offset, item in enumerate(records):
        catalog.apply(item, offset, offset * 100)
    return catalog


def spans(view: NamespaceView) -> list[tuple[str, int, int, int]]:
    return [(v.profile_id, v.version, v.valid_from_us, v.valid_to_us) for v in profile_versions(view)]


def test_versions_follow_each_other_in_event_time() -> None:
    catalog = published(record(meter(), 1), record(meter("a"), 2), record(meter("b"), 3, valid_from_us=777))
    assert spans(catalog.view("ns")) == [
        ("m.p", 1, BEGINNING, 100), ("m.p", 2, 100, 777), ("m.p", 3, 777, FOREVER),
    ]  # fmt: skip


def test_a_rename_makes_no_new_version() -> None:
    catalog = published(record(meter("a"), 1), record(meter("a", name="New", unit="km"), 2))
    (version,) = profile_versions(catalog.view("ns"))
    assert (version.version, version.name, version.unit) == (1, "New", "km")
    assert (version.valid_from_us, version.valid_to_us) == (BEGINNING, FOREVER)
    (previous_profile_versions,) = profile_versions(catalog.view("ns", 1))
    assert previous_profile_versions.name == "p"


def test_retired_and_created_again_leaves_a_gap() -> None:
    catalog = published(record(meter(), 1), record(meter(), 2, retired=True), record(meter(), 3))
    assert spans(catalog.view("ns")) == [("m.p", 1, BEGINNING, 100), ("m.p", 3, 200, FOREVER)]
    assert catalog.view("ns", 2).get("meter", "m") is None
    assert catalog.view("ns", 2).version("meter", "m", 1) is not None


def test_a_profile_that_comes_later_is_valid_from_the_beginning_and_one_that_goes_ends() -> None:
    catalog = published(
        record(meter(profiles=("p",)), 1), record(meter(profiles=("p", "q")), 2), record(meter(profiles=("q",)), 3)
    )
    assert spans(catalog.view("ns")) == [("m.p", 1, BEGINNING, 200), ("m.q", 2, BEGINNING, FOREVER)]


def test_a_version_may_reach_back_over_several_predecessors() -> None:
    catalog = published(record(meter(), 1), record(meter("a"), 2), record(meter("b"), 3, valid_from_us=50))
    assert spans(catalog.view("ns")) == [("m.p", 1, BEGINNING, 50), ("m.p", 2, 100, 100), ("m.p", 3, 50, FOREVER)]
    repeated_published = published(
        record(meter(), 1), record(meter(), 2, retired=True), record(meter(), 3, valid_from_us=40)
    )
    assert spans(repeated_published.view("ns")) == [("m.p", 1, BEGINNING, 40), ("m.p", 3, 40, FOREVER)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b"]),
        st.sampled_from([("p",), ("q",), ("p", "q")]),
        st.booleans(),
        st.one_of(st.none(), st.integers(-50, 900)),
        st.sampled_from(["", "New"]),
    ),
    min_size=1,
    max_size=7,
)


def records_of(steps: list[Any]) -> list[dict[str, Any]]:
    return [
        record(
            meter(*([text] if text else []), profiles=profiles, name=name),
            number,
            retired=retired and number > 1,
            valid_from_us=begins,
        )
        for number, (text, profiles, retired, begins, name) in enumerate(steps, 1)
    ]


@given(STEPS)
def test_no_instant_is_ever_under_two_versions_of_a_profile(steps: list[Any]) -> None:
    result = profile_versions(published(*records_of(steps)).view("ns"))
    edges = sorted({edge for version in result for edge in (version.valid_from_us, version.valid_to_us)} | {0, 10**6})
    for instant in [edge + shift for edge in edges for shift in (-1, 0)]:
        for profile in ("m.p", "m.q"):
            valid = [v for v in result if v.profile_id == profile and v.valid_from_us <= instant < v.valid_to_us]
            assert len(valid) <= 1
    assert all(version.valid_from_us <= version.valid_to_us for version in result)


@given(STEPS)
def test_without_retirement_the_spans_tile_all_of_time(steps: list[Any]) -> None:
    stored = [
        (text, ("p",), False, begins if number else None, name)
        for number, (text, _, _, begins, name) in enumerate(steps)
    ]
    item = [
        version
        for version in profile_versions(published(*records_of(stored)).view("ns"))
        if version.valid_from_us < version.valid_to_us
    ]
    item.sort(key=lambda version: version.valid_from_us)
    assert item[0].valid_from_us == BEGINNING
    assert item[-1].valid_to_us == FOREVER
    assert all(result.valid_to_us == second_item.valid_from_us for result, second_item in itertools.pairwise(item))


@given(STEPS)
def test_a_view_never_changes_while_later_entries_are_applied(steps: list[Any]) -> None:
    records = records_of(steps)
    catalog = Catalog()
    observed: list[tuple[NamespaceView, list[Entry], tuple[ProfileVersion, ...]]] = []

    def look(view: NamespaceView) -> tuple[list[Entry], tuple[ProfileVersion, ...]]:
        return view.all("meter"), profile_versions(view)

    for offset, item in enumerate(records):
        view = catalog.view("ns")
        observed.append((view, *look(view)))
        catalog.apply(item, offset, offset * 100)
        catalog.apply(record(meter(), 1, namespace="other"), offset, 0)
        for number, (held, *previous) in enumerate(observed):
            assert list(look(held)) == previous
            assert list(look(catalog.view("ns", number))) == previous
    # Whoever reads the whole log first sees the same for every offset.
    fresh = published(*records)
    assert [list(look(fresh.view("ns", offset))) for offset in range(len(observed))] == [
        remaining for _, *remaining in observed
    ]


def test_claims_first_wins_and_void_records_leave_no_trace() -> None:
    catalog = published(
        record(meter(), 2),
        record(meter(), 1),
        record(meter("late"), 1),
        record(meter("a"), 2),
        record(meter(), 1, kind="nonsense"),
    )
    view = catalog.view("ns")
    assert [(entry.version, entry.offset) for entry in view.history("meter", "m")] == [(1, 1), (2, 3)]
    assert catalog.next_offset == 5
    assert catalog.apply(record(meter("b"), 3), 2, 0) is None


@pytest.mark.parametrize("body", ["{", "[1]", "5", "null"])
def test_an_unreadable_body_claims_nothing(body: str) -> None:
    catalog = published(record(meter(), 1))
    broken = record(meter(), 2) | {"body": body}
    try:
        assert catalog.apply(broken, 1, 0) is None
    except ValueError:
        catalog.skip_to(2)
    entry = catalog.apply(record(meter("a"), 2), 2, 0)
    assert entry is not None
    assert catalog.view("ns").version("meter", "m", 2) == entry


def test_namespaces_never_see_each_other() -> None:
    namespace = {"code": "box", "sandbox": True, "max_event_age_seconds": None}
    catalog = published(record(meter(), 1), record(meter("x", code="m"), 1, namespace="box"))
    declared = entry_of(
        {"namespace": "box", "kind": "namespace", "code": "box", "version": 1, "retired": False, "valid_from": None,
         "body": json.dumps(namespace), "author": "", "claim_id": "c"}, 2, 0,
    )  # fmt: skip
    catalog.apply(record(declared.model, 1, kind="namespace", namespace="box"), 2, 0)
    assert catalog.view("box").settings.max_event_age_seconds is None
    assert catalog.view("box", 2).known is False
    assert catalog.view("box").known
    assert catalog.namespaces() == ["box", DEFAULT_NAMESPACE]
    assert [entry.namespace for entry in catalog.view("ns").all("meter")] == ["ns"]
    assert profile_versions(catalog.view("ns")) != profile_versions(catalog.view("box"))
    assert catalog.view(DEFAULT_NAMESPACE).known


def test_a_record_carries_its_model_there_and_back() -> None:
    plan = Plan.model_validate(
        {
            "code": "pro",
            "currency": "USD",
            "charges": [{"product": "x", "price": {"model": "per_unit", "unit_amount": "0.10"}}],
        }
    )
    assert entry_of(record(plan, 1, kind="plan"), 0, 0).model == plan
    halves = meter(profiles=("p",)).model_copy(update={"filters": meter("a").filters})
    assert entry_of(record(halves, 1), 0, 0).model == halves


def test_many_views_are_made_again_on_demand() -> None:
    catalog = published(*[record(meter(str(number)), number) for number in range(1, 101)])
    for offset in (*range(100, 0, -1), 1, 50):
        assert len(catalog.view("ns", offset).history("meter", "m")) == offset


class TestResolve:
    catalog = published(
        record(meter(profiles=("p", "q")), 1), record(meter(code="one"), 1), record(meter("a", code="one"), 2)
    )

    def test_by_meter_and_profile(self) -> None:
        view = self.catalog.view("ns")
        assert [version.profile_id for version in resolve(view, "m.q")] == ["m.q"]
        assert [version.version for version in resolve(view, "one")] == [1, 2]

    @pytest.mark.parametrize(
        ("address", "message"),
        [("m", "several profiles; say which: m.p, m.q"),
            ("m.x", "no profile m.x in namespace ns; known: m.p, m.q, one.p"), ("x", "known: m.p")],
    )  # fmt: skip
    def test_what_exists_is_named(self, address: str, message: str) -> None:
        with pytest.raises(LookupError, match=message):
            resolve(self.catalog.view("ns"), address)

    def test_an_empty_namespace_says_how_to_begin(self) -> None:
        with pytest.raises(LookupError, match="none yet; declare a meter"):
            resolve(Catalog().view("ns"), "m")
