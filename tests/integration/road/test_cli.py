"""The command line against the running stack: apply, send, status, doctor, and the errors that people meet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.cli.connection import base_url
from deploy.local.stack import Stack, settings_environment
from schemas.migrations import files
from schemas.values.time_zones import VERSION
from tests.integration.world import World, books_of
from tests.weir_command import run_weir

pytestmark = pytest.mark.integration


class Weir:
    """``weir`` as a person has it: it finds the stack by its data folder."""

    def __init__(self, stack: Stack, namespace: str) -> None:
        self._variables = {"WEIR_DATA_DIR": str(stack.data_dir), "WEIR_NAMESPACE": namespace}

    def __call__(self, *arguments: str, code: int = 0, errors: bool = False) -> str:
        done = run_weir(*arguments, variables=self._variables)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 and not errors else done.stdout + done.stderr


@pytest.fixture
def weir(stack: Stack, world: World) -> Weir:
    return Weir(stack, world.namespace)


CATALOG = """
meters:
  - code: data
    event_name: transfer
    unit: GB
    profiles:
      - {code: out, aggregation: sum, property: [gb], filters: [{property: [way], operator: eq, value: out}]}
accounts: [{code: acme, time_zone: Asia/Tokyo}]
"""


def test_a_catalog_and_files_of_events_become_usage(weir: Weir, world: World, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG)
    assert "2 would be published" in weir("apply", "-f", str(catalog), "--dry-run")
    assert "2 published" in weir("apply", "-f", str(catalog))
    assert "0 published" in weir("apply", "-f", str(catalog))

    table = tmp_path / "events.csv"
    rows = [f"transfer,acme,2026-05-0{1 + number % 2}T14:30:00Z,c{number},0.{number:03},out," for number in range(250)]
    table.write_text("\n".join(["event_name,account_id,timestamp,idempotency_key,gb,way,note", *rows]) + "\n")
    lines = tmp_path / "events.ndjson"
    event = {"event_name": "transfer", "account_id": "acme", "timestamp": "2026-05-01T14:59:59.999999Z"}
    lines.write_text(
        json.dumps(event | {"idempotency_key": "n1", "properties": {"gb": 1.5, "way": "out"}}) + "\n"
        + json.dumps(event | {"idempotency_key": "n2", "properties": {"gb": 9, "way": "in"}}) + "\n"
    )  # fmt: skip
    for more in ([], ["--history"]):
        assert json.loads(weir("send", str(table), "--json", *more))["accepted"] == 250
        assert "2 accepted, 0 refused" in weir("send", str(lines), *more)
    world.metered()
    books_of(world.books(), accepted=504, metered=251, unmatched=1, duplicates=252)

    # 15:00 UTC is midnight in Tokyo, the account's zone.
    expected = sum(range(0, 250, 2)) / 1000 + 1.5, sum(range(1, 250, 2)) / 1000
    answer = json.loads(weir("usage", "data", "-a", "acme", "-p", "2026-05-01..2026-05-03", "--by", "day", "--json"))
    assert [(row["from"], float(row["quantity"])) for row in answer["rows"]] == [
        ("2026-05-01T00:00:00+09:00", expected[0]), ("2026-05-02T00:00:00+09:00", expected[1]),
    ]  # fmt: skip
    assert "refused by filter way eq" in weir("doctor", "acme", "data", "-p", "2026-05")
    assert "balanced" in weir("ledger")


def test_what_is_refused_is_told_by_line_and_place(weir: Weir, tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    events.write_text("event_name,account_id,timestamp\ncall,a,2026-05-01T00:00:00Z\ncall,a,yesterday\n")
    told = weir("send", str(events), code=1)
    assert "$.events[1].timestamp" in told
    assert "(line 3)" in told
    told = weir("send", str(events), "--history", code=1)
    assert "line 2: $.idempotency_key: missing" in told
    assert "line 3: $.timestamp: " in told
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("products: [{code: p, profile: nowhere.at-all}]\n")
    assert "$.products[0].profile: no meter nowhere" in weir("apply", "-f", str(catalog), code=2)
    catalog.write_text("meters: [")
    assert "YAML" in weir("apply", "-f", str(catalog), code=2)
    assert "no profile nothing" in weir("usage", "nothing", code=2)
    assert "there is no invoice inv_0" in weir("invoice", "inv_0", code=2)
    assert "no such file" in weir("send", str(tmp_path / "absent.csv"), code=1).lower()


def test_an_undeclared_namespace_is_named_with_the_remedy(stack: Stack) -> None:
    weir = Weir(stack, "nowhere")
    for arguments in (("usage", "x"), ("ledger",), ("invoices",), ("verify",), ("doctor", "a", "x")):
        assert "weir apply" in weir(*arguments, code=2)
    assert "there is no namespace nowhere" in weir("close", code=1)


def test_status_tells_processes_ports_lag_and_what_counts_for_nothing(
    weir: Weir, stack: Stack, world: World, tmp_path: Path
) -> None:
    catalog, wrong = tmp_path / "catalog.yaml", tmp_path / "wrong.ndjson"
    catalog.write_text(CATALOG)
    weir("apply", "-f", str(catalog))
    event = {
        "event_name": "transfer",
        "account_id": "acme",
        "timestamp": "2026-05-01T00:00:00Z",
        "idempotency_key": "w",
    }
    wrong.write_text(json.dumps(event | {"properties": {"gb": "a lot", "way": "out"}}) + "\n")
    for more in ([], ["--history"]):
        assert "line 1: warning: gb is no number" in weir("send", str(wrong), *more, errors=True)
    world.metered()
    told = json.loads(weir("status", "--json"))
    assert told["ready"]
    assert {one["name"]: one["phase"] for one in told["processes"]} == dict.fromkeys(stack.state().processes, "ready")
    assert set(told["lag"].values()) == {0}
    assert len(told["lag"]) == stack.settings.partitions
    lost = {"namespace": world.namespace, "profile": "data.out", "reason": "not_a_number", "events": 1}
    assert lost in told["unmeterable"]
    assert told["time_zones"]["weir"] == VERSION
    text = weir("status")
    assert f"1 events of the last day count for nothing with data.out of {world.namespace}: not_a_number" in text
    assert f"time zones: IANA {VERSION}, of the tzdata package" in text
    assert str(stack.settings.gateway_port) in text
    assert stack.settings.admin_key.get_secret_value() not in text


def test_status_of_what_variables_name_needs_no_local_stack(stack: Stack, tmp_path: Path) -> None:
    own = settings_environment(stack.settings) | {"WEIR_DATA_DIR": str(tmp_path)}
    (port,) = stack.state().processes["worker-0"].ports.values()
    worker = f"http://127.0.0.1:{port}"
    done = run_weir("status", "--json", "--at", worker, variables=own)
    told = json.loads(done.stdout)
    assert (done.returncode, told["ready"]) == (0, True), done.stdout
    assert [(process["name"], process["trouble"]) for process in told["processes"]] == [
        ("gateway", ""), ("rating", ""), (worker, ""),
    ]  # fmt: skip
    assert (told["stores"]["replicas"]["brokers"], told["stores"]["replicas"]["leaderless"]) == (1, [])
    assert (told["stores"]["changes"], told["stores"]["migrations"], told["stores"]["troubles"]) == ([], [], [])
    assert set(told["lag"].values()) == {0}
    # Another database has no table, and nobody listens at the port of this machine that is reserved.
    wrong = own | {"WEIR_CLICKHOUSE_DATABASE": "elsewhere", "WEIR_GATEWAY_URL": "http://127.0.0.1:1"}
    done = run_weir("status", variables=wrong | {"WEIR_RATING_URL": base_url(stack.settings, "rating")})
    assert done.returncode == 1
    assert "gateway http://127.0.0.1:1: does not answer" in done.stdout
    assert f"rating {base_url(stack.settings, 'rating')}: ready" in done.stdout
    assert f"`weir init` has {len(files())} migrations to make" in done.stdout
    by_url = {"WEIR_DATA_DIR": str(tmp_path), "WEIR_RATING_URL": base_url(stack.settings, "rating")}
    done = run_weir("status", variables=by_url)
    assert (done.returncode, "Kafka and ClickHouse were not asked" in done.stdout) == (0, True)


def test_keys_are_made_listed_and_revoked(weir: Weir, world: World) -> None:
    key = weir("key", "create", "--scope", "read", "--scope", "ingest", "--name", "backend").strip()
    key_id = key.split(".")[1]
    assert key.startswith(f"weir_{world.namespace}.key_")
    with world.http("gateway", headers={"authorization": f"Bearer {key}"}) as client:
        assert client.post("/v1/events", json={"event_name": "e", "account_id": "a"}).status_code == 202
    assert "in force" in weir("key", "list")
    assert f"{key_id} is revoked" in weir("key", "revoke", key_id)
    (listed,) = json.loads(weir("key", "list", "--json"))
    assert (listed["id"], listed["scopes"], listed["revoked_by"]) == (key_id, ["read", "ingest"], "admin")
    assert "no api_key" in weir("key", "revoke", "key_none", code=2)
    assert "scopes" in weir("key", "create", "--scope", "root", code=2)
