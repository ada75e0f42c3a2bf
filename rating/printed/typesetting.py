"""The PDF of an invoice: set in a process of its own, which is ended when it takes too long."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Final

from schemas.errors import WeirError
from schemas.values.json_text import JsonObject

log = logging.getLogger(__name__)

SECONDS: Final = 30.0
_SCRIPT: Final = Path(__file__).with_name("typeset.py")
_MOST_ERROR: Final = 2_000


class NotPrinted(WeirError):
    """An invoice could not be set in the time and memory that one has."""


def printed(document: JsonObject, seconds: float = SECONDS) -> bytes:
    """The PDF of the template's values, the same bytes for the same values. Blocking. Raises NotPrinted."""
    given = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    command = [sys.executable, "-I", str(_SCRIPT)]
    try:
        run = subprocess.run(command, input=given, capture_output=True, timeout=seconds, env={}, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise NotPrinted(f"{document['number']} was not set as PDF within {seconds:g} s; try again later") from None
    if run.returncode != 0 or not run.stdout.startswith(b"%PDF-"):
        log.error("no PDF of %s: exit code %d, %s", document["number"], run.returncode,
                  run.stderr[-_MOST_ERROR:].decode("utf-8", "replace"))  # fmt: skip
        raise NotPrinted(f"{document['number']} could not be set as PDF; the rating service's log says why")
    return run.stdout
