#!/usr/bin/env bash
# chDB's streaming insert says that rows were written when writing them failed.
#
# What: Connection.send_insert(…).append(…).finish() raises for rows that cannot be parsed and for an unknown table. For what goes
#   wrong while the rows are written (a CHECK constraint, an exception in a materialised view, too many partitions) it raises
#   nothing and reports rows_written = n, and no row is there. The same insert by query() raises.
# Who: whoever puts usage rows into an embedded ClickHouse and moves a cursor on success: each such insert is lost without a word.
# Way out: give the rows as a file: INSERT INTO … FROM INFILE '/dev/fd/N' FORMAT … through query(); its outcome is the engine's.
# Seen: chdb 4.4.0 (engine 26.9.2.1), Linux x86-64, Python 3.11, 2026-11-28; found by asking for the rows after each kind of failure.
#   The documentation of StreamingInserter.finish says "Raises RuntimeError: If … the final commit failed".
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check chdb==4.4.0
cat > "$folder/see.py" <<'PY'
import sys
import chdb

session = chdb.connect(sys.argv[1])
ask = lambda sql: bytes(session.query(sql, "TSV").bytes()).decode().strip()
ask("CREATE DATABASE d"); ask("USE d")
ask("CREATE TABLE checked (a UInt32, CONSTRAINT small CHECK a < 5) ENGINE = MergeTree ORDER BY a")
ask("CREATE TABLE parted (a UInt32) ENGINE = MergeTree PARTITION BY a ORDER BY a")
ask("CREATE TABLE source (a UInt32) ENGINE = Null")
ask("CREATE TABLE target (a UInt32) ENGINE = MergeTree ORDER BY a")
ask("CREATE MATERIALIZED VIEW view TO target AS SELECT a + throwIf(a = 9) AS a FROM source")
rows = b"".join(b"%d\n" % number for number in range(200))
same = True
for table, kept in (("checked", "checked"), ("parted", "parted"), ("source", "target")):
    try:
        with session.send_insert(f"INSERT INTO {table}", "TSV") as stream:
            stream.append(rows)
            streamed = f"said {stream.finish().rows_written} rows written"
    except Exception as error:
        streamed = f"raised {str(error)[:40]}"
    try:
        ask(f"INSERT INTO {table} SELECT number FROM numbers(200)")
        asked = "said nothing"
    except Exception as error:
        asked = f"raised {str(error)[:9]}"
    count = ask(f"SELECT count() FROM {kept}")
    print(f"{table}: the streaming insert {streamed}, query() {asked}; rows there: {count}")
    same &= streamed.startswith("said") and asked.startswith("raised") and count == "0"
sys.exit(0 if same else 1)
PY
"$folder/venv/bin/python" "$folder/see.py" "$folder/data"
