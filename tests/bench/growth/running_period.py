"""``usage/current`` of an account whose plan has so many metered charges of three aggregations, of 2,000 records each,
among 5,000 subscriptions: milliseconds a question, over HTTP; and of one that was not billed for four years."""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import cpu_seconds

from deploy.local.stack import Stack
from schemas.clickhouse.client import connect

SIZES = (10, 50)
SUBSCRIPTIONS = 5_000
RECORDS = 2_000
ASKS = 15
PATH = "/v1/accounts/a0/usage/current?at=2026-09-25T00:00:00Z"
UNBILLED = "/v1/accounts/a0/usage/current?at=2030-09-25T00:00:00Z"
AGGREGATIONS = ("count", "sum", "max")
FILL = """
INSERT INTO usage_records (namespace, profile_id, profile_version, account_id, timestamp, quantity, unique_value,
    dimensions, generation, partition, offset, `index`, append_time)
SELECT 'default', concat('calls.p', toString(number % {charges:UInt32})), 1, 'a0',
    toDateTime64('2026-09-01 00:00:00', 6, 'UTC') + toIntervalSecond(number * 20 % 2000000), 1, '', '', 1, 0,
    intDiv(number, 500), number % 500, toDateTime64('2026-09-20 00:00:00', 3, 'UTC')
FROM numbers({charges:UInt32} * {each:UInt32})"""


def measure(size: int) -> Iterator[tuple[str, float]]:
    """CPU of both processes, the wall clock, and the first question after a start."""
    kinds = ("kafka", "clickhouse", "init", "gateway", "worker", "rating")
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=kinds) as stack,
    ):
        head = {"Authorization": f"Bearer {stack.settings.admin_key.get_secret_value()}"}
        gateway = http.client.HTTPConnection("127.0.0.1", stack.settings.gateway_port)
        _asked(gateway, "POST", "/v1/catalog/apply", head | {"Content-Type": "application/json"}, _catalog(size))
        client = connect(stack.settings)
        client.command(FILL, parameters={"charges": size, "each": RECORDS})
        rating = http.client.HTTPConnection("127.0.0.1", stack.settings.rating_port)
        began = time.perf_counter()
        charges = _asked(rating, "GET", PATH, head)["subscriptions"][0]["charges"]
        yield "first question, wall", (time.perf_counter() - began) * 1e3
        due = [str(1 if number % 3 == 2 else RECORDS) for number in range(size)]
        assert [charge["quantity"] for charge in charges] == due
        processes = ("clickhouse", "rating")
        before = [cpu_seconds(stack.pid(name)) for name in processes]
        taken = []
        for _ in range(ASKS):
            began = time.perf_counter()
            _asked(rating, "GET", PATH, head)
            taken.append((time.perf_counter() - began) * 1e3)
        for name, used in zip(processes, before, strict=True):
            yield f"CPU of {name}", (cpu_seconds(stack.pid(name)) - used) / ASKS * 1e3
        yield "wall, median", statistics.median(taken)
        taken = []
        for _ in range(ASKS // 3):
            began = time.perf_counter()
            _asked(rating, "GET", UNBILLED, head)
            taken.append((time.perf_counter() - began) * 1e3)
        yield "four years unbilled, wall, median", statistics.median(taken)


def _catalog(charges: int) -> dict[str, Any]:
    price = {"model": "per_unit", "unit_amount": "0.1"}
    numbers = range(charges)
    return {
        "namespace": {"code": "default", "max_event_age_seconds": None},
        "meters": [
            {"code": "calls", "event_name": "call", "profiles": [
                {"code": f"p{number}", "aggregation": AGGREGATIONS[number % 3],
                 **({"property": ["size"]} if number % 3 else {}),
                 "filters": [{"property": ["kind"], "operator": "eq", "value": number}]}
                for number in numbers
            ]},
        ],
        "products": [{"code": f"p{number}", "profile": f"calls.p{number}"} for number in numbers],
        "plans": [{"code": "pro", "currency": "USD",
                   "charges": [{"product": f"p{number}", "price": price} for number in numbers]}],
        "accounts": [{"code": f"a{number}"} for number in range(SUBSCRIPTIONS)],
        "subscriptions": [
            {"code": f"s{number}", "account": f"a{number}", "plan": "pro", "start": "2026-09-01"}
            for number in range(SUBSCRIPTIONS)
        ],
    }  # fmt: skip


def _asked(
    connection: http.client.HTTPConnection, method: str, path: str, head: dict[str, str], document: Any = None
) -> Any:
    connection.request(method, path, None if document is None else json.dumps(document), head)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status < 300, text
    return json.loads(text)
