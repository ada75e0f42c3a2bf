#!/usr/bin/env bash
# A materialised view of ClickHouse can be made over an EPHEMERAL column, and then every insert into the table fails.
#
# What: an EPHEMERAL column is for values that an insert brings and the table does not keep; a materialised view sees the block that
#   is inserted. So a view that spreads an ephemeral array over rows of another table looks right, and CREATE MATERIALIZED VIEW takes
#   it. But the block is pushed to views after the ephemeral columns are cut off: each insert that names the column is refused
#   ("There is no column …"), and so is each that does not.
# Who: whoever meters with ClickHouse and wants to store what an event measured once, in the table of records, and not beside the event.
# Way out: insert into a table with ENGINE = Null that has all columns, with a view for each table that keeps some of them.
# Seen: chdb 4.4.0 (engine 26.9.2.1), Linux x86-64, Python 3.11, 2026-11-29.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check chdb==4.4.0
cat > "$folder/see.py" <<'PY'
import sys
import chdb

session = chdb.connect(sys.argv[1])
ask = lambda sql: bytes(session.query(sql, "TSV").bytes()).decode().strip()


def outcome(sql):
    try:
        ask(sql)
        return "taken"
    except Exception as error:
        return "refused: no column" if "no column" in str(error).lower() else str(error)[:200]


ask("CREATE DATABASE d")
ask("CREATE TABLE d.events (a UInt32, measured Array(UInt32) EPHEMERAL) ENGINE = MergeTree ORDER BY a")
ask("CREATE TABLE d.records (a UInt32, quantity UInt32) ENGINE = MergeTree ORDER BY a")
made = outcome(
    "CREATE MATERIALIZED VIEW d.view TO d.records AS SELECT a, quantity FROM d.events ARRAY JOIN measured AS quantity"
)
with_it = outcome("INSERT INTO d.events (a, measured) VALUES (1, [2, 3])")
without = outcome("INSERT INTO d.events (a) VALUES (2)")
print(f"the view: {made}; an insert that names the ephemeral column: {with_it}; one that does not: {without}")
sys.exit(0 if (made, with_it, without) == ("taken", "refused: no column", "refused: no column") else 1)
PY
"$folder/venv/bin/python" "$folder/see.py" "$folder/data"
