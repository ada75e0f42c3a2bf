"""The local stack: Kafka, ClickHouse, and Weir's services with settings that fit together.

In process (tests, fixtures)::

    with Stack(tmp_path, ports="free", processes=("kafka", "clickhouse", "init")) as stack:
        stack.settings.kafka_bootstrap

``weir up`` runs ``run_foreground`` or ``detach``; ``weir down`` runs ``down``; ``weir status`` reads ``read_state``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import SecretStr

from deploy.local import kafka
from deploy.local.local_brokers import broker_count, broker_nodes, broker_specs
from deploy.local.ports import free_port, preferred_port
from deploy.local.probes import answers, http_ok
from deploy.local.process import Hook, ProcessSpec, StartStep
from deploy.local.stack_secrets import admin_key, analyst_password, clickhouse_password
from deploy.local.stack_state import StackState
from deploy.local.supervisor import PhaseProgress, Supervisor
from schemas.errors import EXIT_HELD
from schemas.rights.clickhouse_roles import role_name
from schemas.settings import Settings, load_settings

ALL: tuple[str, ...] = ("clickhouse", "kafka", "init", "gateway", "worker", "rating", "webhooks", "scheduler")
"""The kinds of process in the order of their start; ``init`` creates the topics and migrates the tables, ``scheduler``
runs where settings.close_schedule_seconds is not 0."""

Ports = Literal["preferred", "free"]
_ROOT = Path(__file__).resolve().parents[2]
_WORKER_WEB_PORT = 6066


class Stack:
    """One stack on one data folder.

    ``ports="preferred"`` takes the settings' ports where they are free; ``"free"`` takes any free ones.
    ``overrides`` are fields of Settings and win over the environment; addresses and ports of Kafka and ClickHouse
    are the stack's own, unless that kind of process is left out: then they are the settings'. Workers are named
    worker-0, worker-1, …. ``brokers``: see ``local_brokers.broker_count``, which raises KafkaError.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        ports: Ports = "preferred",
        processes: Sequence[str] = ALL,
        workers: int = 1,
        gateways: int = 1,
        brokers: int | None = None,
        worker_env: Mapping[str, str] | None = None,
        worker_module: str = "stream_processors.worker",
        overrides: Mapping[str, Any] | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        unknown = set(processes) - set(ALL)
        if unknown:
            raise ValueError(f"no such process: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
        self.data_dir = data_dir.absolute()
        self._kinds = [kind for kind in ALL if kind in processes]
        self._cache_dir = cache_dir or _default_cache(self.data_dir)
        self._ports_policy = ports
        self._taken: set[int] = set()
        self._brokers = broker_count(self.data_dir, brokers) if "kafka" in self._kinds else 0
        self.settings = self._settle(dict(overrides or {}))
        self._controller_ports = [self._port(0) for _ in range(self._brokers)]
        self._web_ports = [self._port(_WORKER_WEB_PORT + index) for index in range(workers)]
        self.gateway_ports = [self.settings.gateway_port, *(self._port(0) for _ in range(gateways - 1))]
        # A webhook is a namespace's to choose, and this stack's own doors are not for it.
        own_ports = {*self._controller_ports, *self._web_ports, *self.gateway_ports, *self._taken}
        self.settings = self.settings.model_copy(update={"webhook_own_ports": ",".join(map(str, sorted(own_ports)))})
        self._worker_env = dict(worker_env or {})
        self._worker_module = worker_module
        self._supervisor: Supervisor | None = None

    def start(self, progress: PhaseProgress | None = None) -> None:
        """Start everything and return when all is ready.

        Raises KafkaError, StackBusyError, StartError, and what creating topics or tables raises.
        """
        environment = settings_environment(self.settings)
        public = {
            name: value
            for name, value in environment.items()
            if not isinstance(getattr(self.settings, name.removeprefix("WEIR_").lower()), SecretStr)
        }
        supervisor = Supervisor(self.data_dir, self._steps(environment), public)
        supervisor.start(progress)
        self._supervisor = supervisor

    def stop(self) -> None:
        """Stop everything, in reverse order."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None

    def kill(self, name: str) -> int:
        """SIGKILL one process; the supervisor starts it again. Gives the pid killed."""
        return self._running().kill(name)

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one process and its group: SIGSTOP freezes it, SIGCONT lets it go on."""
        self._running().send_signal(name, number)

    def restart(self, name: str) -> None:
        """Stop one process gently and start it again, without waiting until it is ready."""
        self._running().restart(name)

    def pid(self, name: str) -> int:
        """Pid of one process, 0 while it is down."""
        return self._running().pid(name)

    def wait_ready(self, name: str, timeout_s: float = 60.0, not_pid: int = 0) -> None:
        """Wait until one process is ready, as another one than ``not_pid``. Raises StartError."""
        self._running().wait_ready(name, timeout_s, not_pid)

    def state(self) -> StackState:
        """A snapshot of all processes."""
        return self._running().state()

    def check(self) -> None:
        """Raise what ended the supervision, if anything but ``stop`` did."""
        self._running().check()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the stack is not running")
        return self._supervisor

    def _port(self, preferred: int) -> int:
        free = self._ports_policy == "free"
        port = free_port(self._taken) if free else preferred_port(preferred, self._taken)
        self._taken.add(port)
        return port

    def _settle(self, overrides: dict[str, Any]) -> Settings:
        base = load_settings(**overrides)
        if "kafka" in self._kinds:
            first = int(base.kafka_bootstrap.partition(",")[0].rpartition(":")[2])
            ports = [self._port(first), *(self._port(0) for _ in range(self._brokers - 1))]
            overrides.update(
                kafka_bootstrap=",".join(f"127.0.0.1:{port}" for port in ports),
                kafka_security_protocol="PLAINTEXT",
                kafka_replication=self._brokers,
            )
        if "clickhouse" in self._kinds:
            overrides.update(
                clickhouse_host="127.0.0.1",
                clickhouse_port=self._port(base.clickhouse_port),
                clickhouse_secure=False,
                clickhouse_cluster="",
            )
            if not base.clickhouse_password.get_secret_value():
                overrides["clickhouse_password"] = SecretStr(clickhouse_password(self.data_dir))
        folders = ",".join(str(self.data_dir / name) for name in ("", "kafka", "clickhouse"))
        if "," not in str(self.data_dir):
            overrides.setdefault("watched_folders", base.watched_folders or folders)
        overrides.setdefault("snapshot_dir", base.snapshot_dir or str(self.data_dir / "snapshots"))
        overrides.update(
            gateway_url="",  # this stack's own gateway: its admin key goes nowhere else
            gateway_port=self._port(base.gateway_port),
            rating_port=self._port(base.rating_port),
            webhook_port=self._port(base.webhook_port),
            scheduler_port=self._port(base.scheduler_port),
            data_dir=str(self.data_dir),
        )
        if not base.admin_key.get_secret_value():
            overrides["admin_key"] = SecretStr(admin_key(self.data_dir))
        return load_settings(**overrides)

    def _steps(self, settings_env: Mapping[str, str]) -> list[StartStep]:
        settings = self.settings
        env = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
        env |= dict(settings_env) | {"PYTHONUNBUFFERED": "1"}
        # A service is importable wherever the stack was started.
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), env.get("PYTHONPATH", "")]))
        rating_env = env | self._clickhouse_user("rating")
        steps: list[StartStep] = []
        for kind in self._kinds:
            if kind == "kafka":
                steps.append(Hook("kafka-storage", self._prepare_kafka, waits=False))
                steps += broker_specs(self._cache_dir / "kafka-libs", self._nodes(), env)
            elif kind == "clickhouse":
                path, port = str(self.data_dir / "clickhouse"), settings.clickhouse_port
                from schemas.migrations import view_names

                command = _python("deploy.local.clickhouse.front", "--path", path, "--port", str(port))
                command += ("--database", settings.clickhouse_database, "--views", ",".join(view_names()))
                # Half of what the gateway stops at: what it took before still gets through.
                command += ("--keep-free-mb", str(settings.minimum_free_mb // 2))
                ready = http_ok("127.0.0.1", port, "/ping")
                passwords = {"WEIR_CLICKHOUSE_ANALYST_PASSWORD": analyst_password(self.data_dir)}
                steps.append(
                    ProcessSpec(kind, command, {**env, **passwords}, ready, stop_grace_s=10, ports={"http": port})
                )
            elif kind == "init":
                steps.append(Hook(kind, self._init))
            elif kind == "worker":
                steps += [self._worker(env, index, port) for index, port in enumerate(self._web_ports)]
            elif kind == "gateway":
                steps += [self._gateway(env, index, port) for index, port in enumerate(self.gateway_ports)]
            elif kind == "webhooks":
                # It may be killed at any time: what it had not written is delivered again.
                ready = answers(settings.webhook_host, settings.webhook_port)
                ports, held = {"metrics": settings.webhook_port}, frozenset({EXIT_HELD})
                steps.append(
                    ProcessSpec(kind, _python("rating.webhooks"), rating_env, ready, ports=ports, held_codes=held)
                )
            elif kind == "scheduler":
                # It may be killed at any time: the close that it was in is joined by the next one.
                ports = {"metrics": settings.scheduler_port}
                scheduler = ProcessSpec(kind, _python("rating.scheduler"), rating_env, ports=ports)
                steps += [scheduler] if settings.close_schedule_seconds else []
            else:
                ready = answers(settings.rating_host, settings.rating_port)
                ports = {"http": settings.rating_port}
                steps.append(ProcessSpec(kind, _python("rating.service"), rating_env, ready, ports=ports))
        return steps

    def _gateway(self, env: Mapping[str, str], index: int, port: int) -> ProcessSpec:
        return ProcessSpec(
            f"gateway-{index}" if index else "gateway",
            _python("ingest.gateway"),
            {**env, "WEIR_GATEWAY_PORT": str(port)},
            answers(self.settings.gateway_host, port),
            ports={"http": port},
        )

    def _clickhouse_user(self, role: Literal["worker", "rating"]) -> dict[str, str]:
        """Its own user for a process, where this stack's ClickHouse knows it: with the rights that it needs alone."""
        return {"WEIR_CLICKHOUSE_USER": role_name(role)} if "clickhouse" in self._kinds else {}

    def _nodes(self) -> list[kafka.BrokerNode]:
        ports = [int(address.rpartition(":")[2]) for address in self.settings.kafka_bootstrap.split(",")]
        return broker_nodes(self.data_dir, ports, self._controller_ports)

    def _prepare_kafka(self) -> None:
        # A step, and no earlier: now the folder is locked, and no running broker's configuration is touched.
        kafka.prepare_nodes(kafka.kafka_libs(self._cache_dir), self._nodes())

    def _worker(self, env: Mapping[str, str], index: int, port: int) -> ProcessSpec:
        variables = {"WEIR_WORKER_INDEX": str(index), "WEIR_WORKER_WEB_PORT": str(port)}
        return ProcessSpec(
            f"worker-{index}",
            _python(self._worker_module),
            {**env, **self._clickhouse_user("worker"), **variables, **self._worker_env},
            answers("127.0.0.1", port),
            held_codes=frozenset({EXIT_HELD}),
            stop_grace_s=4,  # Faust can hang on SIGTERM; a worker may be killed at any time
            ports={"web": port},
        )

    def _init(self) -> None:
        from schemas.clickhouse.client import connect
        from schemas.kafka.topics import create_topics
        from schemas.migrations import migrate, view_names
        from schemas.rights.view_definers import opening

        create_topics(self.settings)
        migrate(self.settings)
        if "clickhouse" in self._kinds:
            client = connect(self.settings)
            try:
                for view in view_names():
                    client.command(opening(self.settings.clickhouse_database, view))
            finally:
                client.close()


def settings_environment(settings: Settings) -> dict[str, str]:
    """All settings as WEIR_* variables, secrets in the clear: for the environment of a child, never for a log."""
    out = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        out[f"WEIR_{name.upper()}"] = text
    return out


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _default_cache(data_dir: Path) -> Path:
    """Kafka's jars are shared by all stacks of a checkout; an installed Weir keeps them with its data."""
    return _ROOT / ".weir" if (_ROOT / "pyproject.toml").exists() else data_dir
