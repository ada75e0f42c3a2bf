"""``weir topup``: the answer to a requested top-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import ADMIN_KEY, JsonOption, NamespaceOption, answered, services

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject

_Account = Annotated[str, typer.Argument(help="The account's code.")]
_Topup = Annotated[str, typer.Argument(help="The top-up's id, top_….")]

app = typer.Typer(
    help="Answer a top-up of prepaid credit; `weir balance ACCOUNT --topups` lists them.", no_args_is_help=True
)


@app.command(epilog=ADMIN_KEY)
def paid(
    account: _Account,
    topup: _Topup,
    reference: Annotated[str, typer.Option(help="Of the payment.")] = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """It was paid: its amount is granted, once."""
    _answer(account, topup, "paid", {"reference": reference}, namespace, as_json)


@app.command(epilog=ADMIN_KEY)
def refused(
    account: _Account,
    topup: _Topup,
    reason: Annotated[str, typer.Option(help="Why it was not paid.")] = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """It was not paid: the next one is requested after a while."""
    _answer(account, topup, "refused", {"reason": reason}, namespace, as_json)


def _answer(account: str, topup: str, state: str, body: dict[str, str], namespace: str | None, as_json: bool) -> None:
    from urllib.parse import quote

    from deploy.cli.output import print_json, say

    path = f"/v1/accounts/{quote(account, safe='')}/topups/{quote(topup, safe='')}/{state}"
    with services(namespace).http("rating") as client:
        answer: JsonObject = answered(client.post(path, json=body))
    if as_json:
        print_json(answer)
        return
    grant = f": credit grant {answer['credit_grant']}" if answer["credit_grant"] else ""
    say(f"{answer['topup_id']} over {answer['amount']} {answer['currency']} is {answer['state']}{grant}")
