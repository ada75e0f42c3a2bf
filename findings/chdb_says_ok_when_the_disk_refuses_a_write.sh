#!/usr/bin/env bash
# An insert of chDB succeeds although the file system refused a write: the part is short, and its rows are gone at the next start.
#
# What: where write(2) fails in the midst of a part's file (ENOSPC on a full disk; here EFBIG by a limit on the size of files, which
#   needs no root), the engine goes on as if the bytes were there: the insert raises nothing, system.parts shows the part as active
#   with its full size, and its file is short. Reading it fails, or gives wrong answers from caches; when the engine is opened
#   again the part is set aside as broken and its rows are gone. The engine's own reservation of space ("Cannot reserve …") catches a disk that is full
#   before the insert, not one that fills up meanwhile. A merge that is written so replaces good parts.
# Who: whoever keeps usage in an embedded ClickHouse and acknowledges by its answers.
# Way out: the engine does count it: system.events, WriteBufferFromFileDescriptorWriteFailed. Look at it after each insert; once it
#   is above 0, believe nothing and open the engine anew (merged parts are still on disk for minutes). Keep room: keep_free_space_bytes.
# Seen: chdb 4.4.0 (engine 26.9.2.1), Linux x86-64, Python 3.11, 2026-11-28; by strace (write = -1 EFBIG, then rename of the part),
#   and with ENOSPC on a small tmpfs.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check chdb==4.4.0
cat > "$folder/see.py" <<'PY'
import resource
import sys
import chdb

session = chdb.connect(sys.argv[1])
ask = lambda sql: bytes(session.query(sql, "TSV").bytes()).decode().strip()
ask("CREATE DATABASE d")
ask("CREATE TABLE d.t (a UInt32, filling String) ENGINE = MergeTree ORDER BY a SETTINGS min_bytes_for_wide_part = 0")
failed = "SELECT sum(value) FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed'"
before = int(ask(failed))
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
try:
    ask("INSERT INTO d.t SELECT number, randomString(2000, number) FROM numbers(500)")
    said = "nothing wrong"
except Exception as error:
    said = str(error)[:60]
refused = int(ask(failed)) - before
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
shown = ask("SELECT sum(rows) FROM system.parts WHERE active AND database = 'd' AND table = 't'")
session.close()
session = chdb.connect(sys.argv[1])
left = ask("SELECT count() FROM d.t")
print(f"the insert of 500 rows said: {said}; writes refused: {refused}; rows of active parts: {shown}; rows when opened again: {left}")
sys.exit(0 if (said, refused > 0, shown, left) == ("nothing wrong", True, "500", "0") else 1)
PY
"$folder/venv/bin/python" "$folder/see.py" "$folder/data"
