"""A stack for tests of faults, whose ClickHouse starts and stops by itself; what they send and ask."""

from __future__ import annotations

import shutil
import signal
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.cli.operation.not_ready import lines, reasons_not_ready
from deploy.local.ports import free_port
from deploy.local.probes import reasons_of
from deploy.local.stack import Stack, settings_environment
from schemas.clickhouse.client import connect
from tests.integration.world import World, declare
from tests.weir_command import run_weir

METER = {"code": "m", "event_name": "e", "profiles": [{"code": "n", "aggregation": "sum", "property": ["n"]}]}
CATALOG: dict[str, Any] = {
    "meters": [METER],
    "products": [{"code": "n", "profile": "m.n"}],
    "plans": [
        {
            "code": "p",
            "currency": "USD",
            "charges": [{"product": "n", "price": {"model": "per_unit", "unit_amount": "1"}}],
        }
    ],
    "accounts": [{"code": "a"}],
    "subscriptions": [{"code": "s", "account": "a", "plan": "p", "start": "2026-01-01"}],
}


@dataclass
class Rig:
    """A stack, and beside it the ClickHouse that it uses."""

    folder: Path
    wait: Callable[..., Any]
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.clickhouse = self.start_clickhouse()
        overrides = self.clickhouse.settings.model_dump(
            include={"clickhouse_host", "clickhouse_port", "clickhouse_password"}
        )
        overrides |= {"checkpoint_seconds": 5, "flush_seconds": 0.2, "close_schedule_seconds": 0, "partitions": 1}
        kinds = ("kafka", "init", "gateway", "worker", "rating")
        self.stack = Stack(self.folder / "stack", ports="free", processes=kinds, overrides=overrides)
        self.stack.start()

    def start_clickhouse(self) -> Stack:
        """On the port and the folder that it always had."""
        self.clickhouse = Stack(
            self.folder, ports="preferred", processes=("clickhouse",), overrides={"clickhouse_port": self.port}
        )
        self.clickhouse.start()
        return self.clickhouse

    @property
    def data(self) -> Path:
        """ClickHouse's own folder; it has to be down."""
        return self.folder / "clickhouse"

    def snapshot(self, copy: Path) -> None:
        """Copy the folder of ClickHouse while it stands still, as a snapshot of a disk does."""
        self.clickhouse.send_signal("clickhouse", signal.SIGSTOP)
        try:
            shutil.copytree(self.data, copy, symlinks=True)
        finally:
            self.clickhouse.send_signal("clickhouse", signal.SIGCONT)

    def damage(self, *tables: str, killing: str = "") -> None:
        """Cut the newest part of each table short while ClickHouse is down. ``killing``: a process that starts anew
        meanwhile, so that it finds the damage at its start."""
        client = connect(self.stack.settings)
        sql = (
            "SELECT path FROM system.parts WHERE table = {t:String} AND active ORDER BY modification_time "
            "DESC, max_block_number DESC LIMIT 1"
        )
        paths = [client.query(sql, parameters={"t": table}).result_rows[0][0] for table in tables]
        client.close()
        self.clickhouse.stop()
        for path in paths:
            packed = Path(path) / "data.packed"
            with (packed if packed.exists() else Path(path) / "data.bin").open("r+b") as file:
                file.truncate(20)
        killed = self.stack.kill(killing) if killing else 0
        self.start_clickhouse()
        if killing:
            self.stack.wait_ready(killing, 60, not_pid=killed)

    def weir(self, world: World, *arguments: str, code: int = 0) -> str:
        """What the command prints, as a person runs it."""
        done = run_weir(*arguments, variables=settings_environment(world.settings))
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def status(self) -> list[str]:
        """What `weir status` says of services that are not as they should be."""
        return list(lines(reasons_not_ready(self.stack.state())))

    def reasons(self, process: str) -> list[str]:
        """Names of what keeps a process from being ready."""
        ports = self.stack.state().processes[process].ports
        return [reason.name for reason in reasons_of("127.0.0.1", next(iter(ports.values()))) or ()]

    def world(self) -> World:
        """A namespace of its own."""
        code = f"t{uuid.uuid4().hex[:12]}"
        declare(self.stack.settings, {"namespace": {"code": code, "max_event_age_seconds": None}})
        return World(self.stack.settings, code, self.wait)


def events(world: World, *days: int, first: int = 0) -> None:
    """One event of n = 1 a day of January."""
    world.send(
        [
            {
                "event_name": "e", "account_id": "a", "idempotency_key": f"{world.namespace}-{first + number}",
                "timestamp": f"2026-01-{day:02d}T12:00:00Z", "properties": {"n": 1},
            }
            for number, day in enumerate(days)
        ]
    )  # fmt: skip


def of_january(world: World, metric: str) -> str:
    """The quantity of the one account."""
    [row] = world.usage(metric, start="2026-01-01T00:00:00Z", end="2026-02-01T00:00:00Z")
    return str(row["quantity"])
