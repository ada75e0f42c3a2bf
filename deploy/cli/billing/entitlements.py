"""``weir entitlements``: what an account may use now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, NamespaceOption, answered, pages, services

if TYPE_CHECKING:
    from schemas.values.json_text import JsonObject


def entitlements(
    account: Annotated[str, typer.Argument(help="The account's code.")],
    feature: Annotated[str | None, typer.Argument(help="Only this feature, granted or not.")] = None,
    quantity: Annotated[
        str | None, typer.Option(help="Ask for so much of the feature; without it something must be left.")
    ] = None,
    reservations: Annotated[
        bool, typer.Option("--reservations", help="List the feature's open reservations, the last one first.")
    ] = False,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The features of an account and whether each may be used now: limits, what is used and left, when it restarts."""
    from urllib.parse import quote

    from deploy.cli.errors import Failure
    from deploy.cli.output import console, print_json, say, table

    if quantity is not None and feature is None:
        raise Failure("--quantity is of one feature; name it", 2)
    if reservations and (feature is None or quantity is not None):
        raise Failure("--reservations are of one feature, and of no quantity; name the feature alone", 2)
    asked_of = services(namespace)
    path = f"/v1/accounts/{quote(account, safe='')}/entitlements"
    with asked_of.http("rating") as client:
        if feature is not None and reservations:
            _print_reservations(list(pages(client, f"{path}/{quote(feature, safe='')}/reservations")), as_json)
            return
        if feature is not None:
            parameters = {} if quantity is None else {"quantity": quantity}
            answer: JsonObject = answered(client.get(f"{path}/{quote(feature, safe='')}", params=parameters))
            listed = [answer]
        else:
            answer, *others = pages(client, path)
            listed = [item for page in (answer, *others) for item in page["entitlements"]]
            answer = answer | {"entitlements": listed, "next_cursor": None}
    if as_json:
        print_json(answer)
        return
    for problem in answer.get("problems", ()):
        say(f"not known: {problem}")
    if not listed:
        say(f"{account} has no features in {asked_of.namespace}; its plans and subscriptions grant none")
        return
    columns = (
        "feature",
        "allowed",
        "value",
        "granted",
        "used",
        "reserved",
        "remaining",
        "unit",
        "resets at",
        "plan",
        "credit",
        "why not",
    )
    rows = [
        [
            item["feature"], "yes" if item["allowed"] else "no", item["value"], item["granted"], item["used"],
            item["reserved"], item["remaining"], item["unit"], item["resets_at"], item["plan"],
            _credit_text(item["credit"]), item["detail"],
        ]
        for item in listed
    ]  # fmt: skip
    console().print(table("", columns, rows, right=("granted", "used", "reserved", "remaining")))
    say(f"as of {answer['as_of']['at']}")


def _credit_text(credit: JsonObject | None) -> str:
    """The prepaid balance where there is a floor under it, and what reservations would draw."""
    from decimal import Decimal

    if credit is None:
        return ""
    balance = "not known" if credit["balance"] is None else f"{credit['balance']} {credit['currency']}"
    reserved = f", {credit['reserved']} reserved" if Decimal(credit["reserved"] or 0) else ""
    return f"{balance}{reserved}, floor {credit['floor']}"


def _print_reservations(listed: list[JsonObject], as_json: bool) -> None:
    from deploy.cli.output import console, print_json, say, table

    first = listed[0]
    open_ones = [item for page in listed for item in page["reservations"]]
    if as_json:
        print_json(first | {"reservations": open_ones, "next_cursor": None})
        return
    if not open_ones:
        say(f"{first['account_id']} has no open reservations of {first['feature']}")
        return
    columns = ("reservation", "quantity", "reserved at", "expires at", "idempotency key")
    names = ("reservation_id", "quantity", "reserved_at", "expires_at", "idempotency_key")
    rows = [[item[name] for name in names] for item in open_ones]
    console().print(table("", columns, rows, right=("quantity",)))
