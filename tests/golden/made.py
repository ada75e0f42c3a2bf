"""The ids and documents as the code of now makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from ingest.app import create_app
from rating.app import build_app
from rating.close.announced_runs import run_id
from rating.close.redraft import _run_id as drafts_run_id
from rating.invoices.credit_notes import credit_note_id
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.build_drafts import build_drafts
from rating.invoicing.build_invoice import claim_id
from rating.invoicing.run_plan import make_plan
from schemas.catalog.state import Catalog, NamespaceView
from schemas.events.identity import content_hash, identity, partition_of
from schemas.ledgers.alert_record import AlertKey
from schemas.ledgers.checkpoints import Cut, Run
from schemas.ledgers.invoice_claims import invoice_id, record_key
from schemas.ledgers.invoice_record import Invoice
from schemas.settings import Settings
from schemas.values.instants import micros, parse_rfc3339

FOLDER: Final = Path(__file__).parent
IDS: Final = FOLDER / "ids.json"
_AS_OF: Final = 1_769_904_000_000_000  # 2026-02-01T00:00:00Z


def ids() -> dict[str, Any]:
    """Name of the case → what it gives."""
    return {
        "invoice_id": invoice_id("shop", "acme-1", 1_767_225_600_000_000, 0),
        "invoice_id, another sequence": invoice_id("shop", "acme-1", 1_767_225_600_000_000, 3),
        "invoice_id, parts that could meet": [invoice_id("a", "b-c", 0, 0), invoice_id("a-b", "c", 0, 0)],
        "invoice_id, beyond ASCII": invoice_id("läden", "кунде/1", -1, 0),
        "alert_id": AlertKey("shop", "budget", "acme", "acme-1", 1_767_225_600_000_000, "80%").alert_id,
        "alert_id, parts that could meet": [
            AlertKey("a", "b", "c-d", "", 0, "1").alert_id,
            AlertKey("a", "b", "c", "-d", 0, "1").alert_id,
        ],
        "run_id": run_id("shop", _AS_OF, 0),
        "run_id, second attempt": run_id("shop", _AS_OF, 1),
        "run_id, with void invoices": run_id("shop", _AS_OF, 0, ("inv_a", "inv_b")),
        "run_id, of drafts": drafts_run_id("shop", Cut(7, {(1, 0): 40}, 12, _AS_OF), 12),
        "claim_id": claim_id("run_0123456789abcdef01234567", "inv_0123456789abcdef01234567"),
        "record_key": record_key("shop", "acme-1").hex(),
        "credit_note_id": credit_note_id("inv_0123456789abcdef01234567", 2),
        "identity": identity("shop", "player", "5ac1-0001").hex(),
        "identity, no source": identity("shop", "", "ключ").hex(),
        "content_hash": content_hash("call", "acme", b'{"seconds": 90.5}').hex(),
        "partition_of": [partition_of(identity("shop", "", str(number)), 4) for number in range(12)],
        "draft": [[one.invoice_id, one.version, one.run_id, one.claim_id] for one in drafts()],
    }


def drafts() -> tuple[Invoice, ...]:
    """January and February 2026 of one subscription as drafts, then January once more with another price."""
    standing = StandingInvoices()
    run = Run(drafts_run_id("shop", Cut(7, {}, 12, _AS_OF), 12), 7, 12, _AS_OF, {})
    made: tuple[Invoice, ...] = ()
    for amount in ("5", "6"):
        plan = make_plan(_view(amount), standing, micros(parse_rfc3339("2026-03-01T12:00:00Z")), {}, "drafts")
        found, problems = build_drafts(plan, {}, run, standing)
        assert problems == ()
        for one in found:
            assert standing.apply(one)
        made += found
    return made


def _view(amount: str) -> NamespaceView:
    catalog = Catalog()
    charges = [{"product": "fee", "price": {"model": "flat", "amount": amount}}]
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("product", {"code": "fee", "kind": "flat"}),
        ("plan", {"code": "basic", "currency": "USD", "approval": "required", "charges": charges}),
        ("account", {"code": "acme", "time_zone": "America/New_York"}),
        ("subscription", {"code": "acme-1", "account": "acme", "plan": "basic", "start": "2026-01-01"}),
    ]
    for kind, body in bodies:
        record = {
            "namespace": "shop", "kind": kind, "code": body["code"], "version": 1, "retired": False, "valid_from": None,
            "body": json.dumps(body), "author": "", "claim_id": "",
        }  # fmt: skip
        assert catalog.apply(record, catalog.next_offset, 0) is not None
    return catalog.view("shop")


def _rating() -> dict[str, Any]:
    return build_app(Settings(admin_key=SecretStr("key"))).openapi()


def _gateway() -> dict[str, Any]:
    return create_app(Settings(admin_key=SecretStr("key"))).app.openapi()


DOCUMENTS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "openapi_gateway.json": _gateway,
    "openapi_rating.json": _rating,
}


def text(value: Any) -> str:
    """As it is written: a line a value, so that a difference is read easily."""
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True, default=str) + "\n"
