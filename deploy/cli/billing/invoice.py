"""``weir invoice``: one invoice in full, and what becomes of it: approval, hold, void, payments, credit notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from typer.core import TyperGroup

from deploy.cli.billing.invoice_tables import invoice_parts
from deploy.cli.connection import ADMIN_KEY, READ_KEY, JsonOption, NamespaceOption, answered, checked, services
from deploy.cli.errors import FAILED, USAGE, Failure

if TYPE_CHECKING:
    import httpx

    from schemas.values.json_text import JsonObject


def show(
    invoice_id: Annotated[str, typer.Argument(metavar="ID", help="An id that `weir invoices` shows.")],
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """One invoice in full: each line with its quantity, price and the steps of its amount."""
    from deploy.cli.output import console, print_json

    asked_of = services(namespace)
    with asked_of.http("rating") as client:
        answer = client.get(f"/v1/invoices/{quote(invoice_id, safe='')}")
    if answer.status_code == 404 and "no invoice" in answer.text:
        raise Failure(f"there is no invoice {invoice_id} in {asked_of.namespace}; `weir invoices` lists them", USAGE)
    invoice: JsonObject = answered(answer)
    if as_json:
        print_json(invoice)
        return
    for part in invoice_parts(invoice):
        console().print(part)


class _ShowFirst(TyperGroup):
    """``weir invoice ID`` is ``weir invoice show ID``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="One invoice in full (`weir invoice ID`); approve or hold its draft; void it, credit it, or record a payment.",
    cls=_ShowFirst,
    no_args_is_help=True,
)
app.command("show", epilog=READ_KEY)(show)

InvoiceId = Annotated[str, typer.Argument(metavar="ID", help="An id that `weir invoices` shows.")]


@app.command(epilog=ADMIN_KEY)
def approve(
    invoice_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", help="Drafts that `weir invoices` shows, in their order.")
    ] = None,
    version: Annotated[
        int, typer.Option("--version", help="The draft's version that you looked at; default: the newest.")
    ] = 0,
    every: Annotated[bool, typer.Option("--all", help="All drafts that await approval now and are not held.")] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve drafts: each is finalised just as it is, with a number and a due date."""
    names = invoice_ids or []
    if every == bool(names) or (version and len(names) != 1):
        raise Failure("give the drafts' IDs, or --all; --version goes with one ID alone", USAGE)
    with services(namespace).http("rating") as client:
        versions = _awaiting(client) if every else {name: version or _looked_at(client, name) for name in names}
        done: list[JsonObject] = []
        failed: list[Failure] = []
        for name, draft_version in versions.items():
            try:
                answer = client.post(f"/v1/invoices/{name}/approve", json={"version": draft_version})
                invoice: JsonObject = checked(answer)
            except Failure as failure:
                if len(versions) == 1:
                    raise
                failed.append(failure)
                _aside(failure)
                continue
            done.append(invoice)
            if not as_json:
                amount = f"{invoice['total']} {invoice['currency']}, number {invoice['number']}"
                sentence = f"version {draft_version} of its draft is approved: {amount}"
                _say(invoice, f"{name}: {sentence}, due on {invoice['due_date']}", as_json)
    if as_json:
        refused = [str(failure) for failure in failed]
        _say(done[0] if len(names) == 1 else {"invoices": done, "refused": refused}, "", as_json)
    elif every and not versions:
        _say({}, "no draft awaits approval", as_json)
    if failed:
        raise typer.Exit(FAILED)


def _looked_at(client: httpx.Client, name: str) -> int:
    """The version of the draft that stands now, or the one that was approved."""
    draft: JsonObject = checked(client.get(f"/v1/invoices/{name}"))
    approval: JsonObject = draft["approved"] or {"draft": draft["version"]}
    return int(approval["draft"])


def _awaiting(client: httpx.Client) -> dict[str, int]:
    """Id → version of drafts that somebody may approve, a subscription's earlier periods first."""
    drafts: list[JsonObject] = []
    cursor: str | None = None
    while True:
        parameters = {"state": "draft", "limit": "500"} | ({"cursor": cursor} if cursor else {})
        page: JsonObject = checked(client.get("/v1/invoices", params=parameters))
        drafts += page["invoices"]
        if (cursor := page["next_cursor"]) is None:
            break
    free = [draft for draft in drafts if draft["draft"]["approval"] == "required" and draft["draft"]["held"] is None]
    free.sort(key=lambda draft: (draft["period_start"], draft["period_end"], draft["sequence"]))
    return {draft["invoice_id"]: draft["version"] for draft in free}


def _aside(failure: Failure) -> None:
    from deploy.cli.output import say_aside

    say_aside(str(failure))


@app.command(epilog=ADMIN_KEY)
def hold(
    invoice_id: InvoiceId,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the draft.")],
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a draft back: it is not finalised until it is released."""
    draft = _post(f"/v1/invoices/{invoice_id}/hold", {"reason": reason}, namespace)
    _say(draft, f"{invoice_id}: {draft['draft']['waits']}", as_json)


@app.command(epilog=ADMIN_KEY)
def release(invoice_id: InvoiceId, namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """Release a draft that was held back."""
    draft = _post(f"/v1/invoices/{invoice_id}/release", {}, namespace)
    _say(draft, f"{invoice_id}: {draft['draft']['waits']}", as_json)


@app.command(epilog=ADMIN_KEY)
def void(
    invoice_id: InvoiceId,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the invoice.")],
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Void an invoice: it counts nowhere any longer, and the next close bills its period again."""
    invoice = _post(f"/v1/invoices/{invoice_id}/void", {"reason": reason}, namespace)
    _say(invoice, f"{invoice_id} is void; `weir close` bills its period again", as_json)


@app.command(epilog=ADMIN_KEY)
def pay(
    invoice_id: InvoiceId,
    amount: Annotated[
        str,
        typer.Argument(
            help="In the invoice's currency; negative (after --): paid back, also of an invoice below zero."
        ),
    ],
    reference: Annotated[
        str, typer.Option("--reference", help="The payment's own name: the same one is recorded once.")
    ],
    paid_at: Annotated[str, typer.Option("--paid-at", help="RFC 3339 instant; default: now.")] = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record a payment; part of what is due is fine, more is not."""
    body = {"amount": amount, "reference": reference} | ({"paid_at": paid_at} if paid_at else {})
    invoice = _post(f"/v1/invoices/{invoice_id}/payments", body, namespace)
    paid = f"{invoice['amount_paid']} of {invoice['total']} {invoice['currency']} paid"
    _say(invoice, f"{invoice_id}: {paid}, {invoice['amount_due']} due; {invoice['state']}", as_json)


@app.command(epilog=ADMIN_KEY)
def credit(
    *,
    invoice_id: InvoiceId,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the credit note.")],
    reference: Annotated[
        str, typer.Option("--reference", help="The credit note's own name: the same one is recorded once.")
    ],
    amount: Annotated[str, typer.Argument(help="In the invoice's currency; none where lines are named.")] = "",
    line: Annotated[
        list[str] | None,
        typer.Option("--line", metavar="N=AMOUNT", help="So much of line N; several times if need be."),
    ] = None,
    quantity: Annotated[
        list[str] | None,
        typer.Option(
            "--quantity", metavar="N=QUANTITY", help="So much of the quantity of line N, at its average price."
        ),
    ] = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a credit note: so much of the invoice, or of its lines, need not be paid, or comes back to the prepaid
    credit that paid it. All of them never come to more than what it billed."""
    lines = [_of_line(text, "amount") for text in line or ()] + [_of_line(text, "quantity") for text in quantity or ()]
    if bool(amount) == bool(lines):
        raise Failure("give either AMOUNT, or what is credited of single lines (--line, --quantity)", USAGE)
    what: JsonObject = {"lines": lines} if lines else {"amount": amount}
    body = what | {"reference": reference, "reason": reason}
    invoice = _post(f"/v1/invoices/{invoice_id}/credit-notes", body, namespace)
    note = next(credit_note for credit_note in invoice["credit_notes"] if credit_note["reference"] == reference)
    text = f"credit note {note['number']} over {note['subtotal']} {invoice['currency']}"
    text += "".join(f", {part['amount']} of it back to prepaid credit {part['grant']}" for part in note["prepaid"])
    _say(invoice, f"{invoice_id}: {text}, {invoice['amount_due']} due; {invoice['state']}", as_json)


def _of_line(text: str, what: str) -> JsonObject:
    number, _, value = text.partition("=")
    if not number.isdigit() or not value:
        raise Failure(f"{text!r}: write the line's number, = and the {what}, e.g. 2=1.50", USAGE)
    return {"line": int(number), what: value}


def _post(path: str, body: JsonObject, namespace: str | None) -> JsonObject:
    with services(namespace).http("rating") as client:
        invoice: JsonObject = checked(client.post(path, json=body))
    return invoice


def _say(answer: JsonObject, text: str, as_json: bool) -> None:
    from deploy.cli.output import print_json, say

    if as_json:
        print_json(answer)
    else:
        say(text)
