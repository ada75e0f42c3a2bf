"""Which subscriptions have an interim invoice that is not paid, for grants that ``block`` until it is. Asked of
ClickHouse at most once a second for each of them; what is asked for meanwhile is asked together."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final

from rating.api.entitlements.asker import Asker
from rating.api.entitlements.shared_questions import SharedQuestions
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


class _Namespace:
    """``known``: subscription → (the loop's time at which it was asked for, what is due)."""

    def __init__(self, name: str, pool: Asker) -> None:
        self._name = name
        self._pool = pool
        self.known: dict[str, tuple[float, PaymentDue | None]] = {}
        self.questions = SharedQuestions(self._ask, _failed, _TOGETHER)

    async def _ask(self, codes: list[str]) -> dict[str, PaymentDue | None]:
        asked_at = asyncio.get_running_loop().time()
        unpaid: dict[str, PaymentDue] = await self._pool.ask(lambda client: _read(client, self._name, codes))
        if len(self.known) > _MOST_KEPT:
            self.known.clear()
        due = {code: unpaid.get(code) for code in codes}
        self.known |= {code: (asked_at, payment) for code, payment in due.items()}
        return due


class UnpaidInvoices:
    """What is due on interim invoices, of all namespaces of a process. ``stop`` is called in the event loop."""

    def __init__(self, pool: Asker) -> None:
        self._pool = pool
        self._namespaces: dict[str, _Namespace] = {}

    def stop(self) -> None:
        """End what is under way."""
        for namespace in self._namespaces.values():
            namespace.questions.stop()

    async def of(self, name: str, subscriptions: Collection[str]) -> Mapping[str, PaymentDue]:
        """Those of the subscriptions with something to pay → what, at most a second old. Raises Problem (503) where
        ClickHouse does not answer."""
        if not subscriptions:
            return {}
        namespace = self._namespaces.get(name)
        if namespace is None:
            namespace = self._namespaces[name] = _Namespace(name, self._pool)
        oldest = asyncio.get_running_loop().time() - _FRESH_SECONDS
        due = {code: known[1] for code in subscriptions if (known := namespace.known.get(code)) and known[0] >= oldest}
        due |= await namespace.questions.answers([code for code in subscriptions if code not in due])
        return {code: unpaid for code, unpaid in due.items() if unpaid is not None}


def _failed(_codes: list[str], error: Exception) -> dict[str, PaymentDue | None]:
    raise unavailable(f"whether interim invoices are paid cannot be told: {error}")


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
