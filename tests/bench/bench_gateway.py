"""How fast one gateway takes events: `python tests/bench/bench_gateway.py [--batches 2000] [--size 100] [--concurrency 12]`.

Starts Kafka, ClickHouse and a gateway of its own in a temporary folder. Prints events/s, the gateway's CPU time an event (all
its threads, librdkafka's too), and the latency of requests.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import threading
import time
from pathlib import Path

from deploy.local.stack import Stack


def cpu_seconds(pid: int) -> float:
    """User and system time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def body(number: int, size: int) -> bytes:
    """One batch of events as the demo sends them, about 230 bytes each."""
    properties = {
        "flight": 1545,
        "tailnum": "N14228",
        "origin": "EWR",
        "dest": "IAH",
        "distance": 1400,
        "air_time": 227,
    }
    event = {"event_name": "flight_departed", "account_id": "UA", "properties": properties}
    return json.dumps({"events": [event | {"idempotency_key": f"{number}-{step}"} for step in range(size)]}).encode()


def run(stack: Stack, batches: int, size: int, concurrency: int) -> None:
    """Send all and print what it took."""
    settings = stack.settings
    headers = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}"}
    waiting = iter([body(number, size) for number in range(batches)])
    lock = threading.Lock()
    seconds: list[float] = []

    def send() -> None:
        connection = http.client.HTTPConnection(settings.gateway_host, settings.gateway_port, timeout=60)
        while True:
            with lock:
                data = next(waiting, None)
            if data is None:
                return
            started = time.perf_counter()
            connection.request("POST", "/v1/events/batch", data, headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 202, text
            seconds.append(time.perf_counter() - started)

    pid = stack.pid("gateway")
    before, started = cpu_seconds(pid), time.perf_counter()
    threads = [threading.Thread(target=send) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, used = time.perf_counter() - started, cpu_seconds(pid) - before
    assert len(seconds) == batches, f"{batches - len(seconds)} batches were not taken"
    seconds.sort()
    events = batches * size
    median, slow = seconds[len(seconds) // 2] * 1e3, seconds[int(len(seconds) * 0.99)] * 1e3
    cost = f"gateway CPU {used / events * 1e6:.1f} µs an event"
    print(f"{events / took:,.0f} events/s; {cost}; request p50 {median:.1f} ms, p99 {slow:.1f} ms")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=12)
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("kafka", "clickhouse", "init", "gateway")) as stack,
    ):
        for _round in range(2):
            run(stack, wanted.batches, wanted.size, wanted.concurrency)


if __name__ == "__main__":
    main()
