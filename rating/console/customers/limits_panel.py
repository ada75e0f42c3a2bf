"""The limits of what an account may use, with its open reservations, as a panel of its page. Pure."""

from __future__ import annotations

from typing import Final

from rating.console.html import Html, join, table, tag
from rating.console.text import grouped
from schemas.values.json_text import JsonObject

LIMITS_SHOWN: Final = 50
"""Features, and open reservations of each."""
_NUMBERS: Final = ("granted", "used", "reserved", "remaining")


def limited(limits: JsonObject) -> Html | None:
    """Each limit of the features that are granted, with what is used and reserved of it; open reservations. Nothing
    where there are neither."""
    rows = [
        (
            item["feature"],
            _limit_text(limit),
            *(f"{grouped(limit[name])} {limit['unit']}".rstrip() for name in _NUMBERS),
            limit["resets_at"] or "",
        )
        for item in limits["entitlements"]
        for limit in item["limits"]
    ]
    floors = [
        (
            item["feature"],
            *(
                grouped(item["credit"][name]) if item["credit"][name] is not None else ""
                for name in ("balance", "reserved", "floor", "remaining")
            ),
            item["credit"]["currency"],
            "yes" if item["allowed"] else f"no: {item['detail']}",
        )
        for item in limits["entitlements"]
        if item["credit"] is not None
    ]
    reserved = [
        (
            reservation["feature"],
            reservation["reservation_id"],
            grouped(reservation["quantity"]),
            reservation["reserved_at"],
            reservation["expires_at"],
        )
        for reservation in limits["reservations"]
    ]
    if not (rows or floors or reserved or limits["problems"]):
        return None
    columns = ("Feature", "Limit", *map(str.capitalize, _NUMBERS), "Restarts (UTC)")
    of_floor = ("Feature", "Prepaid balance", "Reserved", "Has to be above", "Remaining", "Currency", "Allowed")
    of_reservation = ("Feature", "Open reservation", "Quantity", "Since (UTC)", "Expires (UTC)")
    further = f" The first {LIMITS_SHOWN} features are shown." if limits["next_cursor"] else ""
    return join(
        tag("h2", "Limits", id="limits"),
        [tag("p", problem, class_="bad", role="alert") for problem in limits["problems"]],
        table(columns, rows, frozenset({2, 3, 4, 5})) if rows else None,
        tag("p", f"Remaining is granted less used and reserved.{further}", class_="soft") if rows else None,
        table(of_floor, floors, frozenset({1, 2, 3, 4})) if floors else None,
        table(of_reservation, reserved, frozenset({2})) if reserved else None,
    )


def _limit_text(limit: JsonObject) -> str:
    interval = limit["rolling"] or str(limit["reset"] or "for ever").replace("_", " ")
    kind = "hard" if limit["hard"] else "hard until paid" if limit["block"] else "soft"
    return f"{kind}, {interval}"
