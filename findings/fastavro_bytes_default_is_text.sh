#!/usr/bin/env bash
# fastavro gives the default of a `bytes` field that the writer's schema lacks as str, not as bytes. By Avro's schema resolution the
# reader takes the default, whose JSON text stands for bytes (each character one byte); fastavro hands out the JSON text itself. A field
# that was read from a record is bytes, the same field of an older record is str: code that works with every new record breaks on the
# first old one, long after the field was added.
#
# Who meets it: anybody who evolves Avro records with packed columns or hashes (usage batches, checkpoints, compressed payloads) and reads
# a log that goes back for months: numpy.frombuffer, struct.unpack or a hash of the field raises TypeError in a replay or a restore only.
#
# Package: fastavro 1.13.1 (PyPI), seen 2026-11-28. Source: seen by running it; Avro specification, "Complex types, record: default" (bytes
# and fixed are written as strings whose code points 0 to 255 are the byte values).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check fastavro==1.13.1
"$folder/venv/bin/python" - <<'PY'
import io
import sys

from fastavro import parse_schema, schemaless_reader, schemaless_writer

kept = {"name": "kept", "type": "int"}
older = parse_schema({"type": "record", "name": "T", "fields": [kept]})
newer = parse_schema({"type": "record", "name": "T", "fields": [kept, {"name": "added", "type": "bytes", "default": "\u00ff\u0001"}]})
old, new = io.BytesIO(), io.BytesIO()
schemaless_writer(old, older, {"kept": 1})
schemaless_writer(new, newer, {"kept": 1, "added": b"\xff\x01"})
old.seek(0)
new.seek(0)
from_old = schemaless_reader(old, older, newer)["added"]
from_new = schemaless_reader(new, newer, newer)["added"]
print(f"field of a new record: {from_new!r}; of an old one, by its default: {from_old!r}; equal: {from_new == from_old}")
sys.exit(0 if isinstance(from_new, bytes) and isinstance(from_old, str) else 1)
PY
