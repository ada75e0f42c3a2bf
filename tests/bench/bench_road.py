"""The whole road on this machine: load generator, gateway, Kafka, worker, ClickHouse, all on the same cores: `make
bench`.

For each rate (events/s, batches of 100, 10 % copies): what was acknowledged, whether the lag grew over the time, µs of
CPU an event by process, and how long a client's single event takes until the usage API shows it (p50, p99), probed
meanwhile. First the highest sustained rate is sought, unless --rates names them; then 10 %, 50 % and 90 % of it. The
lowest rate is run without probes first, so that what it costs is told apart from what asking for it costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from measuring import cpu_seconds, memory_mib, wait_until
from workload import CATALOG

from deploy.local.stack import Stack
from schemas.clickhouse.client import connect
from schemas.kafka.lag import Lag
from schemas.kafka.topics import events_topic
from schemas.ledgers.checkpoints import read_progress

HERE = Path(__file__).resolve().parent
_CORES = 2


class Probe(threading.Thread):
    """Sends single events one after another, each of an account of its own, and asks for its usage until it shows."""

    def __init__(self, stack: Stack, name: str) -> None:
        super().__init__(daemon=True)
        settings = stack.settings
        head = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}"}
        self._gateway = httpx.Client(base_url=f"http://127.0.0.1:{settings.gateway_port}", headers=head, timeout=60)
        self._rating = httpx.Client(base_url=f"http://127.0.0.1:{settings.rating_port}", headers=head, timeout=60)
        self._name = name
        self.stopping = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        """Until told to stop."""
        number = 0
        while not self.stopping.wait(0.05):  # its pace
            number += 1
            account = f"{self._name}-{number}"
            event = {"event_name": "Song played", "account_id": account, "properties": {"country": "USA", "n": 1}}
            began = time.monotonic()
            self._gateway.post("/v1/events", json=event).raise_for_status()
            wait_until(partial(self._shows, account), 30, f"{account} did not show within 30 s")
            self.seconds.append(time.monotonic() - began)

    def _shows(self, account: str) -> bool:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        asked = {"metric": "song.plays", "account_id": account, "from": day}
        answer = self._rating.get("/v1/usage", params=asked)
        answer.raise_for_status()
        return any(str(row["quantity"]) == "1" for row in answer.json()["rows"] if row.get("quantity"))


_LAGS: dict[str, Lag] = {}
"""By broker: a connection that is kept, since making one costs Kafka more than the question."""


def lag(stack: Stack, client: Any) -> int:
    """Records of usage.events that are not metered yet."""
    settings = stack.settings
    kept = _LAGS.setdefault(settings.kafka_bootstrap, Lag(settings, "bench"))
    topic = events_topic(settings.generation)
    ends = kept.ends([(topic, partition) for partition in range(settings.partitions)])
    if len(ends) < settings.partitions:
        raise RuntimeError(f"Kafka does not answer for all partitions of {topic}")
    progress = read_progress(client)
    return sum(max(0, end - progress.get((settings.generation, part), 0)) for (_, part), end in ends.items())


def drain(stack: Stack, client: Any, limit_s: float = 600) -> None:
    """Wait until all records are metered."""
    wait_until(lambda: not lag(stack, client), limit_s, "the worker does not reach the log's end")


def run(stack: Stack, rate: float, seconds: float, probes: int, name: str, connections: int) -> dict[str, Any]:
    """One rate for a while, from an empty road to what is left at its end."""
    settings = stack.settings
    client = connect(settings)
    drain(stack, client)
    names = ("gateway", "kafka", "worker-0", "clickhouse", "rating")
    pids = {process: stack.pid(process) for process in names}
    asking = [Probe(stack, f"probe-{name}-{number}") for number in range(probes)]
    for probe in asking:
        probe.start()
    before = {process: cpu_seconds(pid) for process, pid in pids.items()}
    key = settings.admin_key.get_secret_value()
    command = [
        sys.executable,
        str(HERE / "clients/load.py"),
        str(settings.gateway_port),
        key,
        str(rate),
        str(seconds),
        str(connections),
        name,
        "100",
    ]
    began = time.monotonic()
    sending = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lags: list[tuple[float, int]] = []
    while sending.poll() is None:
        lags.append((time.monotonic() - began, lag(stack, client)))
        time.sleep(0.5)  # between two samples of the lag
    for probe in asking:
        probe.stopping.set()
    report: dict[str, Any] = json.loads(sending.communicate()[0])
    events = report["acknowledged"]
    report["asked_rate"], report["rate"] = rate, events / report["seconds"]
    report["lag_records"] = {
        "median": statistics.median([n for _, n in lags]),
        "last": lags[-1][1],
        "highest": max(n for _, n in lags),
    }
    drain(stack, client)
    drained = time.monotonic() - began
    report["drained_after_s"] = drained - report["seconds"]
    cpu = {process: (cpu_seconds(pid) - before[process]) / events * 1e6 for process, pid in pids.items()}
    report["cpu_us_per_event"] = cpu | {"load generator": report["cpu_seconds"] / events * 1e6}
    report["cores_used"] = sum(report["cpu_us_per_event"].values()) * events / 1e6 / drained
    report["rss_mib"] = {process: memory_mib(pid) for process, pid in pids.items()}
    shown = sorted(second for probe in asking for second in probe.seconds)
    if shown:
        report["shown_s"] = {
            "probes": len(shown),
            "p50": statistics.median(shown),
            "p99": shown[int(len(shown) * 0.99)],
            "highest": shown[-1],
        }
    # Sustained: all that was asked was taken, and at the end no more than two seconds of it waited.
    report["sustained"] = report["drained_after_s"] < 2 and (not rate or report["rate"] > 0.97 * rate)
    client.close()
    return report


def show(report: dict[str, Any]) -> None:
    """A few lines for people."""
    costs = ", ".join(f"{name} {cost:.1f}" for name, cost in report["cpu_us_per_event"].items())
    shown = report.get("shown_s")
    seen = (
        f"; shown after p50 {shown['p50']:.2f} s, p99 {shown['p99']:.2f} s ({shown['probes']} probes)" if shown else ""
    )
    print(
        f"{report['rate']:,.0f} events/s for {report['seconds']:.0f} s: lag drained "
        f"{report['drained_after_s']:.1f} s after"
        f" ({'sustained' if report['sustained'] else 'NOT sustained'}); request p50 {report['p50_ms']:.1f} ms, "
        f"p99 {report['p99_ms']:.1f} ms{seen}\n"
        f"    µs of CPU an event: {costs}; {report['cores_used']:.2f} of {_CORES} cores",
        flush=True,
    )


def main() -> None:
    """Seek the highest rate, then probe below it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rates", type=float, nargs="*", default=[])
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--save", type=Path, required=True)
    asked = parser.parse_args()
    report: dict[str, Any] = {"seconds": asked.seconds, "runs": []}
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder, Stack(Path(folder), ports="free") as stack:
        settings = stack.settings
        head = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}"}
        url = f"http://127.0.0.1:{settings.gateway_port}/v1/catalog/apply"
        httpx.post(url, json=CATALOG, headers=head).raise_for_status()
        number = 0

        def one(rate: float, seconds: float, probes: int) -> dict[str, Any]:
            nonlocal number
            number += 1
            found = run(stack, rate, seconds, probes, f"x{number}", asked.connections)
            report["runs"].append(found)
            show(found)
            return found

        one(0, 5, 0)  # warms everything up
        rates = asked.rates
        if not rates:
            highest = one(0, 10, 0)
            # Closed loop first: what the road takes in and drains, over the whole time, is where to begin.
            rate = highest["rate"] * highest["seconds"] / (highest["seconds"] + highest["drained_after_s"])
            while not one(rate, asked.seconds, 0)["sustained"]:
                rate *= 0.9
            report["sustained_rate"] = report["runs"][-1]["rate"]
            rates = [report["sustained_rate"] * share for share in (0.1, 0.5, 0.9)]
        seconds = max(20.0, asked.seconds / 2)
        lowest = min(rates)
        alone = one(lowest, seconds, 0)
        for rate in rates:
            probed = one(rate, seconds, 2)
            if rate == lowest:
                report["probes_cpu_us_per_event"] = asking = {
                    process: cost - alone["cpu_us_per_event"][process]
                    for process, cost in probed["cpu_us_per_event"].items()
                }
                costs = ", ".join(f"{process} {cost:.1f}" for process, cost in asking.items())
                print(f"    of these the probes: {costs}", flush=True)
    asked.save.parent.mkdir(parents=True, exist_ok=True)
    asked.save.write_text(json.dumps(report, indent=1))
    print(f"saved to {asked.save}")


if __name__ == "__main__":
    main()
