"""What a held reader of a ledger costs while nothing happens, and how soon it has read a new record: fetching all the
time, and fetching only while it reads (as ``LedgerReader`` does), alternating on one broker.

python tests/bench/bench_held_readers.py [--readers 10] [--seconds 8] [--records 60]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from measuring import cpu_seconds

from deploy.local.stack import Stack
from schemas.kafka.topics import CLOCK, create_topics
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings


def main() -> None:
    """Print CPU as a share of a core, and milliseconds (median, worst)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8.0, help="of idleness, a sample")
    parser.add_argument("--records", type=int, default=60, help="a sample")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), ports="free", processes=("kafka",)) as stack:
        create_topics(stack.settings)
        broker = stack.state().processes["kafka"].pid
        for always in (True, False) * 2:
            readers = [_reader(stack.settings, always) for _ in range(given.readers)]
            own, brokers = time.process_time(), cpu_seconds(broker)
            time.sleep(given.seconds)  # the idleness that is measured
            own, brokers = time.process_time() - own, cpu_seconds(broker) - brokers
            for reader in readers:
                reader.close()
            latencies = _latencies(stack.settings, always, given.records)
            print(
                f"{'always fetching' if always else 'fetching to read':16}  {given.readers} idle readers: "
                f"{own / given.seconds:6.1%} of a core, the broker {brokers / given.seconds:6.1%};  a new record is "
                f"read after {statistics.median(latencies):.1f} ms (worst {max(latencies):.1f})",
                flush=True,
            )


class _AlwaysFetching(LedgerReader):
    """As readers were: fetches also between two calls."""

    def _pause(self) -> None:
        pass


def _reader(settings: Settings, always: bool) -> LedgerReader:
    reader = _AlwaysFetching(settings, CLOCK) if always else LedgerReader(settings, CLOCK)
    list(reader.read_to(reader.end_offsets()))
    if always:
        reader.poll(0)
    return reader


def _latencies(settings: Settings, always: bool, records: int) -> list[float]:
    reader, writer = _reader(settings, always), LedgerWriter(settings, CLOCK)
    milliseconds: list[float] = []
    for number in range(records):
        writer.append_all([(b"", str(number).encode())])
        time.sleep(0.05)  # the pace of the records, and time for a fetch to be under way
        began = time.perf_counter()
        list(reader.read_to(reader.end_offsets()))
        milliseconds.append((time.perf_counter() - began) * 1000)
    reader.close()
    return milliseconds


if __name__ == "__main__":
    main()
