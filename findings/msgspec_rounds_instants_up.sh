#!/usr/bin/env bash
# msgspec rounds an RFC 3339 text of more than six fractional digits to the NEAREST microsecond, so an instant may move later: the last
# 100 ns of a month are decoded as the next month. CPython's own datetime.fromisoformat cuts instead, so two doors of one service that use
# different decoders put the same event into different months.
#
# Who meets it: anybody who meters or bills by calendar periods and takes events from .NET (7 digits: DateTime "o"), Go (9 digits:
# time.RFC3339Nano) or Java (9): 2025-01-31T23:59:59.9999999Z is what their clocks write in the last tick of January. It is billed to
# February, or to nobody where the subscription ended with January.
#
# Package: msgspec 0.22.0 (PyPI), seen 2026-11-28. Source: seen by running it; msgspec's documentation says that
# fractional seconds are supported and does not say what becomes of a seventh digit.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check msgspec==0.22.0
"$folder/venv/bin/python" - <<'PY'
import sys
from datetime import datetime

import msgspec

expected = {
    "2025-01-31T23:59:59.9999999Z": ("2025-02-01T00:00:00+00:00", "2025-01-31T23:59:59.999999+00:00"),
    "2025-01-31T23:59:59.999999999Z": ("2025-02-01T00:00:00+00:00", "2025-01-31T23:59:59.999999+00:00"),
    "2025-01-31T23:59:59.9999994Z": ("2025-01-31T23:59:59.999999+00:00", "2025-01-31T23:59:59.999999+00:00"),
}
changed = False
for text, (rounded, cut) in expected.items():
    by_msgspec = msgspec.json.decode(f'"{text}"'.encode(), type=datetime).isoformat()
    by_python = datetime.fromisoformat(text).isoformat()
    print(f"{text}: msgspec {by_msgspec}, datetime.fromisoformat {by_python}")
    changed |= (by_msgspec, by_python) != (rounded, cut)
sys.exit(1 if changed else 0)
PY
