"""What each route of the rating service answers: the one table. A route that is not in it has no document (a test says
so first)."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from rating.api.answers import (
    alerts,
    balances,
    diagnosed,
    entitlements,
    events,
    explained,
    invoices,
    portal,
    prices,
    topups,
    usage,
    webhooks,
    whatif,
)
from schemas.http.openapi import Answer, Answered, Content, Reason, of_status, ok


class Alive(Answer):
    """The process lives."""

    status: str


class Ready(Answer):
    """``reason``: what stands in the way; ``reasons``: the same with the remedy. A service that is ready names here
    which stages of the pipeline have stood still for a minute, whichever process should go on with them."""

    status: str
    reason: str = ""
    reasons: list[Reason] = Field(default_factory=list)


_FILE: Final = (Content(None, "text/csv"), Content(None, "application/vnd.apache.parquet"))

ANSWERS: Final[dict[str, Answered]] = {
    "GET /healthz": ok("get_health", Alive),
    "GET /readyz": ok("get_readiness", Ready, 503),
    "GET /metrics": Answered({200: (Content(None, "text/plain"),)}, operation="get_metrics"),
    "GET /v1/usage": Answered({200: (Content(usage.UsageAnswer), *_FILE)}, operation="get_usage"),
    "GET /v1/accounts/{account_id}/usage/current": ok("get_running_periods", usage.RunningPeriods),
    "GET /v1/accounts/{account_id}/credits": ok("get_account_credits", usage.AccountCredits),
    "GET /v1/accounts/{account_id}/balance": ok("get_account_balance", balances.AccountBalance),
    "GET /v1/accounts/{account_id}/balance/entries": ok("list_balance_entries", balances.LedgerPage),
    "GET /v1/accounts/{account_id}/topups": ok("list_topups", topups.TopupPage),
    "POST /v1/accounts/{account_id}/topups/{topup_id}/paid": ok("topup_paid", topups.BalanceTopup),
    "POST /v1/accounts/{account_id}/topups/{topup_id}/refused": ok("topup_refused", topups.BalanceTopup),
    "GET /v1/accounts/{account_id}/entitlements": ok("list_entitlements", entitlements.EntitlementPage),
    "GET /v1/accounts/{account_id}/entitlements/{feature}": ok("get_entitlement", entitlements.EntitlementAnswer),
    "POST /v1/entitlements/check": ok("check_entitlements", entitlements.EntitlementChecks),
    "GET /v1/accounts/{account_id}/entitlements/{feature}/reservations": ok(
        "list_reservations", entitlements.ReservationPage
    ),
    "POST /v1/accounts/{account_id}/entitlements/{feature}/reservations": of_status(
        "reserve", 201, entitlements.ReservationAnswer
    ),
    "POST /v1/accounts/{account_id}/entitlements/{feature}/reservations/{reservation_id}/finalise": ok(
        "finalise_reservation", entitlements.ReservationAnswer
    ),
    "POST /v1/accounts/{account_id}/entitlements/{feature}/reservations/{reservation_id}/release": ok(
        "release_reservation", entitlements.ReservationAnswer
    ),
    "POST /v1/price": ok("price_quantities", prices.PricedLine | list[prices.PricedLine]),
    "GET /v1/invoices": ok("list_invoices", invoices.InvoicePage),
    "GET /v1/invoices/export": Answered({200: _FILE}, operation="export_invoice_lines"),
    "GET /v1/credit-notes": ok("list_credit_notes", invoices.CreditNotePage),
    "GET /v1/invoices/{invoice_id}": ok("get_invoice", invoices.Invoice),
    "GET /v1/invoices/{invoice_id}.pdf": Answered(
        {200: (Content(None, "application/pdf"),)}, operation="print_invoice"
    ),
    "POST /v1/invoices/{invoice_id}/void": ok("void_invoice", invoices.Invoice),
    "POST /v1/invoices/{invoice_id}/payments": ok("record_payment", invoices.Invoice),
    "POST /v1/invoices/{invoice_id}/credit-notes": ok("credit_invoice", invoices.Invoice),
    "POST /v1/invoices/{invoice_id}/approve": ok("approve_draft", invoices.Invoice),
    "POST /v1/invoices/{invoice_id}/hold": ok("hold_draft", invoices.Invoice),
    "POST /v1/invoices/{invoice_id}/release": ok("release_draft", invoices.Invoice),
    "GET /v1/invoices/{invoice_id}/lines/{number}/explain": ok("explain_line", explained.ExplainedLine),
    "GET /v1/invoices/{invoice_id}/lines/{number}/explain/events": ok("list_line_events", explained.CountedEvents),
    "GET /v1/ledger": ok("get_ledger", usage.Books),
    "GET /v1/reports/late-usage": ok("get_late_usage", invoices.LateUsage),
    "GET /v1/alerts": ok("list_alerts", alerts.AlertPage),
    "GET /v1/anomalies": ok("list_anomalies", alerts.AnomalyPage),
    "GET /v1/webhooks": ok("get_webhook", webhooks.WebhookStatus),
    "GET /v1/webhooks/deliveries": ok("list_webhook_deliveries", webhooks.WebhookDeliveryPage),
    "GET /v1/webhooks/secret": ok("get_webhook_secret", webhooks.WebhookSecret),
    "POST /v1/webhooks/test": ok("test_webhook", webhooks.WebhookPing),
    "POST /v1/webhooks/replay": of_status("replay_webhook", 202, webhooks.WebhookReplay),
    "GET /v1/voided-events": ok("list_voided_events", events.VoidedEventPage),
    "GET /v1/voids/{generation}/{partition}/{offset}": ok("get_void_effect", events.VoidEffect),
    "GET /v1/counted-event": ok("get_counted_event", events.CountedEventAnswer),
    "GET /v1/rejections": ok("list_rejections", events.RejectionPage),
    "GET /v1/diagnosis": Answered(
        {200: (Content(diagnosed.DiagnosisAnswer), Content(None, "text/plain"))}, operation="get_diagnosis"
    ),
    "GET /v1/backfills": ok("list_backfills", usage.BackfillList),
    "GET /v1/stored-events": ok("get_stored_events", usage.StoredEvents),
    "GET /v1/runs": ok("list_billing_runs", invoices.BillingRunList),
    "GET /v1/runs/{run_id}": ok("get_billing_run", invoices.BillingRun),
    "POST /v1/portal-tokens": of_status("create_portal_token", 201, portal.PortalToken),
    "GET /v1/portal": ok("get_portal", portal.PortalAccount),
    "GET /v1/portal/usage": Answered(
        {200: (Content(usage.UsageAnswer), Content(None, "text/csv"))}, operation="get_portal_usage"
    ),
    "GET /v1/portal/events": Answered(
        {200: (Content(portal.PortalEvents), Content(None, "text/csv"))}, operation="list_portal_events"
    ),
    "GET /v1/portal/invoices": ok("list_portal_invoices", invoices.InvoicePage),
    "GET /v1/portal/invoices/{invoice_id}": ok("get_portal_invoice", portal.PortalInvoice),
    "GET /v1/portal/invoices/{invoice_id}.pdf": Answered(
        {200: (Content(None, "application/pdf"),)}, operation="print_portal_invoice"
    ),
    "GET /v1/portal/invoices/{invoice_id}/lines/{number}/explain": ok("explain_portal_line", portal.PortalLine),
    "GET /v1/portal/invoices/{invoice_id}/lines/{number}/explain/events": ok(
        "list_portal_line_events", portal.PortalLineEvents
    ),
    "POST /v1/simulations": Answered({200: (Content(whatif.Simulation), _FILE[0])}, operation="simulate_prices"),
    "POST /v1/profiles/try": ok("try_meter", whatif.Trial),
}
MODELS: Final = (("PriceRequest", prices.PriceRequest),)
"""What bodies that FastAPI does not read refer to by name."""
