"""The page that simulates another price: its form, and who would pay more and who less. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rating.console.catalog.form_view import fields_of
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.simulate.difference_bars import difference_bars
from rating.console.simulate.simulation_draft import SimulationDraft
from rating.console.text import grouped, money
from schemas.values.json_text import JsonObject

PATH: Final = ("simulate",)
SHOWN: Final = 200
"""Subscriptions of a table: half of those that would pay least, half of those that would pay most."""
_DRAWN: Final = 24
_PROBLEMS_SHOWN: Final = 20


def simulation_page(frame: Frame, draft: SimulationDraft, answer: JsonObject | None = None) -> Html:
    """``answer``: of POST /v1/simulations to the draft's request; None where it was not asked yet or is refused."""
    about = (
        "Past usage is billed twice, by the code that bills: as the catalog is, and as it would be. Nothing is written."
        " Prepaid credit is left out, since it pays and is no price."
    )
    return frame.page(
        "simulate",
        "Simulate a price",
        tag("h1", "Simulate a price"),
        tag("p", about, class_="soft"),
        _refusal(draft),
        None if answer is None else _answer(frame, answer),
        _form(frame, draft),
        _as_code(draft),
    )


def _form(frame: Frame, draft: SimulationDraft) -> Html:
    buttons = (
        ("run", "Simulate", "first"),
        ("more", "Update the form: fields and rows", None),
        ("csv", "CSV of all", None),
    )
    drawn = [
        tag("button", text, name="do", value=do, class_=class_, formnovalidate=do == "more")
        for do, text, class_ in buttons
    ]
    fields = fields_of(draft.nodes, draft.shown, draft.faults)
    return frame.change_form(fields, tag("div", drawn, class_="buttons"), path=PATH, class_="entry")


def _refusal(draft: SimulationDraft) -> Html | None:
    if not draft.faults and not draft.general:
        return None
    items = [tag("li", text) for text in draft.general]
    items += [tag("li", tag("a", name, href=f"#f-{name}"), ": ", detail) for name, detail in draft.faults.items()]
    strong = tag("strong", "It cannot be simulated:", class_="bad")
    return tag("div", strong, tag("ul", items, class_="plain"), class_="note", role="alert")


def _as_code(draft: SimulationDraft) -> Html:
    body = json.dumps(draft.request(1000), ensure_ascii=False)
    shown = tag("pre", f"POST /v1/simulations\n{body}", tabindex=0)
    return tag("details", tag("summary", "The same over HTTP"), shown, class_="more")


def _answer(frame: Frame, answer: JsonObject) -> Html:
    problems: Sequence[str] = answer["problems"]
    told = [tag("li", problem) for problem in problems[:_PROBLEMS_SHOWN]]
    if len(problems) > _PROBLEMS_SHOWN:
        told.append(tag("li", f"and {len(problems) - _PROBLEMS_SHOWN} more, which the document of the API has"))
    if not answer["totals"]:
        none = f"No billing period of these customers begins in {answer['period']} and has ended."
        parts: list[Child] = [] if problems else [tag("p", none, class_="note", role="status")]
    else:
        parts = [tag("h2", f"What {answer['period']} would have cost")]
        parts += [_total(frame, total, answer) for total in answer["totals"]]
        parts.append(_table(frame, answer))
    if told:
        note = tag("div", tag("strong", "Not compared"), tag("ul", told, class_="plain"), class_="note")
        parts.append(note)
    return join(parts)


def _total(frame: Frame, total: JsonObject, answer: JsonObject) -> Html:
    """Of one currency: sums, how many pay less and more, and the greatest differences drawn."""
    currency = total["currency"]
    cards = (
        (money(total["before"], currency), "as it is"),
        (money(total["after"], currency), "as it would be"),
        (_signed(total["difference"], currency), "difference"),
        (grouped(total["pay_less"]), "would pay less"),
        (grouped(total["pay_more"]), "would pay more"),
        (grouped(total["pay_the_same"]), "the same"),
    )
    changed = [
        (frame.name_of("account", compared["account_id"]) or compared["account_id"], Decimal(compared["difference"]))
        for compared in answer["subscriptions"]
        if compared["currency"] == currency and compared["pays"] != "the same"
    ]
    half = _DRAWN // 2
    drawn = changed if len(changed) <= _DRAWN else [*changed[:half], *changed[-half:]]
    chart = tag("div", difference_bars(drawn, currency), class_="chart", tabindex=0, role="group", aria_label="Chart")
    caption = "Less to the left, more to the right"
    caption += f"; the {_DRAWN} greatest of those below." if len(changed) > _DRAWN else "."
    return join(
        tag("div", [tag("div", tag("b", number), tag("span", text), class_="card") for number, text in cards],
            class_="cards"),
        join(chart, tag("p", caption, class_="soft")) if drawn else None,
    )  # fmt: skip


def _table(frame: Frame, answer: JsonObject) -> Html:
    rows = [
        (
            frame.account(compared["account_id"]),
            compared["subscription"],
            money(compared["before"], compared["currency"]),
            money(compared["after"], compared["currency"]),
            _signed(compared["difference"], compared["currency"]),
            _percent(compared),
        )
        for compared in answer["subscriptions"]
    ]
    head = ("Customer", "Subscription", "As it is", "As it would be", "Difference", "Percent")
    cut = (
        f"{answer['left_out']} subscriptions between those are not shown; the CSV has all."
        if answer["left_out"]
        else ""
    )
    return join(table(head, rows, frozenset({2, 3, 4, 5})), tag("p", cut, class_="soft") if cut else None)


def _percent(compared: JsonObject) -> str:
    before, difference = Decimal(compared["before"]), Decimal(compared["difference"])
    if before <= 0:
        return "–"
    return f"{difference * 100 / before:+.1f} %".replace("-", "−")


def _signed(amount: str, currency: str) -> str:
    return ("+" if Decimal(amount) > 0 else "") + money(amount, currency)
