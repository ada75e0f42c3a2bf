"""The guard itself: without it a unit test could pass against a stack that happens to run."""

from __future__ import annotations

import asyncio
import socket
import subprocess

import pytest

import schemas.kafka.topics
import schemas.ledgers.ledger_reader
from schemas.settings import Settings


def test_sockets_are_refused_but_asyncio_works() -> None:
    with socket.socket() as item, pytest.raises(AssertionError, match="mark it integration"):
        item.connect(("127.0.0.1", 9))
    with socket.socket() as item, pytest.raises(AssertionError, match=r"socket\.bind"):
        item.bind(("127.0.0.1", 0))
    assert asyncio.run(asyncio.sleep(0, "done")) == "done"


def test_programs_of_the_stack_are_refused_and_others_run() -> None:
    with pytest.raises(AssertionError, match="started java"):
        subprocess.run(["java", "-version"], check=False)
    assert subprocess.run(["true"], check=True).returncode == 0


def test_kafka_clients_are_refused_where_ours_name_them() -> None:
    with pytest.raises(AssertionError, match="Consumer"):
        schemas.ledgers.ledger_reader.LedgerReader(Settings(), "usage.catalog")
    with pytest.raises(AssertionError, match="AdminClient"):
        schemas.kafka.topics.create_topics(Settings())
