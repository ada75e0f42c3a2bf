"""Memory of what a worker remembers: `python tests/bench/bench_memory.py [--identities 1000000 10000000] [--partitions
4] [--days 37]`.

For each number of identities, in a process of its own: the filters of all partitions of one worker, filled as the
journal fills them (appended evenly over the days of W), the recent identities at their limit, and the modules that a
worker loads. Prints MiB of the process (resident, at its peak too), bytes an identity in filters, microseconds a key to
ask them all, and the share of new identities that are a false "maybe" (each costs a look-up, never an error).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

BLOCK = 1 << 20
ASKED = 500
PROBES = 200


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(identities: int, partitions: int, days: int) -> dict[str, float]:
    """One number of identities, in this process."""
    import stream_processors.app  # noqa: F401  (what a worker loads)
    from schemas.events.batch import decode_batch, encode_batch
    from stream_processors.metering.bloom import DailyFilters
    from stream_processors.metering.dedupe import RECENT_EVENTS, PartitionMemory, Record

    loaded = resident_mib()
    chance = np.random.default_rng(1)
    memories = [PartitionMemory(1, number, 0, DailyFilters()) for number in range(partitions)]
    for memory in memories:
        for day in range(days):
            left = identities // partitions // days
            while left:
                size = min(left, BLOCK)
                memory.filters.add(day, chance.integers(0, 2**63, (size, 2), dtype=np.uint64))
                left -= size
    filled = resident_mib()
    for memory in memories:
        for offset in range(RECENT_EVENTS // 500):
            batch = decode_batch(encode_batch("default", 0, events(chance.bytes(500 * 16))))
            memory.decide(Record(1, memory.partition, offset, days * 86_400_000_000, batch), 1 << 50, {})
    everything = resident_mib()
    spent, maybe = 0.0, 0
    for _ in range(PROBES):
        keys = chance.integers(0, 2**63, (ASKED, 2), dtype=np.uint64)
        began = time.process_time()
        found = memories[0].filters.maybe(keys)
        spent += time.process_time() - began
        maybe += int(found.sum())
    return {
        "identities": identities,
        "resident_mib": round(everything, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "modules_mib": round(loaded, 1),
        "filters_mib": round(filled - loaded, 1),
        "recent_mib": round(everything - filled, 1),
        "bytes_an_identity": round(sum(one.filters.nbytes for one in memories) / identities, 2),
        "us_a_key": round(spent / PROBES / ASKED * 1e6, 3),
        "false_maybe": round(maybe / PROBES / ASKED, 6),
    }


def events(names: bytes) -> list[object]:
    """500 events with these identities."""
    from schemas.events.acceptance import AcceptedEvent

    return [
        AcceptedEvent(names[start : start + 16], b"h" * 8, "e", "account", "key", "", 1, "{}")
        for start in range(0, len(names), 16)
    ]


def main() -> None:
    """Measure each number in a process of its own, and print a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identities", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--days", type=int, default=37)
    parser.add_argument("--here", action="store_true", help="in this process")
    given = parser.parse_args()
    for number in given.identities:
        if given.here:
            print(json.dumps(measure(number, given.partitions, given.days)))
            continue
        again = [sys.executable, __file__, "--here", "--identities", str(number)]
        again += ["--partitions", str(given.partitions), "--days", str(given.days)]
        subprocess.run(again, check=True)


if __name__ == "__main__":
    main()
