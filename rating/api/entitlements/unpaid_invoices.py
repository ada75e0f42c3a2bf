"""Which subscriptions have an interim invoice that is not paid, for grants that ``block`` until it is. Asked of
ClickHouse at most once a second for each of them; what is asked for meanwhile is asked together."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rating.api.entitlements.asker import Asker
from rating.api.rating_problems import unavailable
from schemas.ledgers.invoice_claims import FINALIZED

_FRESH_SECONDS: Final = 1.0
_TOGETHER: Final = 100
"""Subscriptions of one question, whose codes travel in the request's URL."""
_MOST_KEPT: Final = 50_000
_UNPAID: Final = """
SELECT of, min((started, place, invoice_id, due)) FROM (
    SELECT of, invoice_id, any(period_start) AS started, any(sequence) AS place,
        argMax(state, version) AS newest, argMax(concat(toString(total), ' ', currency), version) AS due
    FROM invoice_lists
    WHERE namespace = {namespace:String} AND draft = false AND list = 'subscription' AND of IN {names:Array(String)}
        AND period_start = period_end AND position(body, '"interim"') > 0 AND JSONHas(body, 'interim')
    GROUP BY of, invoice_id
    HAVING newest = {unpaid:String}
)
GROUP BY of"""


class PaymentDue(str):
    """Why a grant that blocks allows nothing, in words."""

    __slots__ = ()


@dataclass(eq=False)
class _Namespace:
    """``known``: subscription → (the loop's time at which it was asked for, what is due); ``waiting``: each with who
    waits for it."""

    known: dict[str, tuple[float, PaymentDue | None]] = field(default_factory=dict)
    waiting: dict[str, asyncio.Future[PaymentDue | None]] = field(default_factory=dict)
    asking: asyncio.Task[None] | None = None


class UnpaidInvoices:
    """What is due on interim invoices, of all namespaces of a process. ``stop`` is called in the event loop."""

    def __init__(self, pool: Asker) -> None:
        self._pool = pool
        self._namespaces: dict[str, _Namespace] = {}

    def stop(self) -> None:
        """End what is under way."""
        for namespace in self._namespaces.values():
            if namespace.asking is not None:
                namespace.asking.cancel()

    async def of(self, name: str, subscriptions: Collection[str]) -> Mapping[str, PaymentDue]:
        """Those of the subscriptions with something to pay → what, at most a second old. Raises Problem (503) where
        ClickHouse does not answer."""
        if not subscriptions:
            return {}
        namespace = self._namespaces.setdefault(name, _Namespace())
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _FRESH_SECONDS
        fresh = {code: known for code in subscriptions if (known := namespace.known.get(code)) and known[0] >= oldest}
        due = {code: known[1] for code, known in fresh.items()}
        futures = {
            code: namespace.waiting.setdefault(code, loop.create_future()) for code in subscriptions if code not in due
        }
        if futures:
            if namespace.asking is None or namespace.asking.done():
                namespace.asking = asyncio.create_task(self._ask(name, namespace))
            await asyncio.wait(futures.values())
            due |= {code: future.result() for code, future in futures.items()}
        return {code: unpaid for code, unpaid in due.items() if unpaid is not None}

    async def _ask(self, name: str, namespace: _Namespace) -> None:
        while namespace.waiting:
            codes = list(namespace.waiting)[:_TOGETHER]
            asked_at = asyncio.get_running_loop().time()
            fault: Exception | None = None
            unpaid: dict[str, PaymentDue] = {}
            try:
                unpaid = await self._pool.ask(lambda client: _read(client, name, codes))  # noqa: B023  # called at once
            except Exception as error:
                fault = unavailable(f"whether interim invoices are paid cannot be told: {error}")
            if len(namespace.known) > _MOST_KEPT:
                namespace.known.clear()
            for code in codes:
                future = namespace.waiting.pop(code)
                if fault is None:
                    namespace.known[code] = asked_at, unpaid.get(code)
                    future.set_result(unpaid.get(code))
                    continue
                future.set_exception(fault)
                future.exception()  # somebody may have gone


def _read(client: Any, namespace: str, names: list[str]) -> dict[str, PaymentDue]:
    """The first that is due of each subscription that has one; blocking."""
    rows = client.query(_UNPAID, parameters={"namespace": namespace, "names": names, "unpaid": FINALIZED}).result_rows
    return {
        str(code): PaymentDue(
            f"interim invoice {invoice} over {total} of subscription {code} is not paid; record its payment "
            "(`weir invoice pay`), or void it"
        )
        for code, (_, _, invoice, total) in rows
    }
