"""The family of Weir's exceptions, what an error means for whoever tries again (``kafka.errors``,
``clickhouse.errors``), and the exit code at which trying ends."""

from __future__ import annotations

from typing import Final, Literal

Meaning = Literal["may pass", "not this record", "cannot go on"]


EXIT_HELD: Final = 65
"""Exit code of a process that is not to be started again as it is: somebody has to decide, or to change something,
first."""


class WeirError(Exception):
    """Base of every exception of Weir whose message may stand before a person as it is: it names the place and the
    remedy. What only steers the code between two functions of ours derives from Exception, and is a bug where it gets
    further."""


class CannotGoOn(WeirError):
    """No repetition helps until somebody has changed something; the message says what. Who catches it stops, or shows
    the message."""
