"""``weir`` in the process of the test: a process of its own takes most of a second to import what is here already.

`integration/road/test_readme.py` and `unit/deploy/cli/test_commands.py` run the program itself.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from unittest.mock import patch

from deploy.cli.main import main


@dataclass(frozen=True, slots=True)
class WeirRun:
    """What a run of the command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def run_weir(*arguments: str, variables: Mapping[str, str], stdin: str = "") -> WeirRun:
    """Run the command with these arguments. ``variables``: the WEIR_* variables that it sees, and no others; tests that
    run at once in threads share the variables of the process, and cannot use this."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
    streams = [TextIOWrapper(BytesIO(data), "utf8", write_through=True) for data in (stdin.encode(), b"", b"")]
    with ExitStack() as replaced:
        replaced.enter_context(patch.dict(os.environ, environment | dict(variables), clear=True))
        replaced.enter_context(patch.object(sys, "argv", ["weir", *arguments]))
        replaced.enter_context(patch.object(sys, "stdin", streams[0]))
        replaced.enter_context(redirect_stdout(streams[1]))
        replaced.enter_context(redirect_stderr(streams[2]))
        code = _exit_code()
    output = []
    for stream in streams[1:]:
        stream.seek(0)
        output.append(stream.read())
    return WeirRun(code, *output)


def _exit_code() -> int:
    """As the interpreter gives it for what leaves ``main``."""
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0
