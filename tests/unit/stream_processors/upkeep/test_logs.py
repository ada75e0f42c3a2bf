"""An outage of hours must not fill the disk."""

from __future__ import annotations

import logging

from stream_processors.upkeep.logs import LogRateLimit, RebalanceErrorFilter


def test_what_repeats_is_said_once_in_a_while_and_counted():
    now = [0.0]
    sparing = LogRateLimit("aiokafka", 5, lambda: now[0])

    def said(name: str = "aiokafka.conn") -> str | None:
        record = logging.LogRecord(name, logging.ERROR, "", 0, "no %s", ("broker",), None)
        return record.getMessage() if sparing.filter(record) else None

    assert said() == "no broker"
    assert [said(), said(), said("aiokafka.other")] == [None, None, "no broker"]
    assert [said("stream_processors.metering.flush"), said("stream_processors.metering.flush")] == [
        "no broker",
        "no broker",
    ]
    now[0] = 6.0
    assert said() == "no broker (2 more like it before)"
    assert said() is None


def record(
    message: str, *args: object, name: str = RebalanceErrorFilter.LOGGER, level: int = logging.ERROR
) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, message, args, None)


def test_the_words_of_the_filter_are_those_of_the_faust_that_is_installed():
    from faust.transport.drivers import aiokafka as driver

    assert driver.logger.name == RebalanceErrorFilter.LOGGER
    assert RebalanceErrorFilter.MESSAGE == driver.SLOW_PROCESSING_NO_FETCH_SINCE_START


def test_a_partition_that_was_just_assigned_is_no_error():
    quiet = RebalanceErrorFilter()
    for text in (RebalanceErrorFilter.MESSAGE, f"[^---AIOKafkaConsumerThread]: {RebalanceErrorFilter.MESSAGE}"):
        result = record(text, "TP(topic='usage.inbox.x', partition=0)", "2 minutes ago")
        assert not quiet.filter(result)
        assert result.levelno == logging.DEBUG  # for whoever listens to that


def test_real_errors_stand_out():
    quiet = RebalanceErrorFilter()
    for item in (
        record("[^---AIOKafkaConsumerThread]: Aiokafka stopped fetching from %r (last done %s)", "x", "y"),
        record("[^---AIOKafkaConsumerThread]: Highwater not yet available for %r (started %s).", "x", "y"),
        record("[^----Agent*: admit]: Crashed reason=%r", "IndexError", name="faust.agents.actor"),
        record(RebalanceErrorFilter.MESSAGE + " and something else", "x", "y"),
        record(RebalanceErrorFilter.MESSAGE, "x", "y", name="stream_processors.metering.flush"),
        record("Committing raised exception: %r", "x"),
    ):
        assert quiet.filter(item)
        assert item.levelno == logging.ERROR
