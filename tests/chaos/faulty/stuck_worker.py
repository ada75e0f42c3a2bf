"""The worker as it is shipped, but for one thing: SIGUSR1 makes its consumer stop silently.

From then on its fetch never returns. Everything else lives on: the process, its threads, its readiness, its heartbeats;
so Kafka leaves it its partitions, and only somebody who compares progress with the end of the log can notice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import Any

_stuck = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: _stuck.set())


def main() -> int:
    """As ``stream_processors.worker``; WEIR_CHAOS_STALL_SECONDS shortens the watchdog's patience."""
    from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

    from stream_processors import worker
    from stream_processors.upkeep import watchdog

    fetch = AIOKafkaConsumerThread.getmany

    async def getmany(self: Any, *given: Any, **named: Any) -> Any:
        records = await fetch(self, *given, **named)
        if _stuck.is_set():
            print("the consumer has stopped silently", flush=True)
            await asyncio.Event().wait()
        return records

    AIOKafkaConsumerThread.getmany = getmany
    if stall := os.environ.get("WEIR_CHAOS_STALL_SECONDS"):
        real = watchdog.Watchdog
        patience = float(stall)
        # A class is replaced by what makes one: on purpose, in this process alone.
        worker.Watchdog = lambda watched, stopping: real(watched, stopping, patience)  # type: ignore[assignment,misc]  # see above
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
