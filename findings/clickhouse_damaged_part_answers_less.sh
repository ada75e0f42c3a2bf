#!/usr/bin/env bash
# A part of a MergeTree table that was cut short while the engine was down (a loss of power: nothing is fsynced by default) is moved to the
# folder "detached" when the table is loaded again, and from then on every query answers without its rows: no error, no warning in the
# answer, exit code 0. SELECT sum() is simply smaller. Only system.detached_parts says so (reason broken-on-start).
#
# Who meets it: whoever bills from sums in ClickHouse: after a power loss an invoice is lower than the usage, and nothing failed.
# What to do: ask system.detached_parts at start and before billing; fsync_after_insert = 1 for what may not be lost; compare counts.
#
# Package: chdb 4.4.0 (PyPI; the ClickHouse engine in process, 26.9). Seen 2026-11-28, by truncating data.bin of the newest part.
# Source: seen by running this; ClickHouse documents system.detached_parts and max_suspicious_broken_parts, not what sums then answer.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q chdb==4.4.0
cat > "$folder/see.py" <<'PY'
import sys
from pathlib import Path

import chdb

path, step = sys.argv[1], sys.argv[2]
session = chdb.connect(path)


def ask(sql):
    return bytes(session.query(sql, "TSVRaw").bytes()).decode().strip()


if step == "write":
    session.query("CREATE DATABASE IF NOT EXISTS m")
    session.query("CREATE TABLE m.usage (day Date, amount Decimal(18, 2)) ENGINE = MergeTree ORDER BY day")
    for number in range(3):
        session.query(f"INSERT INTO m.usage VALUES ('2026-01-0{number + 1}', 100)")
    print("sum as written:", ask("SELECT sum(amount) FROM m.usage"))
    Path(path + ".part").write_text(ask("SELECT path FROM system.parts WHERE database = 'm' AND active ORDER BY name DESC LIMIT 1"))
elif step == "damage":
    part = Path(Path(path + ".part").read_text()) / "data.bin"
    with part.open("r+b") as file:
        file.truncate(10)
    print("cut short:", part.name, "of one part")
else:
    total = ask("SELECT sum(amount) FROM m.usage")
    detached = ask("SELECT count(), any(reason) FROM system.detached_parts WHERE database = 'm'")
    print("sum after a restart, without any error:", total)
    print("system.detached_parts:", detached)
    sys.exit(0 if (total, detached) == ("200", "1\tbroken-on-start") else 1)
session.close()
PY
for step in write damage read; do
  "$folder/venv/bin/python" "$folder/see.py" "$folder/data" "$step"
done
echo "still so: two thirds of the sum, and no error"
