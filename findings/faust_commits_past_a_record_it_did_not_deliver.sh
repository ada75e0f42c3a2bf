#!/usr/bin/env bash
# Faust commits past a hole of one record: it compares the lowest acknowledged offset with the committed offset as if
# that were the last record read, though it is the next one to read. With 1 committed (record 0 is done) and record 2
# acknowledged, record 1 was never delivered, and the offset to commit is 3: record 1 is never read again. A hole of two
# records is seen (nothing is committed). Records are skipped when a rebalance stops the flow while a fetch returns.
#
# Who meets it: whoever counts billable events in a Faust agent and takes the committed offset for "everything below is
# done". Admit records in sequence by their offsets, and read again from the offset that is due.
#
# Package: faust-streaming 0.15.3 with aiokafka 0.14.0 (Consumer._new_offset). Date: 2026-11-29.
# Source: faust/transport/consumer.py; seen on Kafka 4.x with three workers while topics were added to a subscription:
# 1 of 11,477 records was committed and not delivered.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "faust-streaming==0.15.3" "aiokafka==0.14.0"
cat > "$folder/holes.py" <<'PYTHON'
import sys

import faust
from faust.types import TP

app = faust.App("holes", broker="aiokafka://127.0.0.1:1", store="memory://")
partition = TP("usage", 0)


def committed_next(committed: int, acknowledged: list[int]) -> int | None:
    """The offset that Faust would commit next."""
    consumer = app.consumer
    consumer._committed_offset[partition] = committed
    consumer._acked[partition] = list(acknowledged)
    consumer._acked_index[partition] = set(acknowledged)
    return consumer._new_offset(partition)


cases = [(1, [1, 2]), (1, [2]), (1, [3])]
results = [committed_next(*case) for case in cases]
for (committed, acknowledged), result in zip(cases, results):
    print(f"committed (next to read) {committed}, acknowledged {acknowledged}: commits {result}")
sys.exit(0 if results == [3, 3, None] else 1)
PYTHON
timeout -s KILL 60 "$folder/venv/bin/python" "$folder/holes.py"
