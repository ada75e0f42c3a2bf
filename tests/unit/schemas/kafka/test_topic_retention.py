"""What a person reads of how long topics are kept."""

from __future__ import annotations

from schemas.kafka.topic_retention import TopicRetention, retention_lines

DAY_MS = 86_400_000


def test_topics_that_are_kept_alike_share_a_line() -> None:
    kept = [
        TopicRetention("usage.invoices", None),
        TopicRetention("usage.events.1", 90 * DAY_MS, 7 * DAY_MS),
        TopicRetention("usage.catalog", None),
        TopicRetention("usage.clock", 3_600_000, 3_600_000),
        TopicRetention("usage.inbox.default", 3 * DAY_MS, DAY_MS),
        TopicRetention("usage.rejected", None, 0, "no right"),
    ]
    assert list(retention_lines(kept)) == [
        "kept 1 hours, whole segments of up to 1 hours more: usage.clock",
        "kept 3 days, whole segments of up to 1 day more: usage.inbox.default",
        "kept 90 days, whole segments of up to 7 days more: usage.events.1",
        "kept for ever: usage.catalog, usage.invoices",
        "kept not known (no right): usage.rejected",
    ]
