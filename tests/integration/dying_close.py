"""``python -m tests.integration.dying_close NAMESPACE AS_OF PIECES``: a close that is gone, as by ``kill -9``,
once so many pieces of records are in Kafka."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any

from rating.close import run_close
from schemas.kafka.codec import codec
from schemas.kafka.kafka_producer import KafkaProducer
from schemas.settings import load_settings


def die_after(pieces: int) -> None:
    """End this process once the broker has so many more pieces."""
    produce = KafkaProducer.produce
    handed = 0

    def produced(self: KafkaProducer, topic: str, value: bytes, *arguments: Any, **options: Any) -> None:
        nonlocal handed
        produce(self, topic, value, *arguments, **options)
        handed += codec("record_piece").knows(value)
        if handed == pieces:
            self.flush(30)
            os.kill(os.getpid(), signal.SIGKILL)

    KafkaProducer.produce = produced  # type: ignore[method-assign]  # in this process alone, which it ends


if __name__ == "__main__":
    namespace, as_of, pieces = sys.argv[1:]
    die_after(int(pieces))
    run_close(load_settings(), namespace, datetime.fromisoformat(as_of), datetime.now(UTC), lambda *_: None)
