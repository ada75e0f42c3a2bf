"""The page of one entry of the catalog: its form, what it would do, who changed it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rating.console.catalog.entry_forms import CatalogPlace
from rating.console.catalog.form_draft import CHARGE, CODE, VERSION, EntryDraft, model_of
from rating.console.catalog.form_view import fields_of
from rating.console.catalog.price_nodes import tried_nodes
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.text import grouped, rounded
from schemas.catalog.audit_trail import Audited
from schemas.values.instants import instant
from schemas.values.json_text import JsonObject

MOST_CHANGES: Final = 8
"""Changed fields of one version that are listed."""
SAVED: Final = {"created": "It is there now.", "changed": "The change is published."}


@dataclass(frozen=True, slots=True)
class FormNotes:
    """What is said about a form. ``faults``: field → what is wrong; ``general``: what no field is about; ``meanwhile``:
    the version that somebody published since the form was opened; ``priced``: a price that was worked out, of
    ``tried``; ``planned``: what would be published; ``trial``: what a metric would have made of past events;
    ``warnings``: of what was or would be."""

    faults: Mapping[str, str] | None = None
    general: Sequence[str] = ()
    meanwhile: Audited | None = None
    priced: JsonObject | None = None
    tried: JsonObject | None = None
    planned: JsonObject | None = None
    trial: JsonObject | None = None
    warnings: Sequence[str] = ()
    done: str = ""


NOTHING: Final = FormNotes()


def entry_page(
    frame: Frame,
    draft: EntryDraft,
    notes: FormNotes,
    code: Html,
    versions: Sequence[Audited],
    following: Html | None = None,
) -> Html:
    """``code``: the call and the document; ``versions``: the newest of the entry; ``following``: what is done next."""
    catalog_place, standing = draft.place, draft.standing
    name = str(draft.body.get("name") or draft.code or "")
    title = f"{name}" if standing else f"New {catalog_place.what}"
    button = "Save" if standing else f"Create the {catalog_place.what}"
    about = f"{catalog_place.what} {standing.code}, version {standing.version}" if standing else ""
    return frame.page(
        catalog_place.side,
        title,
        tag("p", _back(frame, catalog_place), class_="soft"),
        tag("h1", title),
        tag("p", about, class_="soft") if about else None,
        _done(notes),
        following,
        _form(frame, draft, notes, ("catalog", catalog_place.path, "form"), button),
        code,
        _retire(frame, draft),
        _history(versions),
    )


def charge_page(frame: Frame, draft: EntryDraft, notes: FormNotes, code: Html, plan_name: str) -> Html:
    """A product on a plan, with its price."""
    assert draft.code is not None
    title = "Change a price" if draft.charge else "Add a product"
    plan = frame.link(plan_name, "catalog", "plans", "form", code=draft.code)
    tried = None
    if draft.charge:
        tried = frame.link("Simulate another price on past usage", "simulate", plan=draft.code, charge=draft.charge)
    stay = "Subscriptions stay on the version of the plan that they are on. "
    saved = "Save: a new version of the plan" if draft.charge else "Add to the plan"
    return frame.page(
        "catalog/plans",
        title,
        tag("p", "← ", plan, class_="soft"),
        tag("h1", title),
        tag("p", stay, tried, class_="soft"),
        _done(notes),
        _form(frame, draft, notes, ("catalog", "charges", "form"), saved),
        code,
    )


def _back(frame: Frame, catalog_place: CatalogPlace) -> Html:
    path = ("accounts",) if catalog_place.path == "accounts" else ("catalog", catalog_place.path)
    return join("← ", frame.link(catalog_place.title, *path))


def _done(notes: FormNotes) -> Html:
    warnings = [tag("li", warning) for warning in notes.warnings]
    return join(
        tag("p", SAVED.get(notes.done, ""), class_="good", role="status") if notes.done in SAVED else None,
        tag("div", tag("strong", "Take note"), tag("ul", warnings, class_="plain"), class_="note")
        if warnings
        else None,
    )


def _form(frame: Frame, draft: EntryDraft, notes: FormNotes, path: tuple[str, ...], save: str) -> Html:
    faults = notes.faults or {}
    charge = path[1] == "charges"
    hidden = {CODE: draft.code, VERSION: draft.version, CHARGE: draft.charge or None}
    inside: list[Child] = [
        tag("input", type="hidden", name=name, value=value) for name, value in hidden.items() if value is not None
    ]
    inside += [
        _refusal(faults, notes.general),
        _meanwhile(notes.meanwhile),
        *fields_of(draft.nodes, draft.shown, faults, standing=draft.standing is not None),
    ]
    if charge:
        inside.append(_try(draft, notes))
    if not frame.may_change:
        return tag("fieldset", inside, disabled=True, class_="bare", aria_label="What it says; this key may look only")
    inside += [
        _planned(notes.planned),
        None if notes.trial is None else _trial(notes.trial),
        tag("div", _buttons(draft, save, charge), class_="buttons"),
    ]
    return frame.change_form(inside, path=path, class_="entry")


def _buttons(draft: EntryDraft, save: str, charge: bool) -> list[Html]:
    def button(do: str, text: str, class_: str | None = None) -> Html:
        return tag("button", text, name="do", value=do, class_=class_, formnovalidate=do != "save")

    buttons = [button("save", save, "first"), button("more", "Update the form: fields and rows")]
    buttons.append(button("check", "What will change?"))
    if draft.place.kind == "meter":
        buttons.append(button("try", "Try it on the last days' events"))
    if charge and draft.charge:
        buttons.append(button("remove", "Take it off the plan"))
    return buttons


def _refusal(faults: Mapping[str, str], general: Sequence[str]) -> Html | None:
    if not faults and not general:
        return None
    items = [tag("li", text) for text in general]
    items += [tag("li", tag("a", field, href=f"#f-{field}"), ": ", detail) for field, detail in faults.items()]
    return tag(
        "div", tag("strong", "It was not saved:", class_="bad"), tag("ul", items, class_="plain"), class_="note",
        role="alert",
    )  # fmt: skip


def _meanwhile(version: Audited | None) -> Html | None:
    if version is None:
        return None
    who, number = version.entry.author, version.entry.version
    text = f"{who} has published version {number} meanwhile, and nothing of yours was saved. It changed: "
    remedy = (
        "What you wrote stands below; what is not asked for here stays as in the new version. Save it again to put it "
        "in its place."
    )
    return tag("div", tag("p", tag("strong", text), _changes(version)), tag("p", remedy), class_="note", role="alert")


def _planned(planned: JsonObject | None) -> Html | None:
    if planned is None:
        return None
    parts = [
        f"{change['kind']} {change['code']} will be {action}, as version {change['version']}"
        for action in ("created", "changed", "retired")
        for change in planned.get(action, ())
    ]
    text = "; ".join(parts) or "Nothing would change"
    return tag("p", tag("strong", "What will change: "), text, ".", class_="note", role="status")


def _trial(trial: JsonObject) -> Html:
    """Of the events of the metric's name: which count, which do not and why."""
    rows = [
        (
            profile["profile"],
            grouped(profile["matched"]),
            grouped(profile["not_matched"]),
            ", ".join(f"{grouped(count)} {reason}" for reason, count in profile["unmeterable"].items()) or "none",
            rounded(profile["quantity"], profile["unit"]),
            "–" if profile["current"] is None else rounded(profile["current"]["quantity"], profile["unit"]),
        )
        for profile in trial["profiles"]
    ]
    head = ("Metric", "Events that count", "Kept out by a filter", "Without a usable value", "Comes to", "Now")
    about = f"Of {grouped(trial['events'])} events {trial['event_name']} since {trial['from'][:10]}:"
    return tag(
        "div", tag("p", tag("strong", about)), table(head, rows, frozenset({1, 2, 4, 5})), class_="note", role="status"
    )


def _try(draft: EntryDraft, notes: FormNotes) -> Html:
    """The price of a quantity, worked out before anything is saved."""
    nodes = tried_nodes(model_of(draft.shown))
    fields = fields_of(nodes, notes.tried or {}, notes.faults or {}, "try.")
    button = tag("button", "Work it out", name="do", value="price", formnovalidate=True)
    answer: list[Child] = []
    if notes.priced is not None:
        currency = str(draft.body.get("currency", ""))
        steps = [tag("li", step["text"]) for step in notes.priced["steps"]]
        total = tag(
            "p", tag("strong", f"{notes.priced['amount']} {currency}"), f" (unrounded {notes.priced['unrounded']})"
        )
        answer = [tag("ul", steps, class_="steps"), total]
    return tag(
        "fieldset", tag("legend", "What a quantity costs"), tag("div", fields, button, class_="fields"),
        tag("div", answer, role="status"),
    )  # fmt: skip


def _retire(frame: Frame, draft: EntryDraft) -> Html | None:
    if draft.standing is None or not frame.may_change:
        return None
    what = draft.place.what
    hidden = [
        tag("input", type="hidden", name=name, value=value)
        for name, value in ((CODE, draft.code), (VERSION, draft.version))
    ]
    sure = tag(
        "label", tag("input", type="checkbox", name="sure", value="on", required=True), " Retire it", class_="box"
    )
    button = tag("button", f"Retire the {what}")
    text = "It is taken out of the catalog from now on; what it measured and billed stays."
    form = frame.change_form(hidden, sure, button, path=("catalog", draft.place.path, "retire"))
    return tag("details", tag("summary", f"Retire this {what}"), tag("p", text, class_="soft"), form, class_="more")


def _history(versions: Sequence[Audited]) -> Html | None:
    if not versions:
        return None
    rows = [
        (
            str(version.entry.version),
            f"{instant(version.entry.published_us):%Y-%m-%d %H:%M} UTC",
            version.entry.author,
            version.action,
            _changes(version) if version.action == "changed" else "",
        )
        for version in versions
    ]
    return join(tag("h2", "Versions"), table(("Version", "When", "Who", "What", "Fields"), rows))


def _changes(version: Audited) -> Html:
    shown = [
        join(
            "; " if index else None,
            tag("code", change["path"]),
            f" {_short(change, 'before')} → {_short(change, 'after')}",
        )
        for index, change in enumerate(version.changes[:MOST_CHANGES])
    ]
    rest = len(version.changes) - MOST_CHANGES
    return join(
        shown, f"; and {rest} more" if rest > 0 else None, None if shown else "nothing that is measured or billed"
    )


def _short(change: JsonObject, side: str) -> str:
    if side not in change:
        return "–"
    text = json.dumps(change[side], ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
