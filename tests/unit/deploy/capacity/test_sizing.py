"""The capacity model: more load never needs less, what it says bears the load, and it has a sentence for what nobody
measured."""

from __future__ import annotations

import json
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from deploy.capacity.measured import FIGURES, GATEWAY, GATEWAY_REQUEST, MEASURED_EVENTS
from deploy.capacity.sizing import CapacityPlan, Load, Machines, gateway_cost, plan
from deploy.cli.main import app
from schemas.values.record_copy import replace

LOADS = st.builds(
    Load,
    events_per_second=st.integers(1, 3_000_000),
    peak_factor=st.floats(1, 20),
    events_per_request=st.integers(1, 100),
    profiles=st.integers(0, 20),
    event_bytes=st.integers(1, 20_000),
    age_days=st.integers(1, 400),
    subscriptions=st.integers(0, 10_000_000),
    checks_per_second=st.integers(0, 100_000),
)
MACHINES = st.builds(Machines, utilisation=st.floats(0.05, 1), worker_gib=st.integers(1, 256))
GROWING = ("events_per_second", "profiles", "event_bytes", "age_days", "subscriptions", "checks_per_second")
SIZES = tuple(field.name for field in fields(CapacityPlan) if field.name not in ("limits", "notes", "worker_gib"))


@given(LOADS, MACHINES, st.sampled_from(GROWING), st.integers(1, 1_000_000))
def test_more_load_never_needs_less(load: Load, machines: Machines, name: str, more: int) -> None:
    larger = replace(load, **{name: getattr(load, name) + more})
    before, after = plan(load, machines), plan(larger, machines)
    assert [size for size in SIZES if getattr(after, size) < getattr(before, size)] == []


@given(LOADS, MACHINES)
def test_what_it_says_bears_the_load(load: Load, machines: Machines) -> None:
    result = plan(load, machines)
    assert all(limit.events_per_second >= int(load.events_per_second * 0.999) for limit in result.limits)
    assert [limit.events_per_second for limit in result.limits] == sorted(
        limit.events_per_second for limit in result.limits
    )
    assert result.worker_gib <= machines.worker_gib
    assert result.brokers >= machines.replicas
    assert result.partitions & (result.partitions - 1) == 0
    if result.workers > result.partitions:
        assert any("workers are more than" in note for note in result.notes)
    beyond = any("times the most that was measured" in note for note in result.notes)
    assert beyond == (load.events_per_second > MEASURED_EVENTS.value)


def test_a_gateway_costs_what_was_measured_where_it_was_measured() -> None:
    assert round(gateway_cost(Load(1, events_per_request=100)), 9) == GATEWAY.value
    assert round(gateway_cost(Load(1, events_per_request=1)), 9) == GATEWAY_REQUEST.value
    assert all(figure.value > 0 and figure.source and figure.unit for figure in FIGURES.values())


def test_the_command_says_it_for_people_and_programs() -> None:
    spoken = CliRunner().invoke(app, ["capacity", "--events-per-second", "1000000", "--subscriptions", "100000"])
    assert spoken.exit_code == 0, spoken.output
    assert "17.4 times the most that was measured" in spoken.stdout
    assert "what limits first" in spoken.stdout
    told = json.loads(CliRunner().invoke(app, ["capacity", "--events-per-second", "5000", "--json"]).stdout)
    assert told["plan"]["gateways"] == 1
    assert told["figures"]["worker"]["source"]
    assert CliRunner().invoke(app, ["capacity", "--events-per-second", "0"]).exit_code == 2
