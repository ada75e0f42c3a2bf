"""An outage of hours must not fill the disk."""

from __future__ import annotations

import logging

from stream_processors.logs import Sparing


def test_what_repeats_is_said_once_in_a_while_and_counted():
    now = [0.0]
    sparing = Sparing("aiokafka", 5, lambda: now[0])

    def said(name: str = "aiokafka.conn") -> str | None:
        record = logging.LogRecord(name, logging.ERROR, "", 0, "no %s", ("broker",), None)
        return record.getMessage() if sparing.filter(record) else None

    assert said() == "no broker"
    assert [said(), said(), said("aiokafka.other")] == [None, None, "no broker"]
    assert [said("stream_processors.meter"), said("stream_processors.meter")] == ["no broker", "no broker"]
    now[0] = 6.0
    assert said() == "no broker (2 more like it before)"
    assert said() is None
