"""Documents that are refused: each fault is named with its place, and nothing that leads nowhere is let through."""

from __future__ import annotations

from schemas.catalog.state import Catalog
from tests.unit.ingest.catalog.builders import BASE, applied, codes, faults, plan, publish

EURO = BASE.replace("plans:\n", "plans:\n  - {code: euro, currency: EUR}\n").replace(
    "plan: pro, start", "plan: euro, start"
)


def test_a_subscription_moves_to_another_plan_of_its_currency_only() -> None:
    catalog = applied()
    second_replace = EURO.replace("EUR", "USD")
    assert codes(plan(catalog, second_replace), "changed") == [("subscription", "s1", 2)]
    assert faults(catalog, EURO) == {
        "$.subscriptions[0].plan": "euro is in EUR, the plan before it in USD; end this subscription and start another"
    }


def test_another_account_has_no_instant_of_its_own_so_it_is_no_change_of_next_year() -> None:
    catalog = applied()
    another = BASE.replace("York}]", "York}, {code: SO}]").replace("account: NO, plan", "account: SO, plan")
    assert codes(plan(catalog, another), "changed") == [("subscription", "s1", 2)]  # a correction of all of it
    dated = another.replace("start: 2013-03-10", "start: 2013-03-10, change_at: 2014-01-01")
    told = faults(catalog, dated)
    assert list(told) == ["$.subscriptions[0].account"]
    assert (
        "end s1 there and start another subscription of SO, or leave change_at out"
        in told["$.subscriptions[0].account"]
    )
    kept = applied(BASE.replace("start: 2013-03-10", "start: 2013-03-10, change_at: 2014-01-01T00:00:00Z"))
    dated = another.replace("start: 2013-03-10", "start: 2013-03-10, change_at: 2014-01-01T00:00:00Z")
    assert codes(plan(kept, dated), "changed") == [("subscription", "s1", 2)]  # a change_at that stood there before


def test_usage_is_not_billed_in_advance() -> None:
    text = BASE.replace("{model: per_unit, unit_amount: 0.10}}", "{model: flat, amount: 1}, in_advance: true}")
    assert faults(Catalog(), text) == {
        "$.plans[0].charges[0].in_advance": "product call is metered, and usage is billed in arrears; remove it"
    }


def test_every_wrong_reference_is_named_with_its_place() -> None:
    text = BASE.replace("profile: calls,", "profile: size,").replace("profile: size.total", "profile: size.sum")
    text = text.replace("product: seat", "product: stool").replace("account: NO, plan: pro", "account: YES, plan: none")
    result = faults(Catalog(), text)
    assert result == {
        "$.features[0].profile": "meter size has several profiles; say which: size.total, size.top",
        "$.products[1].profile": "no profile size.sum; known: size.total, size.top",
        "$.plans[0].charges[1].product": "no product stool; declare it",
        "$.subscriptions[0].account": "no account YES; declare it",
        "$.subscriptions[0].plan": "no plan none; declare it",
    }


def test_every_wrong_model_is_named_with_its_place() -> None:
    tiers = "{model: tiered, tiers: [{up_to: 10, unit_amount: 1}, {up_to: 5, unit_amount: 1}, {unit_amount: 1}]}"
    text = BASE.replace("{model: flat, amount: 12.50}", tiers).replace("aggregation: count", "aggregation: counting")
    text = text.replace("{code: NO, time_zone: America/New_York}", "{code: 7}, {code: x, zone: UTC}")
    result = faults(Catalog(), text)
    assert sorted(result) == [
        "$.accounts[0].code",
        "$.accounts[1].zone",
        "$.meters[0].profiles[0].aggregation",
        "$.plans[0].charges[1].price.tiers[1].up_to",
    ]
    assert "sort tiers by up_to" in result["$.plans[0].charges[1].price.tiers[1].up_to"]


def test_two_subscriptions_may_not_bill_the_same_usage_at_the_same_time() -> None:
    overlapping = BASE.replace(
        "subscriptions: [", "subscriptions: [{code: s2, account: NO, plan: pro, start: 2014-01-01}, "
    )
    result = faults(Catalog(), overlapping)
    assert list(result) == ["$.subscriptions[1]"]
    assert "calls.n" in result["$.subscriptions[1]"]
    # Half-open: the one may start at the instant at which the other ends.
    beside = overlapping.replace("start: 2013-03-10", "start: 2013-03-10, end: 2014-01-01")
    assert codes(plan(Catalog(), beside), "created")[-2:] == [("subscription", "s2", 1), ("subscription", "s1", 1)]
    # The one that stands already counts too, though the document does not speak of it.
    alone = "namespace: shop\nsubscriptions: [{code: s2, account: NO, plan: pro, start: 2014-01-01}]"
    assert list(faults(applied(), alone)) == ["$.subscriptions[0]"]


def test_what_is_still_referred_to_is_not_retired() -> None:
    catalog = applied()
    (detail,) = faults(catalog, "namespace: shop", retire=[("account", "NO")]).values()
    assert (
        detail == "subscription s1 (not in this document) at account: account NO is retired here; remove it there first"
    )
    assert codes(plan(catalog, "namespace: shop", retire=[("feature", "api")]), "retired") == [("feature", "api", 2)]


def test_unknown_parts_and_doubled_codes_are_refused() -> None:
    result = faults(Catalog(), "namespace: shop\nmetres: []\naccounts: [{code: a}, {code: a}]\nprune: 1")
    assert sorted(result) == ["$.accounts[1].code", "$.metres", "$.prune"]


def test_what_was_retired_is_told_from_what_never_was_and_from_a_slip_of_the_pen() -> None:
    catalog = applied("namespace: shop\nproducts: [{code: seat, kind: flat}, {code: chair, kind: flat}]")
    publish(catalog, plan(catalog, "namespace: shop", retire=[("product", "chair")]))
    text = (
        "namespace: shop\nplans: [{code: pro, currency: USD, charges: [{product: %s, price: "
        "{model: flat, amount: 1}}]}]"
    )
    item = "$.plans[0].charges[0].product"
    assert faults(catalog, text % "chair") == {item: "product chair is retired; publish it again, or refer to another"}
    assert faults(catalog, text % "seats") == {item: "no product seats; did you mean seat?"}
    assert faults(catalog, text % "engine") == {item: "no product engine; declare it"}


class TestEventTypes:
    TEXT = """
namespace: shop
event_types:
  - code: call
    compatibility: %s
    schema: {type: record, name: Call, fields: [{name: seconds, type: %s}]}
"""

    def test_a_changed_schema_must_read_what_the_old_one_accepted(self) -> None:
        catalog = applied(self.TEXT % ("backward", "long"))
        assert plan(catalog, self.TEXT % ("backward", "long")).to_publish() == []
        assert codes(plan(catalog, self.TEXT % ("backward", "double")), "changed") == [("event_type", "call", 2)]
        result = faults(catalog, self.TEXT % ("backward", "string"))
        assert list(result) == ["$.event_types[0].schema"]
        assert "properties.seconds: was a whole number of 64 bits, is now text" in result["$.event_types[0].schema"]
        assert "forward" in faults(catalog, self.TEXT % ("full", "double"))["$.event_types[0].schema"]
        assert codes(plan(catalog, self.TEXT % ("none", "string")), "changed") == [("event_type", "call", 2)]

    def test_a_schema_may_be_taken_away_where_only_the_past_must_be_readable(self) -> None:
        catalog = applied(self.TEXT % ("backward", "long"))
        bare = "namespace: shop\nevent_types: [{code: call, compatibility: %s}]"
        assert codes(plan(catalog, bare % "backward"), "changed") == [("event_type", "call", 2)]
        assert list(faults(catalog, bare % "full")) == ["$.event_types[0].schema"]

    def test_a_broken_schema_is_named_at_its_place_in_the_document(self) -> None:
        assert list(faults(Catalog(), self.TEXT % ("backward", "lnog"))) == ["$.event_types[0].schema.fields[0].type"]
