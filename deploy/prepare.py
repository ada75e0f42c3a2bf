"""What a checkout needs besides its virtual environment: ``python -m deploy.prepare`` (called by setup.sh)."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.demo.data import DataError, package
from deploy.local.class_archive import archive_classes
from deploy.local.kafka import KafkaError, kafka_libs

_ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Fetch Kafka's jars, archive their classes, and fetch the demo's data where they are missing."""
    try:
        archive_classes(kafka_libs(_ROOT / ".weir"))
        package()
    except (KafkaError, DataError) as error:
        sys.exit(f"setup: {error}")


if __name__ == "__main__":
    main()
