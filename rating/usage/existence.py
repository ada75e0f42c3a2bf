"""Asks what there is beside the windows of a usage query, before the query itself.

Of a cut nothing changes afterwards. Live, what comes between this question and the next one is not in the answer, as
if it had come after it.
"""

from __future__ import annotations

from typing import Any, Final

from rating.usage.beside_windows import ANYTHING, BesideWindows, FoldEnd
from rating.usage.query import UsageQuery
from rating.usage.usage_conditions import batches_beyond, voids_of
from rating.usage.void_conditions import voided
from schemas.clickhouse.binder import Binder

_MILLISECOND_US: Final = 1000


def beside_windows(client: Any, query: UsageQuery) -> BesideWindows:
    """What there is beside the windows that ``query`` reads; anything for the plan "records". Blocking."""
    if query.plan != "windows":
        return ANYTHING
    bind = Binder()
    checkpoint = bind("checkpoint", "UInt32", query.windows_as_of().number)
    looks = [
        # Of the newest epoch, which the rows of no namespace tell.
        "SELECT 'fold' AS what, toInt64(epoch) AS first, toInt64(maxIf(number, namespace != '')) AS second"
        f" FROM usage_folds WHERE namespace IN ('', {bind('namespace', 'String', query.namespace)})"
        f" AND number <= {checkpoint} GROUP BY epoch HAVING countIf(namespace = '') > 0 ORDER BY epoch DESC LIMIT 1",
        f"SELECT 'voids', 0, 0 {voided(*voids_of(query, bind))} LIMIT 1",
    ]
    if query.as_of is None:
        beyond = batches_beyond(query, query.windows_as_of(), bind)
        first = "toUnixTimestamp64Milli(min(append_time))"
        looks.append(f"SELECT 'appended', {first}, 0 FROM usage_batches WHERE {beyond} HAVING count() > 0")
    statement = "\nUNION ALL\n".join(f"({look})" for look in looks)
    rows = {what: values for what, *values in client.query(statement, parameters=bind.parameters).result_rows}
    appended = rows.get("appended")
    return BesideWindows(
        voids="voids" in rows,
        appended=appended is not None,
        appended_us=None if appended is None else int(appended[0]) * _MILLISECOND_US,
        fold=FoldEnd(*(int(value) for value in rows.get("fold", (0, 0)))),
    )
