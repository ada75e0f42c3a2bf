"""What the running stack answers about one namespace, asked as its customers would: by HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import httpx

from tests.vendor_day.patience import wait_until

Document = dict[str, Any]
_PAGE: Final = 200


class Answers:
    """The rating service for one namespace. Raises httpx.HTTPError."""

    def __init__(self, url: str, key: str, namespace: str) -> None:
        headers = {"Authorization": f"Bearer {key}", "Weir-Namespace": namespace}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=60, verify=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Document:
        """A document."""
        answer = self._http.get(path, params=query)
        answer.raise_for_status()
        return dict(answer.json())

    def wait(self, path: str, patience: float = 10.0) -> None:
        """Ask until a document is there: a gateway reads what another has published a moment later."""
        wait_until(lambda: self._http.get(path).status_code != 404, patience, every=0.05)
        self._http.get(path).raise_for_status()

    def post(self, path: str, body: Document) -> httpx.Response:
        """Whatever is answered."""
        return self._http.post(path, json=body)

    def pages(self, path: str, member: str, **query: Any) -> list[Document]:
        """All entries of a list, over its pages."""
        entries: list[Document] = []
        cursor: str | None = None
        while True:
            page = self.get(path, limit=_PAGE, **query, **({"cursor": cursor} if cursor else {}))
            entries += page[member]
            cursor = page["next_cursor"]
            if cursor is None:
                return entries

    def usage(self, account: str, metric: str, start: datetime, end: datetime) -> Decimal:
        """The quantity of [start, end)."""
        answer = self.get(
            "/v1/usage", metric=metric, account_id=account, **{"from": start.isoformat(), "to": end.isoformat()}
        )
        return Decimal(answer["total"]["quantity"] or 0)

    def limits(self, account: str) -> list[Document]:
        """Each limit of each feature, with the feature's name in it."""
        listed = self.get(f"/v1/accounts/{account}/entitlements")
        return [
            limit | {"feature": item["feature"], "allowed": item["allowed"]}
            for item in listed["entitlements"]
            for limit in item["limits"]
        ]

    def running(self, account: str) -> list[Document]:
        """The running periods of the account's subscriptions."""
        return list(self.get(f"/v1/accounts/{account}/usage/current")["subscriptions"])

    def live(self, account: str) -> Decimal:
        """The live prepaid balance in dollars."""
        balances = self.get(f"/v1/accounts/{account}/balance")["balances"]
        return sum((Decimal(item["live"]) for item in balances if item["currency"] == "USD"), Decimal(0))

    def invoices(self, account: str) -> list[Document]:
        """The account's invoices whole, in the order of their checkpoints."""
        heads = self.pages("/v1/invoices", "invoices", account_id=account)
        heads.sort(key=lambda head: instant(head["as_of"]))
        return [self.get(f"/v1/invoices/{head['invoice_id']}") for head in heads]

    def alerts(self) -> list[Document]:
        """All alerts, oldest first."""
        return list(reversed(self.pages("/v1/alerts", "alerts")))


def instant(text: str) -> datetime:
    """An RFC 3339 text in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
