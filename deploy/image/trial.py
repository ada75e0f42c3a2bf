"""``python -m deploy.image.trial``: Dockerfile and compose file, tried where no registry of images can be reached.

It starts a Docker engine of its own (Debian's docker.io, without iptables and bridge: all containers share the host's
network), makes the base image of a tree of debootstrap, builds the image, and starts Weir's services of the compose
file on the Kafka and the ClickHouse of the local stack, which stand in for the official images. Events then go through
to an invoice, a gateway is replaced, and every container must be healthy, no root and unable to write its image. It
says what it saw. Needs root, docker.io, docker-compose and debootstrap, and a checkout after ``make setup``. Exit code
1: something was not as it should be.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from deploy.image.docker_engine import ROOT, DockerEngine, TrialError, base_image, build, engine, say, until
from deploy.local.ports import free_port
from deploy.local.stack import Stack
from schemas.settings import Settings

COMPOSE: Final = ROOT / "deploy" / "compose.yaml"
PORTS: Final = {
    "gateway": "WEIR_GATEWAY_PORT",
    "rating": "WEIR_RATING_PORT",
    "worker": "WEIR_WORKER_WEB_PORT",
    "webhooks": "WEIR_WEBHOOK_PORT",
    "scheduler": "WEIR_SCHEDULER_PORT",
}
_CATALOG: Final = """
namespace: {code: trial, max_event_age_seconds: null}
meters: [{code: calls, event_name: call, profiles: [{code: n, aggregation: count}]}]
products: [{code: calls, name: Calls, profile: calls.n}]
plans:
  - code: basic
    currency: USD
    grace_seconds: 0
    charges: [{product: calls, price: {model: per_unit, unit_amount: "0.5"}}]
accounts: [{code: acme}]
subscriptions: [{code: acme-basic, account: acme, plan: basic, start: 2026-01-01}]
"""


def adapted(composed: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, Any]:
    """The compose file as it can run here: on the host's network with free ports, and with containers that idle in
    place of both stores. Prometheus and Grafana, whose images cannot be had, are left out."""
    idle = {
        "image": "${WEIR_IMAGE}",
        "command": ["sleep", "infinity"],
        "healthcheck": {"test": ["CMD", "true"]},
        "network_mode": "host",
    }
    adapted_services: dict[str, Any] = {"kafka": idle, "clickhouse": idle}
    for name, service in composed["services"].items():
        if "profiles" in service or name in adapted_services:
            continue
        own = {key: value for key, value in service.items() if key != "ports"}
        if name in PORTS:
            own["environment"] = {**own["environment"], PORTS[name]: str(ports[name])}
        adapted_services[name] = {**own, "network_mode": "host"}
    return {"version": "3.9", "services": adapted_services, "volumes": composed["volumes"]}


def told(settings: Settings, ports: Mapping[str, int], tag: str) -> dict[str, str]:
    """The compose file's own variables."""
    return {
        "WEIR_IMAGE": tag,
        "WEIR_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "WEIR_CLICKHOUSE_PORT": str(settings.clickhouse_port),
        "WEIR_CLICKHOUSE_HOST": "127.0.0.1",
        "WEIR_GATEWAY_URL": f"http://127.0.0.1:{ports['gateway']}",
        "WEIR_CLOSE_SCHEDULE_SECONDS": "5",
        "CLICKHOUSE_USER": "default",
        "CLICKHOUSE_PASSWORD": settings.clickhouse_password.get_secret_value(),
        "WEIR_ADMIN_KEY": secrets.token_hex(16),
    }


def services(found: DockerEngine, folder: Path, settings: Settings, tag: str) -> Iterator[str]:
    """The compose file's services, from start to invoice; what is wrong with them. Raises TrialError."""
    ports = {name: free_port() for name in PORTS}
    variables = told(settings, ports, tag)
    (folder / "compose.yaml").write_text(yaml.safe_dump(adapted(yaml.safe_load(COMPOSE.read_text()), ports)))
    command = ("docker-compose", "-p", "weir-trial", "-f", str(folder / "compose.yaml"))

    def compose(*arguments: str) -> str:
        return found.run(*command, *arguments, environment=variables)

    def container(name: str) -> dict[str, Any]:
        [shown] = json.loads(found.run("/usr/bin/docker", "inspect", compose("ps", "-q", name).strip()))
        return dict(shown)

    try:
        compose("up", "-d")
        say("compose: up")
        health = {name: str(container(name)["State"]["Health"]["Status"]) for name in PORTS}
        until("health", lambda: {name: container(name)["State"]["Health"]["Status"] for name in PORTS}, _all_healthy)
        say(f"healthy, by the image's own check (at first {health})")
        for name in PORTS:
            yield from _of_container(
                name, container(name), lambda *words, name=name: compose("exec", "-T", name, *words)
            )
        _bill(ports, variables["WEIR_ADMIN_KEY"])
        compose("run", "--rm", "-T", "init", "python3", "-m", "rating.scheduler", "--once")
        say("a round of closes ended by itself, as in a CronJob")
        compose("up", "-d", "--force-recreate", "--no-deps", "gateway")
        until(
            "the gateway again",
            lambda: container("gateway")["State"]["Health"]["Status"],
            lambda state: state == "healthy",
        )
        say("the gateway was replaced")
    except TrialError:
        print(compose("logs", "--tail", "20")[-8000:], flush=True)  # noqa: T201
        raise
    finally:
        compose("down", "-v")


def _all_healthy(states: Mapping[str, str]) -> bool:
    return set(states.values()) == {"healthy"}


def _of_container(name: str, shown: Mapping[str, Any], execute: Callable[..., str]) -> Iterator[str]:
    if execute("id", "-u").strip() != "10001":
        yield f"{name} does not run as user 10001"
    if not shown["HostConfig"]["ReadonlyRootfs"] or shown["HostConfig"]["CapDrop"] != ["ALL"]:
        yield f"{name} may write its image, or has capabilities"
    if shown["RestartCount"]:
        yield f"{name} was started again {shown['RestartCount']} times"


def _bill(ports: Mapping[str, int], key: str) -> None:
    """Events by HTTP become a finalized invoice by the scheduler. Raises TrialError."""
    gateway, rating = (f"http://127.0.0.1:{ports[name]}" for name in ("gateway", "rating"))
    with httpx.Client(headers={"Authorization": f"Bearer {key}", "Weir-Namespace": "trial"}, timeout=30) as client:
        applied = client.post(
            f"{gateway}/v1/catalog/apply", content=_CATALOG, headers={"Content-Type": "application/yaml"}
        )
        if not applied.is_success:
            raise TrialError(f"the catalog was refused: {applied.text[:500]}")
        call = {"event_name": "call", "account_id": "acme", "timestamp": "2026-01-20T12:00:00Z", "properties": {}}
        events = [{**call, "idempotency_key": f"c{number}"} for number in range(100)]
        for _ in range(2):
            sent = client.post(f"{gateway}/v1/events/batch", json={"events": events})
            if sent.status_code != 202:
                raise TrialError(f"events were refused: {sent.status_code} {sent.text[:500]}")

        def totals() -> list[str]:
            heads = client.get(f"{rating}/v1/invoices").json().get("invoices", [])
            return [head["total"] for head in heads if head["period_start"].startswith("2026-01")]

        found = until("January's invoice", totals, bool)
    if found != ["50.00"]:
        raise TrialError(f"100 calls, each sent twice, at 0.50 were billed as {found}")
    say("100 events, each sent twice, were billed once: 50.00 USD, closed by the scheduler's container")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.image.trial", description="Dockerfile and compose file, tried"
    )
    parser.add_argument("--pip-conf", type=Path, help="pip's settings for the build, kept in no layer")
    parser.add_argument("--ca", type=Path, help="a CA certificate for pip, likewise")
    given = parser.parse_args(arguments)
    lacking = [name for name in ("dockerd", "docker-compose", "debootstrap") if shutil.which(name) is None]
    if lacking or os.geteuid():
        print(f"it needs root and: {', '.join(lacking) or 'nothing else'}", file=sys.stderr)  # noqa: T201
        return 2
    folder = Path(tempfile.mkdtemp(prefix="weir-trial-"))
    stack = Stack(folder / "stores", ports="free", processes=("kafka", "clickhouse"), cache_dir=ROOT / ".weir")
    faults: list[str] = []
    try:
        with engine(folder) as found:
            base_image(found, folder)
            build(found, "weir:trial", given.pip_conf, given.ca)
            stack.start()
            say("the local stack's Kafka and ClickHouse stand in for the official images")
            faults += services(found, folder, stack.settings, "weir:trial")
    except TrialError as error:
        faults.append(str(error))
    finally:
        stack.stop()
    for fault in faults:
        say(f"WRONG: {fault}")
    say(f"{len(faults)} faults" + (f"; logs are in {folder}" if faults else ""))
    if not faults:
        shutil.rmtree(folder, ignore_errors=True)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
