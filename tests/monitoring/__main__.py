"""``python -m tests.monitoring``: Prometheus' own tool reads the alert rules and the dashboard, and runs both.

``promtool`` is built once, into ``build/``, from the pinned Go module (some minutes; needs Go and a module proxy).
Every rule fires on series in which it should and is silent on others (``cases.py``), every query of the dashboard is
evaluated as a recording rule. Exit code 0: all do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml

from tests.monitoring.cases import ALERTS, DASHBOARD, alert_tests, dashboard_rules, dashboard_tests

_MODULE: Final = "github.com/prometheus/prometheus/cmd/promtool"
_VERSION: Final = "v0.313.5"
_BUILD: Final = Path(__file__).resolve().parents[2] / "build" / "promtool"


def promtool() -> Path:
    """The program; built where it is missing. A module of its own around it, since its own has replacements, which `go
    install` refuses."""
    program = _BUILD / f"promtool-{_VERSION}"
    if not program.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"GOFLAGS": "-mod=mod"}
        if not (_BUILD / "go.mod").exists():
            subprocess.run(["go", "mod", "init", "weir.promtool"], cwd=_BUILD, check=True)
        build = ["go", "build", "-tags", "remove_all_sd", "-o", str(program), _MODULE]  # without clients of clouds
        for command in (["go", "get", "-tool", f"{_MODULE}@{_VERSION}"], build):
            subprocess.run(command, cwd=_BUILD, check=True, env=environment)
    return program


def main() -> int:
    """The command line."""
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else promtool()
    _BUILD.mkdir(parents=True, exist_ok=True)
    rules, tests = _BUILD / "dashboard-rules.yaml", _BUILD / "tests.yaml"
    rules.write_text(yaml.safe_dump(dashboard_rules(DASHBOARD)))
    document = alert_tests() | {"rule_files": [str(ALERTS), str(rules)]}
    document["tests"] += dashboard_tests(DASHBOARD)
    tests.write_text(yaml.safe_dump(document))
    codes = [
        subprocess.run([str(program), *arguments], check=False).returncode
        for arguments in (["check", "rules", str(ALERTS), str(rules)], ["test", "rules", str(tests)])
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
