"""One data folder of the ClickHouse engine and the process that serves it; and rows to put into it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client

from deploy.local.ports import free_port
from deploy.local.probes import http_ok

PASSWORD, ANALYST_PASSWORD = "of the stack's own user", "of the analyst"


class FrontProcess:
    """One data folder, and the process that serves it now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.start()

    def start(self) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "deploy.local.clickhouse.front", "--path", str(self._path)]
        secrets = {"WEIR_CLICKHOUSE_PASSWORD": PASSWORD, "WEIR_CLICKHOUSE_ANALYST_PASSWORD": ANALYST_PASSWORD}
        more = ["--port", str(self.port), "--views", "totals,totals_of"]
        self.process = subprocess.Popen([*command, *more], env=os.environ | secrets)
        deadline = time.monotonic() + 60
        while not http_ok("127.0.0.1", self.port, "/ping")():
            assert self.process.poll() is None, "the front ended"
            assert time.monotonic() < deadline, "the front does not answer"
            time.sleep(0.05)

    def client(self, **more: Any) -> Client:
        more.setdefault("autogenerate_session_id", False)
        more.setdefault("password", PASSWORD)
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **more)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


COLUMNS = """(ns String, account String, ts DateTime64(6, 'UTC'), quantity Decimal(38, 12), tags Array(String),
    labels Map(String, String), id FixedString(16), position UInt64)"""


def events(count: int, first: int = 0) -> pa.Table:
    """Rows whose bytes hold everything that could be mistaken for SQL: quotes, semicolons, newlines, zeros."""
    numbers = range(first, first + count)
    return pa.table(
        {
            "ns": pa.array(["live"] * count),
            "account": pa.array([f"a-{n % 97};'\"\n`\\\x00é" for n in numbers]),
            "ts": pa.array([1_700_000_000_000_000 + n for n in numbers], pa.timestamp("us", "UTC")),
            "quantity": pa.array([Decimal(n).scaleb(-12) for n in numbers], pa.decimal128(38, 12)),
            "tags": pa.array([["x", str(n)] for n in numbers]),
            "id": pa.array([n.to_bytes(16, "big") for n in numbers], pa.binary(16)),
            "position": pa.array(list(numbers), pa.uint64()),
        }
    )
