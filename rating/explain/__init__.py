"""Explain: how a line of a stored invoice came about, down to the very events that make up its quantity.

Owns: the explanation of a line. ``subject.py`` reads the line as a usage query again, ``counted_events.py`` pages the
events, ``adjusted.py`` sets an adjustment beside what was billed before, ``answer.py`` is the whole answer. Changes
nothing."""

from rating.explain.answer import explain
from rating.explain.counted_events import BadEventsCursor, EventsPage
from rating.explain.subject import Ledgers, NotExplained, Subject, read_subject

__all__ = ["BadEventsCursor", "EventsPage", "Ledgers", "NotExplained", "Subject", "explain", "read_subject"]
