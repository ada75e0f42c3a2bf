"""Checks of entitlements beside a stream of events, all on this machine: `python tests/bench/bench_entitlements.py`.

Fills --records records of --accounts accounts in this month and asks for each account once. Then for --seconds: events
at --rate, checks at --checks a second (each a monthly limit and a rolling window), and probes, four at a time: an
event, and how long after its 202 it counts in a check. Prints p50 and p99 of both, and the CPU of each process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
from clients.crowd import Crowd, summed
from measuring import cpu_seconds, memory_mib, wait_until
from workload import CATALOG

from deploy.local.stack import Stack
from schemas.catalog.models import KINDS
from schemas.catalog.state import record_of
from schemas.clickhouse.client import connect
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG as CATALOG_TOPIC
from schemas.ledgers.ledger_writer import LedgerWriter

HERE = Path(__file__).resolve().parent
PROBES = 200
_AT_A_TIME = 4
_AT_ONCE = 10_000
_SLICE = 1_000_000
_BEGINS_S = 10  # at most, until a second of the stream is metered
_INDEXES = 1 << 31  # far beyond the index of any event that a batch holds
PROCESSES = ("gateway", "kafka", "worker-0", "clickhouse", "rating")

# Two profiles count every event; event n is of account n modulo their number, at an instant of this month.
FILL = f"""
INSERT INTO usage_records (namespace, profile_id, profile_version, account_id, timestamp, quantity, unique_value,
    dimensions, generation, partition, offset, `index`, append_time)
SELECT 'default', profile, 1, concat('acct_', toString(n % {{accounts:UInt64}})),
    toDateTime64(toStartOfMonth(now()), 6, 'UTC')
        + toIntervalSecond(cityHash64(n) % toUInt64(dateDiff('second', toStartOfMonth(now()), now()))),
    if(profile = 'song.plays', toDecimal128(1, 12), toDecimal128(n % 1000, 12)), '', '', 1, 0, 0, {_INDEXES} + n,
    {{at:DateTime64(3, 'UTC')}}
FROM (SELECT number AS n, arrayJoin(['song.plays', 'song.bytes']) AS profile
    FROM numbers({{first:UInt64}}, {{count:UInt64}}))"""


class Checks(Crowd):
    """Checks of the accounts in turn, in place of events."""

    accounts = 1

    def request(self) -> bytes:
        """The next one."""
        account = b"acct_%d" % (self._sent * 7919 % self.accounts)
        return b"GET /v1/accounts/%s/entitlements/plays?quantity=1 HTTP/1.1\r\nHost: x\r\n%s\r\n" % (
            account, self.authorization,
        )  # fmt: skip


class Probe(threading.Thread):
    """Sends single events of accounts of its own, one after another, and checks until each counts."""

    def __init__(self, stack: Stack, first: int) -> None:
        super().__init__(daemon=True)
        self._first = first
        settings = stack.settings
        self._head = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}"}
        # Not httpx: eighty questions a second of it take a tenth of a core from what is measured.
        self._gateway = HTTPConnection("127.0.0.1", settings.gateway_port, timeout=60)
        self._rating = HTTPConnection("127.0.0.1", settings.rating_port, timeout=60)
        self.stopping = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        """Until told to stop."""
        for number in itertools.count(self._first, _AT_A_TIME):
            if self.stopping.wait(0.05):  # its pace
                return
            account = f"probe_{number % PROBES}"
            before = self._used(account)
            event = {"event_name": "Song played", "account_id": account, "properties": {"country": "USA", "n": 1}}
            self._asked(self._gateway, "POST", "/v1/events", json.dumps(event))
            began = time.monotonic()
            shows = partial(lambda name, used: self._used(name) != used, account, before)
            wait_until(shows, 30, f"{account}: its event did not count within 30 s", every_s=0.05)
            self.seconds.append(time.monotonic() - began)

    def _used(self, account: str) -> str:
        answer = self._asked(self._rating, "GET", f"/v1/accounts/{account}/entitlements/plays")
        return str(json.loads(answer)["limits"][0]["used"])

    def _asked(self, service: HTTPConnection, method: str, path: str, body: str | None = None) -> bytes:
        service.request(method, path, body, self._head)
        response = service.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {answer[:200]!r}")
        return answer


def entries(accounts: int) -> list[tuple[str, dict[str, Any]]]:
    """(kind, body) of what is granted and to whom."""
    limits = [
        {"quantity": "1000000000", "reset": "month"}, {"quantity": "100000000", "rolling": "5 hours", "hard": False},
    ]  # fmt: skip
    money = [{"amount": "1000000", "reset": "billing_period"}]
    price = {"model": "per_unit", "unit_amount": "0.001"}
    named = [f"acct_{number}" for number in range(accounts)] + [f"probe_{number}" for number in range(PROBES)]
    whole: list[tuple[str, dict[str, Any]]] = [
        ("feature", {"code": "plays", "profile": "song.plays", "limits": limits}),
        ("feature", {"code": "bytes", "profile": "song.bytes"}),
        ("product", {"code": "bytes", "profile": "song.bytes"}),
        (
            "plan",
            {
                "code": "basic", "currency": "USD", "charges": [{"product": "bytes", "price": price}],
                "features": [{"feature": "plays"}, {"feature": "bytes", "limits": money}],
            },
        ),
    ]  # fmt: skip
    for name in named:
        whole.append(("account", {"code": name}))
        whole.append(
            ("subscription", {"code": name, "account": name, "plan": "basic", "start": "2026-01-01T00:00:00Z"})
        )
    return whole


def fill(stack: Stack, accounts: int, records: int) -> None:
    """The catalog, and records below a batch that the worker has metered."""
    settings = stack.settings
    head = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}"}
    url = f"http://127.0.0.1:{settings.gateway_port}"
    httpx.post(f"{url}/v1/catalog/apply", json=CATALOG, headers=head).raise_for_status()
    catalog, encoder = LedgerWriter(settings, CATALOG_TOPIC), codec("catalog_entry")
    made = entries(accounts)
    for start in range(0, len(made), _AT_ONCE):
        claims = [
            record_of(
                "default", KINDS[kind].model_validate(body), kind=kind, version=1, author="bench",
                claim_id=f"{kind}{start + number}",
            )
            for number, (kind, body) in enumerate(made[start : start + _AT_ONCE])
        ]  # fmt: skip
        catalog.append_all([(b"", encoder.encode(claim)) for claim in claims], 0)
    client = connect(settings)
    events = [
        {"event_name": "Song played", "account_id": "first", "idempotency_key": f"f{number}", "properties": {"n": 1}}
        for number in range(100)
    ]
    httpx.post(f"{url}/v1/events/batch", json={"events": events}, headers=head).raise_for_status()
    first = "SELECT min(append_time) FROM usage_batches WHERE partition = 0 AND offset = 0 HAVING count() > 0"
    wait_until(lambda: client.query(first).result_rows, 60, "the first batch is not metered")
    at = client.query(first).result_rows[0][0]
    for start in range(0, records // 2, _SLICE):
        asked = {"accounts": accounts, "first": start, "count": min(_SLICE, records // 2 - start), "at": at}
        client.command(FILL, parameters=asked)
    client.close()


def ask_once(stack: Stack, accounts: int) -> dict[str, Any]:
    """Every account for the first time, a hundred at once, in the order of their names, as they are stored: of others
    ClickHouse reads more at a time."""
    settings = stack.settings
    head = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}"}
    seconds: list[float] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.rating_port}", headers=head, timeout=60) as client:
        names = [f"acct_{number}" for number in range(accounts)] + [f"probe_{number}" for number in range(PROBES)]
        known = partial(client.get, f"/v1/accounts/{names[-1]}/entitlements")
        wait_until(lambda: known().status_code == 200, 60, "the rating service does not know the accounts")
        names.sort()
        for start in range(0, len(names), 100):
            checks = [{"account_id": name, "feature": "plays"} for name in names[start : start + 100]]
            began = time.monotonic()
            answer = client.post("/v1/entitlements/check", json={"checks": checks})
            answer.raise_for_status()
            seconds.append(time.monotonic() - began)
    return {"accounts": len(names), "seconds": sum(seconds), "p50_ms_of_100": statistics.median(seconds) * 1e3}


def measured(stack: Stack, asked: argparse.Namespace) -> dict[str, Any]:
    """Checks and probes beside the stream."""
    settings = stack.settings
    key = settings.admin_key.get_secret_value()
    pids = {name: stack.pid(name) for name in PROCESSES}
    # The stream goes on longer than what is measured beside it, by as long as it may take to be under way.
    lasts = asked.seconds + _BEGINS_S
    load = [str(HERE / "clients/load.py"), str(settings.gateway_port), key, str(asked.rate), str(lasts)]
    store = connect(settings)

    def metered() -> int:
        return int(store.query("SELECT sum(events) FROM usage_batches FINAL").result_rows[0][0])

    under_way = metered() + asked.rate
    stream = subprocess.Popen(
        [sys.executable, *load, "8", "x", "100", str(asked.accounts)], stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: metered() > under_way, _BEGINS_S, f"a second of the stream was not metered in {_BEGINS_S} s")
    store.close()
    probes = [Probe(stack, number) for number in range(_AT_A_TIME)]
    for probe in probes:
        probe.start()
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    command = [sys.executable, str(Path(__file__).resolve()), "--client", str(settings.rating_port), key]
    crowd = subprocess.run(
        [*command, str(asked.accounts), str(asked.seconds), str(asked.checks)], stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    cpu = {name: (cpu_seconds(pid) - before[name]) / asked.seconds for name, pid in pids.items()}
    for probe in probes:
        probe.stopping.set()
    for probe in probes:
        probe.join(60)
    events = json.loads(stream.communicate()[0])
    lags = sorted(seconds for probe in probes for seconds in probe.seconds)
    counts = {"probes": len(lags), "p50": statistics.median(lags), "p99": lags[int(len(lags) * 0.99)], "max": lags[-1]}
    return {
        "checks": json.loads(crowd.stdout.splitlines()[-1]), "counts_after_s": counts,
        "events": {"acknowledged": events["acknowledged"], "per_second": events["acknowledged"] / events["seconds"],
                   "p99_ms": events["p99_ms"]},
        "cores": cpu, "rating_mib": memory_mib(pids["rating"]),
    }  # fmt: skip


def client(port: str, key: str, accounts: str, seconds: str, rate: str) -> None:
    """The process that checks."""
    checks = Checks(int(port), key, "checks", 16, float(seconds), float(rate))
    checks.accounts = int(accounts)
    checks.run()
    print(json.dumps(summed(checks, float(seconds))))


def main() -> None:
    """Fill, ask, measure."""
    if sys.argv[1:2] == ["--client"]:
        client(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=5_000)
    parser.add_argument("--checks", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--save", type=Path, required=True)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder, Stack(Path(folder), ports="free") as stack:
        fill(stack, asked.accounts, asked.records)
        report = {"first": ask_once(stack, asked.accounts)}
        print(json.dumps(report), flush=True)
        report |= measured(stack, asked)
    print(json.dumps(report, indent=1))
    asked.save.parent.mkdir(parents=True, exist_ok=True)
    asked.save.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
