"""Inserts by quorum follow one another in a table, and whose turn it is not is refused (ClickHouse's settings
``insert_quorum_parallel = 0`` and ``select_sequential_consistency = 1``, which belong together: reads see what was
acknowledged only where inserts are in sequence). A call that is refused is repeated here, so that its caller does not
take for an outage what another process's insert is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.clickhouse.errors import code_of

T = TypeVar("T")

PAUSE_SECONDS: Final = 0.03
LONGEST_SECONDS: Final = 10.0
"""So long a call is repeated; then its error is the caller's."""

_REFUSED: Final = frozenset(
    {
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE: another insert into the table has not its quorum yet
        289,  # REPLICA_IS_NOT_IN_QUORUM: the replica that was asked lacks the last insert, and fetches it
    }
)
_CALLS: Final = (
    *("command", "insert", "raw_insert"),
    *("query", "query_arrow", "query_row_block_stream", "query_rows_stream", "raw_query", "raw_stream"),
)


def in_turn(
    call: Callable[..., T],
    *,
    sleep: Callable[[float], object] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Callable[..., T]:
    """``call``, repeated while it is refused for want of a turn, ``LONGEST_SECONDS`` long. Calls must be safe to
    repeat: of an insert through views those before the refused one have their rows already."""

    def repeated(*arguments: object, **named: object) -> T:
        until = monotonic() + LONGEST_SECONDS
        while True:
            try:
                return call(*arguments, **named)
            except ClickHouseError as error:
                if code_of(error) not in _REFUSED or monotonic() >= until:
                    raise
            sleep(PAUSE_SECONDS)

    return repeated


def take_turns(client: Client) -> None:
    """Have every call of ``client`` wait for its turn."""
    for name in _CALLS:
        setattr(client, name, in_turn(getattr(client, name)))
