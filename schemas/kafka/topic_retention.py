"""How long Kafka keeps each of Weir's topics, as the topics say themselves: for ``weir init`` and ``weir status``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from schemas.kafka.topic_setup import TopicSpecification, existing_topics
from schemas.settings import Settings

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicRetention:
    """``retention_ms``: milliseconds from a record's append after which its segment may go, None: for ever;
    ``segment_ms``: milliseconds after which a segment ends at the latest, so that a record stays for up to both;
    ``unreadable``: why the topic's settings may not be read, or "" (then the others say nothing)."""

    topic: str
    retention_ms: int | None
    segment_ms: int = 0
    unreadable: str = ""

    @property
    def text(self) -> str:
        """For a person."""
        if self.unreadable:
            return f"not known ({self.unreadable})"
        if self.retention_ms is None:
            return "for ever"
        return f"{_days(self.retention_ms)}, whole segments of up to {_days(self.segment_ms)} more"


def read_retention(settings: Settings, specifications: Iterable[TopicSpecification]) -> list[TopicRetention]:
    """That of each of these topics that exists, by name. Raises KafkaException where the brokers do not answer."""
    names = [specification.name for specification in specifications]
    retentions = []
    for name, topic in sorted(existing_topics(settings, names).items()):
        kept, segment = int(topic.config.get("retention.ms", "-1")), int(topic.config.get("segment.ms", "0"))
        retentions.append(TopicRetention(name, None if kept < 0 else kept, segment, topic.unreadable))
    return retentions


def retention_lines(retentions: Iterable[TopicRetention]) -> Iterator[str]:
    """For people: a line for each time, with the topics that are kept so long."""
    for text, alike in groupby(sorted(retentions, key=lambda kept: (kept.text, kept.topic)), lambda kept: kept.text):
        yield f"kept {text}: {', '.join(kept.topic for kept in alike)}"


def _days(milliseconds: int) -> str:
    days, rest = divmod(milliseconds, _DAY_MS)
    if rest:
        return f"{milliseconds / 3_600_000:g} hours"
    return f"{days} day{'' if days == 1 else 's'}"
