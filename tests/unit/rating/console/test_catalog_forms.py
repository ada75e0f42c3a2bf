"""The catalog's forms: what a form shows is what it sends back, whatever texts an entry has; faults stand at their
fields; the call and the document that are shown say the same as what is sent."""

from __future__ import annotations

import json
import shlex
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.catalog.document import load_document
from rating.console.catalog.as_code import curl_of, yaml_of
from rating.console.catalog.entry_forms import PLACES, charge_nodes, nodes_of
from rating.console.catalog.entry_page import FormNotes, entry_page
from rating.console.catalog.form_body import body_of_form
from rating.console.catalog.form_draft import EntryDraft, compact, filled, opened
from rating.console.catalog.form_nodes import FieldGroup, FieldObject, FieldRows, FormNode, InputKind, TypedField
from rating.console.catalog.form_texts import read_text, typed
from rating.console.catalog.form_view import field_of, fields_of, place_faults
from rating.console.frame import Frame
from rating.console.html import Html, join, tag
from schemas.catalog.models import KINDS, Charge
from schemas.catalog.state import Catalog, record_of
from schemas.prices.models import MODELS
from schemas.reference.examples import EXAMPLES
from schemas.values.json_text import JsonObject
from tests.unit.rating.console.test_console import Reader, texts

VIEW = Catalog().view("shop")
FRAME = Frame("shop", may_change=True, token="t")


class Sent(HTMLParser):
    """What a browser sends of a form that nobody has typed in."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._select = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if tag == "select":
            self._select = held["name"] or ""
        elif tag == "option" and self._select:
            if "selected" in held or self._select not in self.fields:
                self.fields[self._select] = held["value"] or ""
        elif tag == "input" and (held.get("type") != "checkbox" or "checked" in held):
            self.fields[held["name"] or ""] = (held["value"] or "").strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""


def sent_back(nodes: Any, body: JsonObject) -> JsonObject:
    return body_of_form(nodes, Sent(join(fields_of(nodes, body, {}))).fields, body)


GRANT = {"feature": "tokens", "limits": [], "credit_floor": {"currency": "USD", "floor": "5", "block": False}}
LIMITED = {
    "feature": "seats",
    "value": "",
    "limits": [{"quantity": "5", "hard": False, "block": True, "rolling": "5 hours"}],
}
TOP_UP = {
    "currency": "credit",
    "floor": "1",
    "target": "9",
    "daily_limit": "20",
    "cost": {"currency": "USD", "rate": "2"},
}
OF_ALL: list[tuple[str, JsonObject]] = [
    ("plan", {"code": "p", "currency": "USD", "features": [GRANT, LIMITED], "top_ups": [TOP_UP]}),
    ("subscription", {"code": "s", "account": "a", "plan": "p", "start": "2026-01-01T00:00:00Z", "top_ups": [TOP_UP],
                      "features": [GRANT, {"feature": "old", "granted": False}],
                      "discounts": [{"code": "d", "amount": "5", "product": "x", "end": "2027-01-01",
                                     "periods": 3}]}),
    ("account", {"code": "a", "top_ups": [TOP_UP]}),
    *(("feature", {"code": "f", "value": value}) for value in ("5", 5, "", False)),
]  # fmt: skip
"""Entries with all that the examples lack: empty lists and texts that say something, what is off by default."""
EXAMPLES_OF = OF_ALL + [
    (place.kind, example) for place in PLACES.values() for example in EXAMPLES[KINDS[place.kind]]
]  # fmt: skip


@pytest.mark.parametrize(("kind", "example"), EXAMPLES_OF)
def test_a_form_that_nobody_types_in_sends_the_entry_that_it_shows(kind: str, example: JsonObject) -> None:
    stored = compact(json.loads(KINDS[kind].model_validate(example).model_dump_json()))
    assert KINDS[kind].model_validate(sent_back(nodes_of(VIEW, kind), stored)) == KINDS[kind].model_validate(example)


PRICES = [
    example
    for model, examples in EXAMPLES.items()
    if model.__name__.endswith("Price")
    for example in examples
    if "by_time" not in example
]


@pytest.mark.parametrize("price", PRICES)
def test_every_price_comes_back_from_its_form(price: JsonObject) -> None:
    charge: JsonObject = {"product": "abroad"}
    charge["price"] = {name: value for name, value in price.items() if name != "currency"}
    nodes = charge_nodes(VIEW, price["model"])
    assert Charge.model_validate(sent_back(nodes, charge)).price == json.loads(
        json.dumps({**charge["price"], **({"tiers": _open(price)} if "tiers" in price else {})})
    )


def _open(price: JsonObject) -> list[JsonObject]:
    """The last tier's end is left out, which says the same as null."""
    return [{name: value for name, value in tier.items() if value is not None} for tier in price["tiers"]]


FORMS: dict[str, tuple[FormNode, ...]] = {
    **{place.path: nodes_of(VIEW, place.kind) for place in PLACES.values()},
    **{f"charge at a {model} price": charge_nodes(VIEW, model) for model in (*MODELS, "none", "")},
}
"""Every form of the console's catalog; a kind that gets one is in it by itself."""


@pytest.mark.parametrize("place", FORMS)
@settings(max_examples=12)
@given(data=st.data())
def test_whatever_is_typed_into_a_form_is_shown_again_as_text_and_sent_again_alike(
    place: str, data: st.DataObject
) -> None:
    """Into any of its fields, rows of rows as well: what would be sent is JSON, and the form that comes back with it,
    a fault at each field, says the same when it is sent again."""
    nodes = FORMS[place]
    opened_form = EMPTY[place]
    typed_in = data.draw(st.dictionaries(st.sampled_from(sorted(opened_form)), ODD, max_size=12))
    typed_in = {name: text for name, text in typed_in.items() if text or not opened_form[name]}  # a list has a choice
    body = body_of_form(nodes, opened_form | typed_in, {})
    assert json.loads(json.dumps(body)) == body
    shown, general = place_faults(nodes, [(name, "<i>wrong</i>") for name in typed_in] + [("x", "<i>")], body)
    markup = join(fields_of(nodes, body, shown))
    assert not {"script", "b", "i"} & set(Reader(markup).names)
    assert body_of_form(nodes, Sent(markup).fields, {}) == body
    assert general


def sent_of_rows(nodes: Any) -> JsonObject:
    """An entry with one row in each list, and in each list of that row."""
    body: JsonObject = {}
    for node in nodes:
        if isinstance(node, FieldGroup):
            body |= sent_of_rows(node.nodes)
        elif isinstance(node, FieldObject):
            body[node.name] = sent_of_rows(node.nodes)
        elif isinstance(node, FieldRows):
            body[node.name] = [sent_of_rows(node.nodes)]
    return body


EMPTY = {place: Sent(join(fields_of(nodes, sent_of_rows(nodes), {}))).fields for place, nodes in FORMS.items()}
ODD = st.one_of(
    texts, st.sampled_from(["</script><script>", '"><b x="', "[", '["a', "[1]", "true", '""', "1e9", "1.5", "on"])
).map(str.strip)


plain_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda text: text == text.strip()
)


@given(st.lists(plain_texts, min_size=1, max_size=4))
def test_any_path_and_any_list_of_texts_is_typed_and_read_back(parts: list[str]) -> None:
    typed_values: list[tuple[InputKind, object]] = [
        ("path", parts), ("paths", [parts]), ("paths", [parts, ["x"]]), ("texts", parts),
    ]  # fmt: skip
    for kind, value in typed_values:
        node = TypedField("x", "X", kind)
        assert read_text(node, typed(node, value)) == value


scalars = st.one_of(plain_texts, st.booleans(), st.integers(-(10**14), 10**14), st.sampled_from([0.5, -1.25, 0.1]))


@given(st.one_of(scalars, st.just("")), st.lists(scalars, min_size=1, max_size=4))
def test_what_a_filter_compares_with_is_typed_and_read_back_with_its_type(value: Any, values: list[Any]) -> None:
    node = TypedField("value", "Value", "operand")
    assert repr(read_text(node, typed(node, value), "eq")) == repr(value)
    assert repr(read_text(node, typed(node, values), "in")) == repr(values)


def test_rows_come_and_go() -> None:
    nodes = nodes_of(VIEW, "meter")
    fields = {
        "code": "calls", "profiles.0.code": "a", "profiles.0.aggregation": "count", "profiles.1.aggregation": "sum",
        "profiles.4.code": "b", "profiles.4.aggregation": "sum", "profiles.4.~removed": "on", "profiles.x.code": "c",
        "profiles.99999.code": "d",
    }  # fmt: skip
    body = body_of_form(nodes, fields, {"name": "old"})
    assert [profile["code"] for profile in body["profiles"]] == ["a"]
    assert "name" not in body, "an emptied field says nothing"


def test_faults_stand_at_their_fields_and_others_at_the_top() -> None:
    body = {"price": {"model": "tiered", "tiers": [{"up_to": "x"}]}}
    nodes = charge_nodes(VIEW, "tiered")
    faults = [
        (field_of("$.charges[2].price.tiers[0].up_to", "charges.2"), "no number"),
        (field_of("$.charges[2].price.tiers[0].odd", "charges.2"), "odd"),
        (field_of("$.charges[0].price", "charges.2"), "another"), (field_of("$", ""), "all"),
    ]  # fmt: skip
    shown, general = place_faults(nodes, faults, body)
    assert shown == {"price.tiers.0.up_to": "no number", "price.tiers.0": "odd"}
    assert general == ["charges.0.price: another", "all"]
    markup = join(fields_of(nodes, body, shown))
    assert markup.count('aria-invalid="true"') == 1
    assert "no number" in markup


@given(texts, texts, texts)
def test_names_of_entries_stay_text_and_forms_keep_the_namespace(namespace: str, name: str, code: str) -> None:
    body = {"code": code, "name": name, "time_zone": name}
    draft = EntryDraft(PLACES["accounts"], nodes_of(VIEW, "account"), body, body)
    notes = FormNotes({"name": name}, [name], warnings=[name])
    shown = entry_page(Frame(namespace, may_change=True, token=name), draft, notes, tag("p"), [])
    reader = Reader(shown.removeprefix("<!doctype html>"))
    assert "script" not in reader.names
    assert name in reader.values
    assert all("namespace=" in value for value in reader.values if value and value.startswith("/catalog/"))


@given(plain_texts, plain_texts)
def test_the_call_and_the_document_say_what_is_sent(namespace: str, name: str) -> None:
    body = {"code": "c", "name": name, "filters": [{"value": 0.0000001}, {"value": [name, 1, True, None, "0.10"]}]}
    document = load_document(yaml_of(namespace, "credit-grants", body).encode())
    assert json.loads(json.dumps(document, default=float)) == {"namespace": namespace, "credit_grants": [body]}
    call = shlex.split(curl_of("http://weir", namespace, "plans", body, name, 3).replace("\\\n", ""))
    assert json.loads(call[call.index("--data") + 1]) == body
    assert f"Weir-Namespace: {namespace}" in call
    assert 'If-Match: "3"' in call


def stored(*entries: tuple[str, int, JsonObject]) -> Catalog:
    catalog = Catalog()
    for offset, (kind, version, body) in enumerate(entries):
        model = KINDS[kind].model_validate(body)
        catalog.apply(
            record_of("shop", model, kind=kind, version=version, author="a", claim_id=f"c{offset}"), offset, 1000
        )
    return catalog


def test_a_change_keeps_what_its_form_does_not_ask_for_and_a_moved_subscription_takes_the_newest_version() -> None:
    plan = {"code": "p", "currency": "USD", "charges": [{"product": "fee", "price": {"model": "flat", "amount": "1"}}],
            "discounts": [{"code": "d", "percent": "10"}]}  # fmt: skip
    held = {"code": "s", "account": "a", "plan": "p", "plan_version": 4, "start": "2026-01-01T00:00:00Z"}
    view = stored(("plan", 1, plan), ("subscription", 1, held)).view("shop")
    fields = {"~code": "p", "~version": "1", "code": "other", "name": "P", "currency": "USD", "interval": "month"}
    changed = filled(view, "plans", fields)
    assert changed is not None
    assert (changed.body["code"], changed.body["name"], changed.version) == ("p", "P", 1)
    assert changed.body["discounts"][0]["percent"] == "10"
    assert changed.body["charges"][0]["product"] == "fee"
    moved = filled(view, "subscriptions", {"~code": "s", "~version": "1", "account": "a", "plan": "q",
        "plan_version": "4", "start": "2026-01-01"})  # fmt: skip
    assert moved is not None
    assert "plan_version" not in moved.body
    assert filled(view, "plans", {"~code": "p", "~version": "2"}) is None
    assert opened(view, "plans", "nothing", {}) is None


def test_who_may_only_look_gets_no_form() -> None:
    draft = EntryDraft(PLACES["plans"], nodes_of(VIEW, "plan"), {}, {})
    shown: Html = entry_page(Frame("shop"), draft, FormNotes(), tag("p"), [])
    assert "<button>Search</button>" in shown
    assert 'name="do"' not in shown
    assert "disabled" in shown
