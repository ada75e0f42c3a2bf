"""What an account page says of prepaid credit: grants, the live balance, its entries, top-ups. Pure."""

from __future__ import annotations

from rating.console.html import Html, join, table, tag
from rating.console.invoices.listed_invoices import total_line
from rating.console.text import grouped, money
from schemas.values.json_text import JsonObject


def prepaid(balance: JsonObject, entries: JsonObject) -> Html | None:
    """Credit grants in the order in which invoices draw on them, what is live, and the latest entries; nothing where
    there are none."""
    if not balance["grants"]:
        return None
    amounts = ("granted", "settled", "pending", "running", "live")
    rows = [
        (
            grant["code"],
            grant["state"],
            (grant["expires"] or "never")[:10],
            *(money(grant[name], grant["currency"]) for name in amounts),
        )
        for grant in balance["grants"]
    ]
    columns = ("Credit grant", "State", "Expires (UTC)", *map(str.capitalize, amounts))
    return join(
        tag("h2", "Prepaid credits"),
        [tag("p", problem, class_="bad", role="alert") for problem in balance["problems"]],
        table(columns, rows, frozenset(range(3, 3 + len(amounts)))),
        [total_line("Live balance", total["live"], total["currency"]) for total in balance["balances"]],
        tag("p", "Live is what is left once what ended (pending) and what is running is billed.", class_="soft"),
        tag("details", tag("summary", "Latest entries"), _entries(entries)),
    )


def topped_up(topups: JsonObject) -> Html | None:
    """The newest requests to buy prepaid credit anew, as they stand; nothing where there are none."""
    if not topups["topups"]:
        return None
    rows = [
        (
            topup["at"],
            topup["state"],
            topup["topup_id"],
            f"{grouped(topup['amount'])} {topup['currency']}",
            f"{grouped(topup['cost'])} {topup['cost_currency']}",
            grouped(topup["balance"]),
            topup["reference"] or "",
        )
        for topup in topups["topups"]
    ]
    columns = ("At (UTC)", "State", "Top-up", "Amount", "Cost", "Balance then", "Reference")
    further = " Only the latest are shown: `weir balance --topups` has all." if topups["next_cursor"] else ""
    text = f"Requested at the floor of prepaid credit; `weir topup` answers one.{further}"
    return join(tag("h3", "Top-ups"), tag("p", text, class_="soft"), table(columns, rows, frozenset({3, 4, 5})))


def _entries(entries: JsonObject) -> Html:
    """What changed the balance, the newest first."""
    rows = [
        (
            entry["at"],
            entry["kind"],
            entry["grant"],
            entry["invoice_id"] or "",
            *(money(entry[name], entry["currency"]) for name in ("amount", "balance", "total")),
        )
        for entry in entries["entries"]
    ]
    columns = ("At (UTC)", "Kind", "Credit grant", "Invoice", "Amount", "Balance of the grant", "In all")
    latest = " Only the latest are shown: `weir balance --entries` has all." if entries["next_cursor"] else ""
    return join(table(columns, rows, frozenset({4, 5, 6})), tag("p", latest, class_="soft") if latest else None)
