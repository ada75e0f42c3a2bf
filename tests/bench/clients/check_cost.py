"""CPU of a check of an entitlement in the rating service's event loop, in this process, with what is held brought
forward beside it: `python tests/bench/clients/check_cost.py [ACCOUNTS] [ROWS]`. Neither Kafka nor ClickHouse runs.

Prints µs of CPU a check (the best and the median of five rounds), and for how long at most the loop's own thread
computed between two turns, in ms, while ROWS steps of usage were appended to each refresh.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench_entitlements import entries
from workload import CATALOG

from rating.api.entitlements import usage_keeper, usage_steps
from rating.app import build_app
from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.held_values import Appended, Held
from rating.entitlements.measuring import LogState
from rating.entitlements.questions import RollingNeed
from rating.usage import Usage, UsageGroup
from schemas.catalog.models import KINDS
from schemas.catalog.state import record_of
from schemas.settings import load_settings
from schemas.values.instants import SECOND

KEY = "k" * 40
ROUND = 500
ONE = Usage(Decimal(1), 1)


class Log:
    """In place of ClickHouse: every refresh finds ROWS more."""

    def __init__(self, accounts: int, rows: int) -> None:
        self.accounts, self.rows, self.offset = accounts, rows, 0

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        """In a thread, as the pool of clients does."""
        return await asyncio.get_running_loop().run_in_executor(None, question, None)

    def stop(self) -> None:
        """Nothing runs."""

    def log_state(self, _client: Any) -> LogState:
        """A little further each time."""
        self.offset += 1
        return LogState({(1, 0): self.offset}, 0)

    def whole(self, _client: Any, _name: str, keys: Iterable[UsageKey], as_of: MeasuredAsOf) -> dict[UsageKey, Held]:
        """Something in every step."""
        held: dict[UsageKey, Held] = {}
        for key in keys:
            asked = key[1]
            if isinstance(asked, RollingNeed):
                begin = as_of.at_us // asked.step_us * asked.step_us - asked.window_us - asked.step_us
                steps = dict.fromkeys(range(begin, as_of.at_us, asked.step_us), ONE)
                held[key] = Held((), steps, begin, as_of.at_us)
            else:
                held[key] = Held((UsageGroup(ONE),), asked_us=as_of.at_us)
        return held

    def appended(self, *_: Any) -> list[Appended]:
        """One event in a step of each of ROWS accounts."""
        second = time.time_ns() // 1000 // SECOND * SECOND
        return [("song.plays", f"acct_{number % self.accounts}", second, "1", 1) for number in range(self.rows)]

    def voided_between(self, *_: Any) -> set[str]:
        """None."""
        return set()


async def check(app: Any, number: int) -> None:
    """One request, without a socket."""
    path = f"/v1/accounts/acct_{number}/entitlements/plays"
    status = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        status.append(message.get("status", 200))

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"quantity=1", "headers": [(b"authorization", f"Bearer {KEY}".encode())], "scheme": "http",
        "server": ("x", 80), "client": ("x", 1), "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    if set(status) != {200}:
        raise SystemExit(f"{path}: {status}")


async def measured(accounts: int, rows: int) -> dict[str, Any]:
    """See the module."""
    log = Log(accounts, rows)
    for function in (log.log_state, log.whole, log.appended, log.voided_between):
        for module in (usage_keeper, usage_steps):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)
    app = build_app(load_settings())
    rating: Any = app.state.rating
    keeper = rating.usage_keeper
    keeper._pool = keeper._refreshing = keeper._remeasuring = log
    catalog = [("namespace", CATALOG["namespace"]), *(("meter", meter) for meter in CATALOG["meters"])]
    for offset, (kind, body) in enumerate([*catalog, *entries(accounts)]):
        model = KINDS[kind].model_validate(body)
        record = record_of("default", model, kind=kind, version=1, author="bench", claim_id=str(offset))
        rating._catalog.catalog.apply(record, offset, 1)
    for start in range(0, accounts, 100):
        await asyncio.gather(*(check(app, number) for number in range(start, min(accounts, start + 100))))
    spent = []
    for _ in range(5):
        began = time.thread_time()
        for number in range(ROUND):
            await check(app, number * 7919 % accounts)
        spent.append((time.thread_time() - began) / ROUND * 1e6)
    turns, end = [], time.monotonic() + 6
    while time.monotonic() < end:
        began = time.thread_time()
        await asyncio.sleep(0.0005)
        turns.append((time.thread_time() - began) * 1e3)
    rating.usage_keeper.stop()
    return {"us_a_check": [min(spent), statistics.median(spent)], "longest_turns_ms": sorted(turns)[-5:]}


if __name__ == "__main__":
    os.environ["WEIR_ADMIN_KEY"] = KEY
    sys.setswitchinterval(0.001)
    print(
        json.dumps(asyncio.run(measured(*(int(text) for text in sys.argv[1:] + ["2000", "2500"][len(sys.argv) - 1 :]))))
    )
