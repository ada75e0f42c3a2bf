"""A process of ours that a test starts, kills and starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.local.stack import settings_environment
from schemas.rights.clickhouse_roles import role_name
from schemas.settings import Settings


class Process:
    """``python -m module`` with the stack's settings and ``changes`` to them; it writes to ``log``, and never outlives
    its block. In the local ClickHouse it has the rights of the role of rating, and no other."""

    def __init__(self, module: str, settings: Settings, log: Path, **changes: Any) -> None:
        user = {"clickhouse_user": role_name("rating")} if settings.clickhouse_user == "default" else {}
        own = settings.model_copy(update=user | changes)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module], env=clean | settings_environment(own), stdout=out, stderr=out
            )

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(15)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
