"""The scopes required by each route of both services, in one table. A route that is missing here is denied to
everybody (tests report it).

Any one of a route's scopes suffices; ``admin`` always does.
"""

from __future__ import annotations

from typing import Final, Literal

from schemas.catalog.keys import KeyScope

Service = Literal["gateway", "rating"]
Scopes = frozenset[KeyScope]

OPEN: Final[Scopes] = frozenset()  # health, metrics and the API description need no key
INGEST: Final[Scopes] = frozenset({"ingest"})
READ: Final[Scopes] = frozenset({"read"})
CATALOG: Final[Scopes] = frozenset({"catalog"})
READ_CATALOG: Final[Scopes] = frozenset({"catalog", "read"})
ADMIN: Final[Scopes] = frozenset({"admin"})
LOGIN: Final[Scopes] = frozenset()  # the console's pages are protected by its session cookie

_OPERATIONS: Final[dict[str, Scopes]] = {
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": OPEN,
    "GET /docs": OPEN,
    "GET /docs/{name}": OPEN,
}

_RESOURCES: Final = (
    "event-types",
    "meters",
    "features",
    "units",
    "products",
    "plans",
    "accounts",
    "subscriptions",
    "credit-grants",
    "alert-rules",
)
_CATALOG: Final[dict[str, Scopes]] = {
    "POST /v1/catalog/apply": CATALOG,
    "GET /v1/catalog/audit": CATALOG,
    **{f"GET /v1/{name}{code}": READ_CATALOG for name in _RESOURCES for code in ("", "/{code:path}")},
    **{f"POST /v1/{name}": CATALOG for name in _RESOURCES},
    **{f"{method} /v1/{name}/{{code:path}}": CATALOG for name in _RESOURCES for method in ("PUT", "DELETE")},
    "GET /v1/namespaces": READ_CATALOG,
    "GET /v1/namespaces/{code:path}": READ_CATALOG,
    "POST /v1/namespaces": ADMIN,
    "PUT /v1/namespaces/{code:path}": ADMIN,
    "DELETE /v1/namespaces/{code:path}": ADMIN,
}

GATEWAY: Final[dict[str, Scopes]] = {
    **_OPERATIONS,
    "POST /v1/events": INGEST,
    "POST /v1/events/batch": INGEST,
    "POST /v1/events/stream": ADMIN,  # history
    "POST /v1/events/void": ADMIN,  # removes usage from invoices, which a producer's key must not do
    "POST /v1/events/{idempotency_key:path}/void": ADMIN,
    "POST /api/v1/events": INGEST,
    "POST /api/v1/events/batch": INGEST,
    **_CATALOG,
    "GET /v1/api-keys": ADMIN,
    "POST /v1/api-keys": ADMIN,
    "DELETE /v1/api-keys/{key_id}": ADMIN,
    "GET /v1/users": ADMIN,
    "PUT /v1/users/{name}": ADMIN,
    "DELETE /v1/users/{name}": ADMIN,
    "PUT /v1/users/{name}/password": READ,  # of the user alone, whom the console asks on behalf of
}

RATING: Final[dict[str, Scopes]] = {
    **_OPERATIONS,
    "GET /v1/usage": READ,
    "GET /v1/accounts/{account_id:path}/usage/current": READ,
    "GET /v1/accounts/{account_id:path}/credits": READ,
    "GET /v1/accounts/{account_id:path}/balance": READ,
    "GET /v1/accounts/{account_id:path}/balance/entries": READ,
    "GET /v1/accounts/{account_id:path}/topups": READ,
    "POST /v1/accounts/{account_id:path}/topups/{topup_id}/paid": ADMIN,
    "POST /v1/accounts/{account_id:path}/topups/{topup_id}/refused": ADMIN,
    "GET /v1/accounts/{account_id:path}/entitlements": READ,
    "GET /v1/accounts/{account_id:path}/entitlements/{feature}": READ,
    "POST /v1/entitlements/check": READ,
    "GET /v1/accounts/{account_id:path}/entitlements/{feature}/reservations": READ,
    # Whoever may send usage may set it apart before.
    "POST /v1/accounts/{account_id:path}/entitlements/{feature}/reservations": INGEST,
    "POST /v1/accounts/{account_id:path}/entitlements/{feature}/reservations/{reservation_id}/finalise": INGEST,
    "POST /v1/accounts/{account_id:path}/entitlements/{feature}/reservations/{reservation_id}/release": INGEST,
    "POST /v1/price": READ,
    "GET /v1/invoices": READ,
    "GET /v1/invoices/export": READ,
    "GET /v1/credit-notes": READ,
    "GET /v1/invoices/{invoice_id}": READ,
    "GET /v1/invoices/{invoice_id}.pdf": READ,
    "POST /v1/invoices/{invoice_id}/void": ADMIN,
    "POST /v1/invoices/{invoice_id}/payments": ADMIN,
    "POST /v1/invoices/{invoice_id}/credit-notes": ADMIN,
    "POST /v1/invoices/{invoice_id}/approve": ADMIN,
    "POST /v1/invoices/{invoice_id}/hold": ADMIN,
    "POST /v1/invoices/{invoice_id}/release": ADMIN,
    "GET /v1/invoices/{invoice_id}/lines/{number}/explain": READ,
    "GET /v1/invoices/{invoice_id}/lines/{number}/explain/events": READ,
    "GET /v1/ledger": READ,
    "GET /v1/reports/late-usage": READ,
    "GET /v1/alerts": READ,
    "GET /v1/anomalies": READ,
    "GET /v1/webhooks": READ,
    "GET /v1/webhooks/deliveries": READ,
    "GET /v1/webhooks/secret": ADMIN,
    "POST /v1/webhooks/test": ADMIN,
    "POST /v1/webhooks/replay": ADMIN,
    "GET /v1/voided-events": READ,
    "GET /v1/voids/{generation}/{partition}/{offset}": READ,
    "GET /v1/counted-event": READ,
    "GET /v1/rejections": READ,
    "GET /v1/diagnosis": READ,
    "GET /v1/backfills": READ,
    "GET /v1/stored-events": READ_CATALOG,
    "GET /v1/runs": READ,
    "GET /v1/runs/{run_id}": READ,
    "POST /v1/portal-tokens": READ,
    "GET /v1/portal": OPEN,  # a portal token opens it, looked at by the route
    **{
        f"GET /v1/portal/{path}": OPEN
        for path in (
            "usage",
            "events",
            "invoices",
            "invoices/{invoice_id}",
            "invoices/{invoice_id}.pdf",
            "invoices/{invoice_id}/lines/{number}/explain",
            "invoices/{invoice_id}/lines/{number}/explain/events",
        )
    },
    **{
        f"GET /portal{path}": OPEN  # likewise
        for path in (
            "",
            "/usage",
            "/usage.csv",
            "/events.csv",
            "/invoices/{invoice_id}",
            "/invoices/{invoice_id}.pdf",
            "/invoices/{invoice_id}/lines/{number}",
        )
    },
    "POST /v1/simulations": READ,
    "POST /v1/profiles/try": READ,
    "GET /": LOGIN,
    "GET /login": LOGIN,
    "POST /login": LOGIN,
    "GET /login/oidc": LOGIN,
    "GET /login/oidc/callback": LOGIN,
    "POST /logout": LOGIN,
    "GET /assets/{name}": OPEN,
    "GET /search": LOGIN,
    "GET /event": LOGIN,
    "GET /doctor": LOGIN,
    "GET /settings": LOGIN,
    "GET /settings/keys": LOGIN,  # the gateway looks at the scope, in the name of the visitor's key
    "POST /settings/keys": LOGIN,
    "POST /settings/keys/revoke": LOGIN,
    "GET /settings/password": LOGIN,
    "POST /settings/password": LOGIN,
    "GET /settings/users": LOGIN,
    "POST /settings/users": LOGIN,
    "GET /catalog/{place}": LOGIN,
    "GET /catalog/{place}/form": LOGIN,
    "POST /catalog/{place}/form": LOGIN,
    "POST /catalog/{place}/retire": LOGIN,
    "GET /accounts": LOGIN,
    "GET /invoices": LOGIN,
    "GET /invoices.csv": LOGIN,
    "POST /invoices/{invoice_id}/{decision}": LOGIN,  # the key's scope is looked at by console/login/visit.py
    "GET /invoices/{invoice_id}": LOGIN,
    "GET /invoices/{invoice_id}.pdf": LOGIN,
    "GET /invoices/{invoice_id}/lines/{number}": LOGIN,
    "GET /runs": LOGIN,
    "GET /runs/{run_id}": LOGIN,
    "GET /events": LOGIN,
    "GET /events/refused": LOGIN,
    "GET /reports": LOGIN,
    "GET /reports/usage": LOGIN,
    "GET /simulate": LOGIN,
    "POST /simulate": LOGIN,  # writes nothing: a form that may be longer than an address
    "GET /reports/usage.{form}": LOGIN,
    "GET /alerts": LOGIN,
    "GET /anomalies": LOGIN,
    "GET /accounts/{account_id:path}": LOGIN,
}

TABLE: Final[dict[Service, dict[str, Scopes]]] = {"gateway": GATEWAY, "rating": RATING}


def scopes_of(service: Service, method: str, path: str) -> Scopes | None:
    """The scopes of a route template, any of which suffices; OPEN: no key needed; None: not in the table, so
    denied."""
    return TABLE[service].get(f"{'GET' if method == 'HEAD' else method} {path}")
