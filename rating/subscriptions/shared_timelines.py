"""Timelines of all subscriptions of a namespace. Most differ from others in code and account alone, so what follows
from the rest of their terms is worked out once. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from rating.subscriptions.timeline import PlanningError, Segment, Timeline, timeline_of
from schemas.catalog.state import Entry, NamespaceView
from schemas.catalog.stored.model_shapes import has_valid_codes, shape

_MOST_COURSES: Final = 10_000

_Course = tuple[tuple[Segment, ...], tuple[tuple[int, int], ...]]
"""Segments and trials of a timeline."""


class SharedTimelines:
    """Timelines by one view. Those of equal terms share their segments, so that what is cached by them is found."""

    def __init__(self, view: NamespaceView) -> None:
        self._view = view
        self._plans: dict[str, list[Entry]] = {}
        self._courses: dict[tuple[Any, ...], _Course] = {}

    def timeline(self, versions: Sequence[Entry]) -> Timeline | None:
        """``timeline_of`` all versions of one entry, oldest first. Raises PlanningError, ValueError."""
        key = self._terms(versions)
        if key is None:
            return timeline_of(self._view, versions)
        course = self._courses.get(key)
        if course is None:
            line = timeline_of(self._view, versions)
            if line is not None:
                if len(self._courses) >= _MOST_COURSES:
                    self._courses.clear()
                self._courses[key] = line.segments, line.trials
            return line
        body, zone = versions[0].body, key[0]
        return Timeline(self._view.namespace, body["code"], body["account"], zone, *course)

    def _terms(self, versions: Sequence[Entry]) -> tuple[Any, ...] | None:
        """All that the course of a subscription with a single version follows from: time zone, terms, and the plan's
        version. None for one of which it follows from more than that, or of which a field cannot be read."""
        entry = versions[0]
        if len(versions) > 1 or entry.retired:
            return None
        body = entry.body
        text, plan = shape(body, "code", "account"), body.get("plan")
        if text is None or not isinstance(plan, str) or not has_valid_codes(body):
            return None
        if plan not in self._plans:
            self._plans[plan] = self._view.history("plan", plan)
        # Of a subscription that names no version of its plan: how many there were when it was published.
        published = bisect_left(self._plans[plan], entry.offset, key=lambda version: version.offset)
        try:
            return self._view.time_zone(body["account"]), text, published
        except ValueError:
            return None


def timelines(view: NamespaceView, problems: list[str]) -> tuple[Timeline, ...]:
    """Timelines of all subscriptions that were ever in force; a message is added to ``problems`` for each that
    cannot be planned."""
    timelines_by_code, said = _all(view)
    problems += said
    return timelines_by_code


@lru_cache(maxsize=1)  # a close plans several times by the same immutable view
def _all(view: NamespaceView) -> tuple[tuple[Timeline, ...], tuple[str, ...]]:
    problems: list[str] = []
    return tuple(_each(view, problems)), tuple(problems)


def _each(view: NamespaceView, problems: list[str]) -> Iterator[Timeline]:
    shared = SharedTimelines(view)
    for versions in view.histories("subscription"):
        try:
            timeline = shared.timeline(versions)
        except PlanningError as error:
            problems.append(str(error))
        except (
            ValueError
        ) as error:  # a body or an instant that nobody would take today: it holds back its own subscription alone
            problems.append(f"subscription {versions[-1].code}: {error}")
        else:
            if timeline is not None:
                yield timeline
