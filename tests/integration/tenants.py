"""Two namespaces that use the same words for everything, so that whatever leaks is seen; and requests made from an
OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from schemas.http.scopes import TABLE, Service
from tests.integration.world import World, declare

DAY = "2026-05-04"


@dataclass(frozen=True)
class Tenant:
    """A namespace with a marker in all its texts and an admin key of its own."""

    world: World
    marker: str
    key: str
    key_id: str
    invoice: str

    def client(self, service: Service, **headers: str) -> httpx.Client:
        """With its own key and no other header but ``headers``."""
        return self.world.http(service, headers={"authorization": f"Bearer {self.key}", **headers})


def settle(world: World, marker: str, price: str) -> Tenant:
    """A catalog, events and an invoice; all codes, accounts and keys are the same in every namespace."""
    declare(world.settings, {
        "namespace": {"code": world.namespace, "max_event_age_seconds": None, "name": marker},
        "event_types": [{"code": "e", "name": marker}],
        "meters": [{"code": "m", "name": marker, "event_name": "e", "profiles": [
            {"code": "sum", "aggregation": "sum", "property": ["v"], "dimensions": [["d"]]},
            {"code": "unique", "aggregation": "count_unique", "property": ["u"]}]}],
        "features": [{"code": "f", "name": marker}],
        "units": [{"code": "token", "name": marker}],
        "products": [{"code": "p", "name": marker, "profile": "m.sum"}],
        "plans": [{"code": "b", "name": marker, "currency": "USD",
                   "charges": [{"product": "p", "price": {"model": "per_unit", "unit_amount": price}}]}],
        "accounts": [{"code": "acme", "name": marker}],
        "subscriptions": [{"code": "s", "account": "acme", "plan": "b", "start": "2026-04-01"}],
        "alert_rules": [
            {"code": "w", "name": marker, "measure": "usage", "profile": "m.sum", "interval": "day",
             "thresholds": ["1"]},
        ],
    })  # fmt: skip
    with world.http("gateway") as admin:
        made = admin.post("/v1/api-keys", json={"scopes": ["admin"], "name": marker}).json()
    world.send(
        [
            {
                "event_name": "e",
                "account_id": "acme",
                "idempotency_key": f"k{number}",
                "timestamp": f"{DAY}T12:00:{number:02}Z",
                "properties": {"v": price, "u": f"{marker}-{number}", "d": marker},
            }
            for number in range(20)
        ]
    )
    world.close("2026-06-02T00:00:00+00:00")
    (invoice,) = [one for one in world.invoices() if one["period_start"].startswith("2026-05")]
    return Tenant(world, marker, made["key"], made["id"], str(invoice["invoice_id"]))


@dataclass(frozen=True)
class Operation:
    """One method of one path of a service's OpenAPI document."""

    service: Service
    method: str
    path: str
    required: tuple[str, ...]  # names of the query parameters to send

    @property
    def is_open(self) -> bool:
        """Whether it needs no key."""
        return self.path in ("/healthz", "/readyz", "/metrics")

    @property
    def by_token(self) -> bool:
        """Whether a token opens it, and no key does."""
        return self.path == "/v1/portal" or self.path.startswith("/v1/portal/")

    @property
    def resource(self) -> str:
        """The second part of its path: meters, invoices, …"""
        return self.path.split("/")[2] if self.path.startswith("/v1/") else ""

    def url(self, tenant: Tenant) -> str:
        """The path with the tenant's own things in it. Raises KeyError for a parameter that nobody has told."""
        values = {
            "code": {
                "event-types": "e",
                "meters": "m",
                "features": "f",
                "products": "p",
                "plans": "b",
                "accounts": "acme",
                "subscriptions": "s",
                "credit-grants": "g",
                "alert-rules": "w",
                "units": "token",
                "namespaces": tenant.world.namespace,
            }.get(self.resource),
            "key_id": tenant.key_id,
            "account_id": "acme",
            "account": "acme",
            "invoice_id": tenant.invoice,
            "number": "1",
            "run_id": "run_0",
            "idempotency_key": "k0",
            "generation": "1",
            "partition": "0",
            "offset": "0",
            "feature": "f",
            "reservation_id": "rsv_0",
            "topup_id": "top_0",
            "name": "ada",
            "subscription": "s",
            "id": tenant.invoice if self.resource == "invoices" else "acme",
        }
        filled = re.sub(r"\{(\w+)(:path)?\}", lambda found: quote(_told(values, found[1], self), safe=""), self.path)
        query = {
            "metric": "m.sum",
            "from": DAY[:7],
            "to": "2026-06-01",
            "account_id": "acme",
            "at": f"{DAY}T13:00:00Z",
            "period": DAY[:7],
            "start": DAY,
            "end": "2026-05-05",
            "meter": "m",
            "profile": "m.sum",
            "event_name": "e",
            "idempotency_key": "k0",
        }
        asked = {name: _told(query, name, self) for name in self.required}
        return filled + ("?" + "&".join(f"{name}={quote(value)}" for name, value in asked.items()) if asked else "")


def _told(values: dict[str, Any], name: str, operation: Operation) -> str:
    value = values.get(name)
    assert value is not None, f"{operation.method} {operation.path}: tell tenants.Operation.url a value of {name!r}"
    return str(value)


def operations(service: Service, document: dict[str, Any]) -> Iterator[Operation]:
    """All of them; each has its scopes in the table."""
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            if method not in ("get", "post", "put", "delete", "patch"):
                continue
            required = [one["name"] for one in told.get("parameters", ()) if _asked(one)]
            yield Operation(service, method.upper(), path, tuple(required))


def _asked(parameter: dict[str, Any]) -> bool:
    """Required, or an instant in place of the clock, without which two answers would differ by themselves."""
    return bool(parameter["in"] == "query" and (parameter.get("required") or parameter["name"] == "at"))


def in_table(operation: Operation) -> bool:
    """Whether ``schemas.http.scopes`` names it; OpenAPI leaves out that a parameter may have slashes."""
    return f"{operation.method} {operation.path}" in {line.replace(":path}", "}") for line in TABLE[operation.service]}
