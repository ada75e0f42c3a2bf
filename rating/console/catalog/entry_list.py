"""Lists of the catalog's entries, and the page of settings. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rating.console.catalog.entry_forms import CatalogPlace
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.text import grouped, money
from schemas.catalog.state import Entry

_NONE = {
    "meter": "Nothing is measured yet: a metric says which events count, and what of them.",
    "product": "There is no product yet: a product gives a metric, or a fee, the name that stands on invoices.",
    "plan": "There is no plan yet: a plan has products with prices, and customers subscribe to it.",
    "subscription": "Nobody has subscribed yet.",
    "feature": "There is no feature yet: what customers may use, on or off, with a value, or up to a limit.",
    "credit_grant": "Nobody has prepaid credit: invoices draw on it until it is used up or expires.",
    "alert_rule": "Nothing is watched yet: a rule says of which usage, spend or balance somebody is told, and when.",
}
_HEADS: dict[str, tuple[str, ...]] = {
    "meter": ("Metric", "Events", "Measures"),
    "product": ("Product", "Bills", "Unit"),
    "plan": ("Plan", "Currency", "Billed every", "Products"),
    "subscription": ("Subscription", "Customer", "Plan", "From", "Until"),
    "feature": ("Feature", "Metric or value", "Limits"),
    "credit_grant": ("Credit", "Of", "Amount", "From", "Expires"),
    "alert_rule": ("Alert rule", "Watches", "Of", "Fires at"),
}


def entry_list(
    frame: Frame, catalog_place: CatalogPlace, entries: Sequence[Entry], after: str, following: str | None
) -> Html:
    """A page of entries. ``after``: where it begins, ``following``: where the next one does, None: there is none."""
    rows = [[_name(frame, catalog_place, entry), *_cells(frame, entry)] for entry in entries]
    paging: list[Child] = [frame.link("First page", "catalog", catalog_place.path), " "] if after else []
    if following is not None:
        paging.append(frame.link("Further ones", "catalog", catalog_place.path, after=following))
    none = tag("p", _NONE[catalog_place.kind])
    return frame.page(
        catalog_place.side,
        catalog_place.title,
        tag("h1", catalog_place.title),
        create_link(frame, catalog_place.path, f"Create a {catalog_place.what}"),
        table(_HEADS[catalog_place.kind], rows) if rows else none,
        tag("p", paging) if paging else None,
    )


def create_link(frame: Frame, path: str, text: str, **given: str | None) -> Html | None:
    """The way to the form of a new entry, for those who may make one."""
    if not frame.may_change:
        return None
    href = frame.address("catalog", path, "form", **given)
    return tag("p", tag("a", text, href=href, class_="button"))


def settings_page(frame: Frame) -> Html:
    """What is set up once: metrics and what is sold of them; keys."""
    items = [
        (("catalog", "metrics"), "Billable metrics", "which events count, and what of them is measured"),
        (("catalog", "products"), "Products", "what stands on an invoice: a metric, or a fee"),
        (("catalog", "plans"), "Plans", "products with their prices, in one currency"),
        (("catalog", "subscriptions"), "Subscriptions", "who is billed by which plan, from when"),
        (("catalog", "features"), "Features", "what customers may use, and up to which limits"),
        (("catalog", "credits"), "Prepaid credits", "what customers have paid ahead, or were given"),
        (("catalog", "alert-rules"), "Alert rules", "which usage, spend or balance somebody is told of"),
    ]
    if frame.may_administer:
        items.append((("settings", "keys"), "API keys", "programs: who may send events, read, and change what"))
        items.append((("settings", "users"), "Users", "people: who may look, decide and change"))
    if frame.has_password:
        items.append((("settings", "password"), "Password", "another one of your own"))
    rows = [[frame.link(title, *path), about] for path, title, about in items]
    return frame.page("settings", "Settings", tag("h1", "Settings"), table(("What", "What it is"), rows))


def charges_of(frame: Frame, plan: Entry) -> Html:
    """The products of a plan, each a way to its price."""
    rows = [
        (
            frame.link(
                frame.name_of("product", charge["product"]) or charge["product"],
                "catalog", "charges", "form", plan=plan.code, charge=charge.get("code") or charge["product"],
            ),
            str(charge["price"].get("model", "")).replace("_", " "),
            _price_text(charge["price"]),
        )
        for charge in plan.body.get("charges", ())
    ]  # fmt: skip
    none = tag("p", "No product is on this plan yet: it bills nothing.")
    add = create_link(frame, "charges", "Add a product", plan=plan.code)
    return join(tag("h2", "Products"), table(("Product", "Price", "Amount"), rows) if rows else none, add)


def _price_text(price: dict[str, object]) -> str:
    for name in ("amount", "unit_amount", "package_amount", "rate"):
        if name in price:
            return grouped(str(price[name])) + ("%" if name == "rate" else "")
    parts = price.get("tiers") or price.get("cells")
    return f"{len(parts)} {'tiers' if 'tiers' in price else 'cells'}" if isinstance(parts, list) else ""


def _name(frame: Frame, catalog_place: CatalogPlace, entry: Entry) -> Html:
    name = str(entry.body.get("name") or entry.code)
    code = tag("span", entry.code, class_="soft code") if name != entry.code else None
    return join(frame.link(name, "catalog", catalog_place.path, "form", code=entry.code), " ", code)


def _cells(frame: Frame, entry: Entry) -> list[Child]:
    body = entry.body
    if entry.kind == "meter":
        profiles = [f"{profile['code']}: {profile['aggregation'].replace('_', ' ')}" for profile in body["profiles"]]
        return [body.get("event_name") or entry.code, ", ".join(profiles)]
    if entry.kind == "product":
        metric = body.get("profile")
        return [frame.named("metric", metric) if metric else "a fee", body.get("unit") or ""]
    if entry.kind == "plan":
        names = [frame.name_of("product", charge["product"]) or charge["product"] for charge in body.get("charges", ())]
        return [body["currency"], body.get("interval", "month"), ", ".join(names[:5]) + ("…" if len(names) > 5 else "")]
    if entry.kind in _FURTHER:
        return _FURTHER[entry.kind](frame, body)
    return [
        frame.account(body["account"]),
        frame.named("plan", body["plan"]),
        str(body["start"])[:10],
        str(body.get("end") or "")[:10],
    ]


def _feature_cells(frame: Frame, body: Mapping[str, Any]) -> list[Child]:
    metric, value = body.get("profile"), body.get("value")
    limits = [*(body.get("limits") or ()), *([{"quantity": body["limit"], **body}] if body.get("limit") else ())]
    shown = [limit_text(limit) for limit in limits]
    what = frame.named("metric", metric) if metric else ("on or off" if value is None else json.dumps(value))
    return [what, "; ".join(shown) or ("none" if metric else "–")]


def limit_text(limit: Mapping[str, Any]) -> str:
    """A limit in short, e.g. "1 000 each month"."""
    number = grouped(str(limit.get("quantity") or limit.get("amount") or 0))
    often = str(limit.get("reset") or "").replace("_", " ")
    when = f" each {often}" if often else f" in {limit['rolling']}" if limit.get("rolling") else ""
    return f"{number}{' of money' if limit.get('amount') else ''}{when}"


def _credit_cells(frame: Frame, body: Mapping[str, Any]) -> list[Child]:
    owner = frame.account(body["account"]) if body.get("account") else f"subscription {body.get('subscription')}"
    again = f", every {body['recurrence']['every']}" if body.get("recurrence") else ""
    return [
        owner,
        money(str(body["amount"]), body["currency"]) + again,
        str(body.get("effective") or "")[:10],
        str(body.get("expires") or "never")[:10],
    ]


def _rule_cells(frame: Frame, body: Mapping[str, Any]) -> list[Child]:
    if body.get("account"):
        whom: Child = frame.account(body["account"])
    elif body.get("plan"):
        whom = frame.named("plan", body["plan"])
    else:
        whom = f"subscription {body['subscription']}" if body.get("subscription") else "everybody"
    what = frame.named("metric", body["profile"]) if body.get("profile") else body.get("feature") or ""
    return [
        join(body["measure"], " " if what else None, what),
        whom,
        ", ".join(body.get("thresholds") or ()) or "odd days",
    ]


_FURTHER: Final[dict[str, Callable[[Frame, Mapping[str, Any]], list[Child]]]] = {
    "feature": _feature_cells,
    "credit_grant": _credit_cells,
    "alert_rule": _rule_cells,
}
