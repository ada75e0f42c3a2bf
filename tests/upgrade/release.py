"""A release of Weir in a checkout of its own, what can be run of it, and how its services are asked."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

NAMESPACE: Final = "up"
_COMMAND_SECONDS: Final = 300


class UpgradeError(Exception):
    """The upgrade cannot go on; the message says which command ended how."""


@dataclass(frozen=True, slots=True)
class Release:
    """A checkout with a ready ``.venv`` (``make setup``)."""

    checkout: Path

    @property
    def inbox_on_request(self) -> str:
        """What a namespace of this release says to have an inbox: nothing where each namespace has its own."""
        models = self.checkout / "schemas/catalog/models.py"
        return ", inbox: true" if models.exists() and "    inbox: bool" in models.read_text() else ""

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """This process' environment without variables of Weir's, with ``variables`` and this checkout's code."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
        return clean | {"PYTHONPATH": str(self.checkout), "PYTHONUNBUFFERED": "1"} | dict(variables)

    def run(self, data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``weir`` with these arguments on the stack of ``data_dir``, whatever its exit code.

        Its output is captured: a daemon that kept the pipe open would let this wait for ever, which the limit tells.
        """
        python = str(self.checkout / ".venv/bin/python")
        variables = {"WEIR_DATA_DIR": str(data_dir), "WEIR_NAMESPACE": NAMESPACE}
        try:
            return subprocess.run(
                [python, "-c", "from deploy.cli.main import main; main()", *arguments],
                cwd=self.checkout, env=self.environment(variables), capture_output=True, text=True,
                timeout=_COMMAND_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise UpgradeError(f"`weir {' '.join(arguments)}` did not return in {_COMMAND_SECONDS} s") from None

    def weir(self, data_dir: Path, *arguments: str) -> str:
        """What ``weir`` printed. Raises UpgradeError where it did not end with 0."""
        ended = self.run(data_dir, *arguments)
        if ended.returncode:
            said = (ended.stdout + ended.stderr).strip()[-3000:]
            raise UpgradeError(f"`weir {' '.join(arguments)}` ended with {ended.returncode}:\n{said}")
        return ended.stdout

    def call(self, code: str, variables: Mapping[str, str]) -> None:
        """Run a piece of Python of this release. Raises UpgradeError."""
        python = str(self.checkout / ".venv/bin/python")
        ended = subprocess.run(
            [python, "-c", code], cwd=self.checkout, env=self.environment(variables), capture_output=True, text=True,
            timeout=_COMMAND_SECONDS,
        )  # fmt: skip
        if ended.returncode:
            raise UpgradeError(f"{code}: {ended.stderr.strip()[-3000:]}")

    def start(self, module: str, variables: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """A process of this release, which the caller ends."""
        with log.open("ab") as out:
            return subprocess.Popen(
                [str(self.checkout / ".venv/bin/python"), "-m", *module.split()],
                cwd=self.checkout, env=self.environment(variables), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Services:
    """Where a stack's two services, its ClickHouse and its Kafka answer, and the admin key."""

    gateway: str
    rating: str
    clickhouse: str
    kafka: str
    key: str
    clickhouse_headers: Mapping[str, str]

    @property
    def headers(self) -> dict[str, str]:
        """What every request to a service carries."""
        return {"authorization": f"Bearer {self.key}", "weir-namespace": NAMESPACE}

    def get(self, path: str) -> Any:
        """The rating service's answer. Raises UpgradeError."""
        return _json(httpx.get(self.rating + path, headers=self.headers, timeout=60))

    def post(self, service: str, path: str, body: Any) -> httpx.Response:
        """Whatever a service (its URL) answers; a text is YAML."""
        kind = "application/yaml" if isinstance(body, str) else "application/json"
        content = body if isinstance(body, str) else json.dumps(body)
        headers = self.headers | {"content-type": kind}
        return httpx.post(service + path, content=content, headers=headers, timeout=60)

    def send(self, events: list[dict[str, Any]]) -> None:
        """Events in batches of 100, all acknowledged. Raises UpgradeError."""
        for start in range(0, len(events), 100):
            answer = self.post(self.gateway, "/v1/events/batch", {"events": events[start : start + 100]})
            if answer.status_code != 202:
                raise UpgradeError(f"events were not taken: {answer.status_code} {answer.text[:1000]}")

    def apply(self, document: str) -> None:
        """Publish a catalog document. Raises UpgradeError."""
        _json(self.post(self.gateway, "/v1/catalog/apply", document))

    def rows(self, sql: str) -> list[list[str]]:
        """Rows of a query, each value as ClickHouse's TSV has it. Raises UpgradeError."""
        answer = httpx.post(self.clickhouse, content=sql, headers=dict(self.clickhouse_headers), timeout=120)
        if not answer.is_success:
            raise UpgradeError(f"{sql}: {answer.text[:1000]}")
        # ClickHouse escapes tabs and line ends in values, but not what str.splitlines also ends a line at, nor bytes
        # that are no UTF-8. Identities have both.
        text = answer.content.decode("utf-8", "backslashreplace")
        return [line.split("\t") for line in text.split("\n")[:-1]]


def services(data_dir: Path) -> Services:
    """The running stack of a folder, of whichever release."""
    settings: dict[str, str] = json.loads((data_dir / "stack.json").read_text())["settings"]
    headers = {}
    password = data_dir / "clickhouse-password"  # releases before it ask for none
    if password.exists():
        headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": password.read_text().strip()}
    return Services(
        f"http://127.0.0.1:{settings['WEIR_GATEWAY_PORT']}",
        f"http://127.0.0.1:{settings['WEIR_RATING_PORT']}",
        f"http://127.0.0.1:{settings['WEIR_CLICKHOUSE_PORT']}/?database={settings['WEIR_CLICKHOUSE_DATABASE']}",
        settings["WEIR_KAFKA_BOOTSTRAP"],
        (data_dir / "admin-key").read_text().strip(),
        headers,
    )


def _json(answer: httpx.Response) -> Any:
    if not answer.is_success:
        raise UpgradeError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:2000]}")
    return answer.json()
