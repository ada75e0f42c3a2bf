"""Classes of Kafka, read once and kept where a JVM maps them: a broker of the local stack starts with half the work.

The archive belongs to the very jars and the very JVM that made it. With others Java leaves it aside and reads the
jars, so that a missing or foreign archive costs time and nothing else. Source: JEP 350, dynamic CDS archives.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from pathlib import Path

from deploy.local.kafka import ARCHIVE, broker_command, broker_ready, prepare_broker
from deploy.local.ports import free_port

_LIMIT_S = 120


def archive_classes(libs: Path) -> None:
    """Write the archive beside the jars in ``libs`` where there is none, by a broker that starts and ends once in a
    folder of its own. Without it after ``_LIMIT_S`` seconds or where the broker fails: an empty file stands in its
    place, so that the next set-up does not try again. Raises KafkaError without Java."""
    archive = libs / ARCHIVE
    if archive.exists():
        return
    with tempfile.TemporaryDirectory(prefix="weir-kafka-") as folder:
        port = free_port()
        written = Path(folder) / ARCHIVE
        with contextlib.suppress(subprocess.TimeoutExpired):
            prepare_broker(libs, Path(folder), port, free_port({port}))
            java, *arguments = broker_command(libs, Path(folder))
            command = [java, f"-XX:ArchiveClassesAtExit={written}", *arguments]
            # A fixed program with arguments of our own; there is no shell.
            broker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
            try:
                _wait(broker, port)
                broker.terminate()
                broker.wait(_LIMIT_S)
            finally:
                broker.kill()
                broker.wait()
        archive.write_bytes(written.read_bytes() if written.exists() else b"")


def _wait(broker: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _LIMIT_S
    while broker.poll() is None and time.monotonic() < end and not broker_ready(f"127.0.0.1:{port}"):
        time.sleep(0.05)
