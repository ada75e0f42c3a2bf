"""Checks before billing that ClickHouse has every row of what was metered, since a damaged part would silently
reduce invoices."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.invoices.waiting import CloseError
from rating.verify.backfills.backfills_complete import LostBackfill, lost_backfills
from rating.verify.completeness import Damage, find_damage
from schemas.catalog.state import Catalog
from schemas.clickhouse.damaged_parts import damaged_parts_of, reasons
from schemas.ledgers.generations import Offsets

_PATIENCE_SECONDS: Final = 5.0
_BACKFILL_PATIENCE_SECONDS: Final = 120.0
"""So long a close waits for a worker that counts a backfill again, as after a restore."""
_SHOWN: Final = 5


def require_complete(
    client: Client, namespace: str, ends: Offsets, catalog: Catalog, wait: Callable[[float], None] = time.sleep
) -> None:
    """Raises CloseError, with the commands that repair it, if rows of the namespace below ``ends`` are missing or
    superfluous."""
    if parts := damaged_parts_of(client):
        raise CloseError(
            "ClickHouse has set damaged parts aside, and nothing is billed of less than all rows: "
            f"{'; '.join(map(str, reasons(parts)))}"
        )
    began = time.monotonic()
    while True:
        damages = find_damage(client, ends, namespace, given_up=catalog.given_up.ranges, identities=False)
        backfills = [] if damages else list(lost_backfills(client, catalog, namespace))
        if not damages and not backfills:
            return
        under_way = not damages and all(backfill.under_way for backfill in backfills)
        if time.monotonic() - began > (_BACKFILL_PATIENCE_SECONDS if under_way else _PATIENCE_SECONDS):
            raise CloseError(refusal(damages) if damages else refusal_of_backfills(backfills))
        wait(0.5)  # conflicts reach ClickHouse through usage.rejected, slightly after the cursor


class CompleteRows:
    """``require_complete`` for one close; offsets that were found complete are not checked again."""

    def __init__(self, client: Client, namespace: str, catalog: Callable[[], Catalog]) -> None:
        self._client = client
        self._namespace = namespace
        self._catalog = catalog
        self._whole: Offsets = {}

    def require(self, ends: Offsets) -> None:
        """Raises CloseError if ClickHouse lacks rows below ``ends``."""
        if any(end > self._whole.get(key, 0) for key, end in ends.items()):
            require_complete(self._client, self._namespace, ends, self._catalog())
            self._whole = dict(ends)


def refusal(damages: list[Damage]) -> str:
    """The error message: what is missing, and the remedy."""
    places = [f"{damage.place}: {damage.what}" for damage in damages[:_SHOWN]]
    count = f" (and {len(damages) - _SHOWN} more)" if len(damages) > _SHOWN else ""
    return (
        "rows are missing in ClickHouse, and nothing is billed of less than all of it; write them again from the "
        "log with"
        f" `{damages[0].command}`, or all of them with `weir replay --damaged`, then close again. "
        f"{'; '.join(places)}{count}"
    )


def refusal_of_backfills(backfills: Sequence[LostBackfill]) -> str:
    """Which backfills have lost records, and what to do."""
    places = [f"{backfill.place}: {backfill.what} ({backfill.remedy})" for backfill in backfills[:_SHOWN]]
    count = f" (and {len(backfills) - _SHOWN} more)" if len(backfills) > _SHOWN else ""
    return (
        "what backfills counted is missing in ClickHouse, and nothing is billed of less than all of it; close again"
        f" once it is there. {'; '.join(places)}{count}"
    )
