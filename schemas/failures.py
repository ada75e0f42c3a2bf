"""What a failure means for whoever tries again (``kafka.errors``, ``clickhouse.errors``), and the end of trying."""

from __future__ import annotations

from typing import Final, Literal

Meaning = Literal["may pass", "not this record", "cannot go on"]


EXIT_HELD: Final = 65
"""Exit code of a process that is not to be started again as it is: somebody has to decide, or to change something,
first."""


class CannotGoOn(Exception):
    """No repetition helps until somebody has changed something; the message says what. Whoever is told of it stops, or
    says so."""
