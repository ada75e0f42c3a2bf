"""The trip of an invoice: a close of one subscription's first month, its copy in ClickHouse, its webhook message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import stand_ins
from checkout import FOLDER, IS_OLD, module, publish
from figures import print_figures
from marks import Marks
from tracer import Tracer

LEFT_OUT: Final = (
    r"^(schemas\.settings|schemas\.(kafka\.)?codec|schemas\.catalog|rating\.close\.(prechecks|seen|checklist)|.*:wait_"
    r"|schemas.ledgers.invoice_record:(to_fields|from_fields|line_fields|encode_invoice|decode_invoice|readable_invoice))"
)
_CATALOG: Final[list[dict[str, Any]]] = [
    {"kind": "namespace", "code": "air", "max_event_age_seconds": None},
    {"kind": "meter", "code": "m", "profiles": [{"code": "p", "aggregation": "sum", "property": "n"}]},
    {"kind": "product", "code": "prod-walked", "profile": "m.p"},
    {
        "kind": "plan", "code": "basic", "currency": "USD", "grace_seconds": 0,
        "charges": [{"product": "prod-walked", "price": {"model": "per_unit", "unit_amount": "0.25"}}],
    },
    {"kind": "account", "code": "acct-walked"},
    {
        "kind": "subscription", "code": "subs-walked", "account": "acct-walked", "plan": "basic", "plan_version": 1,
        "start": "2026-01-01T00:00:00Z",
    },
]  # fmt: skip
_AS_OF: Final = datetime(2026, 2, 2, tzinfo=UTC)
_AS_OF_US: Final = int(_AS_OF.timestamp()) * 1_000_000


def close(client: stand_ins.Client) -> Any:
    """A close of the namespace as of _AS_OF, ready to run."""
    settings = stand_ins.settings()
    if IS_OLD:
        old = module("rating.close.run").Close(settings, "air", _AS_OF, _AS_OF, lambda *_: None, client)
        return lambda: old.run(False)
    requests = module("rating.close.close_request")
    request = requests.CloseRequest(
        settings=settings, client=client, namespace="air", as_of=_AS_OF, now=_AS_OF, on_progress=lambda *_: None
    )
    standing = module("rating.invoices.ledger").StandingInvoices("air")
    reader = stand_ins.LedgerReader(settings, "usage.invoices")
    checkpoints = module("schemas.ledgers.checkpoints").CheckpointLedger(settings)
    return (
        module("rating.close.billing_run").Close(request, requests.FollowedLedgers(reader, checkpoints, standing)).run
    )


def main() -> None:
    """Take the trip and print its figures."""
    stand_ins.put_in_place()
    codec = module("schemas.kafka.codec").codec("catalog_entry")
    for record in publish(_CATALOG):
        stand_ins.append("usage.catalog", codec.encode(record))
    client = stand_ins.Client()
    bill = close(client)
    copy = module("stream_processors.projections.invoice_copy").InvoiceCopy(stand_ins.settings(), stand_ins.Journal())
    intake, rendering, hooks = (module(f"rating.webhooks.{name}") for name in ("intake", "rendering", "hook"))
    hook = (hooks.Hook if IS_OLD else hooks.WebhookEndpoint)(
        "air", "https://x.test/", True, frozenset(["invoice.finalized"]), 1, 0, ()
    )
    bodies = rendering.bodies if IS_OLD else rendering.message_bodies
    deliveries_for = intake.wanted if IS_OLD else intake.deliveries_for
    invoice_id = module("schemas.ledgers.invoice_claims").invoice_id(
        "air", "subs-walked", int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000, 0
    )
    marks = Marks(
        [invoice_id],
        exact=["prod-walked"],
        parts=["Item", "ResolvedCharge", "Due", "Need"],
        closed_modules=("schemas.catalog", "schemas.settings"),
        closed_classes=["ChargeBook", "Catalog", "NamespaceView", "Client", "Timeline"],
    )
    tracer = Tracer(FOLDER, marks, LEFT_OUT)
    with tracer.tracing():
        result = bill()
        copy.run()
        notices = intake.Intake({}).take(stand_ins.records("usage.invoices"))
        deliveries = deliveries_for(notices, {"air": hook if IS_OLD else {"": hook}}, _AS_OF_US + 1_000_000)
        messages = bodies(client, deliveries, _AS_OF_US + 10**10)
    if len(result.invoices) != 1 or not messages or invoice_id.encode() not in (messages[0] or b""):
        raise SystemExit(f"the trip did not end with a message about {invoice_id}: {result} {messages}")
    print_figures(tracer, FOLDER)


if __name__ == "__main__":
    main()
