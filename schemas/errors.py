"""Base classes of Weir's exceptions, the classification of errors for retry loops (``kafka.errors``,
``clickhouse.errors``), and the exit code of processes that need an operator."""

from __future__ import annotations

from typing import Final, Literal

Meaning = Literal["may pass", "not this record", "cannot go on"]


EXIT_HELD: Final = 65
"""Exit code of a process that must not be restarted until somebody has decided or changed something."""


class WeirError(Exception):
    """Base of exceptions whose message can be shown to people as it is: it names the place and the remedy.

    Exceptions that only pass control between two functions derive from Exception; it is a bug if one gets further.
    """


class CannotGoOn(WeirError):
    """Retries do not help until somebody has changed something; the message states what. The handler stops, or
    shows the message."""
