"""Plans: idempotent, exact about places, and nothing that leads nowhere is let through."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date
from typing import Any

import pytest

from ingest.catalog.catalog_problems import Caller
from ingest.catalog.catalog_service import CatalogService, entry_json
from ingest.catalog.changes import CatalogPlan
from ingest.catalog.document import DocumentError, Tick, load_document
from ingest.catalog.document_plan import plan_document
from ingest.catalog.entries import read_document
from schemas.catalog.state import Catalog, record_of
from schemas.http.api_keys import ALL_SCOPES, Access
from tests.unit.ingest.catalog.builders import BASE, applied, codes, faults, plan, publish


def test_the_second_time_everything_is_unchanged() -> None:
    catalog = Catalog()
    first_plan = plan(catalog, BASE)
    assert {change.action for change in first_plan.changes} == {"created"}
    assert [change.kind for change in first_plan.changes][:2] == ["namespace", "meter"]
    publish(catalog, first_plan)
    assert {change.action for change in plan(catalog, BASE).changes} == {"unchanged"}


@pytest.mark.parametrize("written", ['"0.1"', '"0.10"', "0.100"])
def test_a_price_written_otherwise_is_unchanged(written: str) -> None:
    result = plan(applied(), BASE.replace("unit_amount: 0.10", f"unit_amount: {written}"))
    assert result.to_publish() == []


def test_a_changed_price_is_a_new_version_and_the_subscription_stays_on_the_old_one() -> None:
    catalog = applied()
    changed = BASE.replace("unit_amount: 0.10", "unit_amount: 0.11")
    result = plan(catalog, changed)
    assert codes(result, "changed") == [("plan", "pro", 2)]
    publish(catalog, result)
    assert catalog.view("shop").get("subscription", "s1").model.plan_version == 1
    assert plan(catalog, changed).to_publish() == []
    moved = plan(catalog, changed.replace("plan: pro, start", "plan: pro, plan_version: 2, start"))
    assert codes(moved, "changed") == [("subscription", "s1", 2)]


def test_a_new_subscription_is_pinned_to_the_version_that_its_own_document_makes() -> None:
    catalog = applied()
    text = BASE.replace("unit_amount: 0.10", "unit_amount: 0.11").replace(
        "subscriptions: [", "subscriptions: [{code: s0, account: other, plan: pro, start: 2013-01-01}, "
    )
    result = plan(catalog, text.replace("accounts: [", "accounts: [{code: other}, "))
    (new,) = [change for change in result.changes if change.code == "s0"]
    assert new.model.plan_version == 2


def test_dates_are_local_midnights_of_the_account_across_daylight_saving() -> None:
    text = BASE.replace("start: 2013-03-10", "start: 2013-03-10, end: 2013-03-11")
    entry = applied(text).view("shop").get("subscription", "s1")
    assert entry is not None
    assert entry.body["start"] == "2013-03-10T05:00:00Z"
    assert entry.body["end"] == "2013-03-11T04:00:00Z"


def test_an_instant_that_was_pinned_stays_when_the_account_moves_to_another_zone() -> None:
    catalog = applied()
    result = plan(catalog, BASE.replace("America/New_York", "Europe/Oslo"))
    assert codes(result, "changed") == [("account", "NO", 2)]
    publish(catalog, result)
    # Another date is read in the zone of now.
    later = plan(catalog, BASE.replace("America/New_York", "Europe/Oslo").replace("2013-03-10", "2013-03-12"))
    (change,) = later.to_publish()
    assert change.model.start.isoformat() == "2013-03-11T23:00:00+00:00"


def test_a_plan_change_and_a_trial_are_local_midnights_too() -> None:
    text = BASE.replace("start: 2013-03-10", "start: 2013-03-10, trial_end: 2013-03-11, change_at: 2013-04-01")
    entry = applied(text).view("shop").get("subscription", "s1")
    assert entry is not None
    assert (entry.body["trial_end"], entry.body["change_at"]) == ("2013-03-11T04:00:00Z", "2013-04-01T04:00:00Z")


def test_nothing_is_retired_unless_prune_says_so_and_then_only_of_the_kinds_listed() -> None:
    catalog = applied()
    shorter = "namespace: shop\nfeatures: []\n"
    assert plan(catalog, shorter).changes == ()
    pruned = plan(catalog, shorter + "prune: true")
    assert codes(pruned, "retired") == [("feature", "api", 2)]
    publish(catalog, pruned)
    assert codes(plan(catalog, BASE), "created") == [("feature", "api", 3)]


def test_a_bare_namespace_is_created_once_and_its_settings_are_left_alone() -> None:
    created = plan(Catalog(), "namespace: shop")
    assert codes(created, "created") == [("namespace", "shop", 1)]
    assert plan(applied(), "namespace: shop").changes == ()


TERMS = BASE.replace(
    "plan: pro, start: 2013-03-10}]",
    """plan: pro, start: 2013-03-10, minimum_commitment: 100,
      overrides: [{charge: call, price: {model: per_unit, unit_amount: 0.05}}],
      discounts: [{code: ten, percent: 10, product: seat}]}]
credit_grants: [{code: paid, account: NO, amount: 50, currency: USD}]""",
)


def test_terms_of_a_subscription_and_credits_are_published_and_recognised() -> None:
    catalog = applied(TERMS)
    repeated_replace = TERMS.replace("0.05", '"0.050"').replace("amount: 50,", 'amount: "50.00",')
    assert plan(catalog, repeated_replace).to_publish() == []
    assert catalog.view("shop").get("credit_grant", "paid").model.amount == 50


def test_terms_that_lead_nowhere_are_refused() -> None:
    text = TERMS.replace("charge: call,", "charge: calls,").replace("product: seat}]}]", "product: volume}]}]")
    text = text.replace("account: NO, amount", "account: SE, products: [seat, nothing], amount").replace(
        "unit_amount: 0.05", "unit_amount: 0.05, currency: EUR"
    )
    assert faults(Catalog(), text) == {
        "$.credit_grants[0].account": "no account SE; declare it",
        "$.credit_grants[0].products[1]": "no product nothing; declare it",
        "$.subscriptions[0].discounts[0].product": "plan pro charges no product volume; name "
        "one that it charges, or none",
        "$.subscriptions[0].overrides[0].charge": "plan pro has no charge calls; it has call, seat",
        "$.subscriptions[0].overrides[0].price": "price.currency: EUR is not the plan's USD; leave it out",
    }
    assert "$" in faults(applied(TERMS), "namespace: shop", [("account", "NO")])


def test_the_start_of_a_meter_makes_a_version_and_leaving_it_out_says_nothing() -> None:
    catalog = applied()

    def started(text: str, extra: str = "") -> str:
        return "meters: [{code: calls, profiles: [{code: n, aggregation: count}]" + f"{text}{extra}" + "}]"

    result = plan(catalog, started(", start: 2026-02-01T02:00:00+02:00"))
    assert codes(result, "changed") == [("meter", "calls", 2)]
    document = {"kind": "meter", "code": "calls", "version": 2, "start": "2026-02-01T00:00:00Z", "event_name": "calls"}
    assert result.summary()["changed"] == [document]
    publish(catalog, result)
    assert catalog.view("shop").history("meter", "calls")[-1].valid_from_us == 1_769_904_000_000_000
    for repeated_item in (started(", start: 2026-02-01T00:00:00Z"), started("")):
        assert codes(plan(catalog, repeated_item), "unchanged") == [("meter", "calls", 2)]
    assert codes(plan(catalog, started(", start: 2026-01-01T00:00:00Z")), "changed") == [("meter", "calls", 3)]
    assert codes(plan(catalog, started("", ", unit: call")), "changed") == [("meter", "calls", 3)]
    standing = catalog.view("shop").history("meter", "calls")[-1].model
    retired = record_of("shop", standing, kind="meter", version=3, author="", claim_id="", retired=True)
    assert retired["valid_from"] is None
    assert "$.meters[0].start" in faults(catalog, started(", start: 2026-02-01"))
    assert (
        "beyond the calendar" in faults(catalog, started(", start: '0001-01-01T00:00:00+14:00'"))["$.meters[0].start"]
    )
    assert "between 1970 and 2200" in faults(catalog, started(", start: 1812-02-01T00:00:00Z"))["$.meters[0].start"]


OVERLAP = """
meters:
  - {code: gb, event_name: store, profiles: [
      {code: eu, aggregation: sum, property: gb, filters: [{property: region, operator: in, value: [de, fr]}]},
      {code: fr, aggregation: sum, property: gb, filters: [{property: region, operator: eq, value: fr}]},
      {code: us, aggregation: sum, property: gb, filters: [{property: region, operator: eq, value: us}]}]}
products: [{code: eu, profile: gb.eu}, {code: fr, profile: gb.fr}, {code: us, profile: gb.us}]
plans:
  - {code: twice, currency: BGN, charges: [
      {product: eu, price: {model: per_unit, unit_amount: 1}}, {product: fr, price: {model: per_unit, unit_amount: 1}},
      {product: us, price: {model: per_unit, unit_amount: 1}}]}
"""


def test_what_is_allowed_and_may_not_be_meant_is_warned_of_whenever_the_document_says_it() -> None:
    catalog = applied()
    for _ in range(2):  # also where nothing changes any more
        result = plan(catalog, OVERLAP)
        warned = result.summary()["warnings"]
        assert [item["path"] for item in warned] == ["$.plans[0].currency", "$.plans[0]"]
        assert "BGN is not in use since 2026-02-01" in warned[0]["detail"]
        assert "plan twice: charges eu (gb.eu) and fr (gb.fr) can bill one event store both" in warned[1]["detail"]
        publish(catalog, result)
    assert "warnings" not in plan(catalog, "accounts: [{code: other}]").summary()
    # A meter of it that is published anew may be what makes the two meet.
    repeated_plan = plan(catalog, OVERLAP[: OVERLAP.index("products")])
    assert [fault.path for fault in repeated_plan.warnings] == ["$"]


class _AtOnce:
    """A follower that has read what was published, and the publisher."""

    def __init__(self) -> None:
        self.catalog = applied(BASE)
        self.exclusive = nullcontext

    def fresh(self, _seconds: float) -> bool:
        return True

    def check(self, _plan: CatalogPlan, _author: str) -> None:
        """Nothing is too large."""

    def publish(self, made: CatalogPlan, _author: str, _rest: Tick) -> None:
        publish(self.catalog, made)


def test_a_single_entry_is_answered_with_the_warnings_of_a_document_and_may_be_sent_back_as_it_was_answered() -> None:
    road: Any = _AtOnce()
    publish(road.catalog, plan(road.catalog, OVERLAP[: OVERLAP.index("plans")]))
    service, caller = CatalogService(road, road), Caller("shop", Access(None, ALL_SCOPES, "root"))
    (twice,) = load_document(OVERLAP.encode())["plans"]
    entry, create = service.create("plan", twice, caller)
    warned = create.warned()["warnings"]
    assert [item["path"] for item in warned] == ["$.currency", "$"]
    assert "can bill one event store both" in warned[1]["detail"]
    answered = entry_json(entry) | create.warned()
    _, create = service.replace("plan", "twice", answered | {"name": "Twice"}, caller, '"1"')
    assert (codes(create, "changed"), len(create.warnings)) == ([("plan", "twice", 2)], 2)
    assert service.create("account", {"code": "quiet"}, caller)[1].warned() == {}


def test_a_lock_date_goes_only_forward_to_today_and_stays_where_a_document_does_not_say_it() -> None:
    now_us = 1_764_547_200 * 1_000_000  # 2025-12-01T00:00:00Z

    def planned(catalog: Catalog, day: str | None) -> CatalogPlan:
        text = BASE if day is None else BASE.replace("{code: shop,", f"{{code: shop, lock_date: {day},")
        document = read_document(load_document(text.encode()), "shop")
        return plan_document(catalog.view("shop"), document, now_us=now_us)

    def refused(catalog: Catalog, day: str) -> str:
        with pytest.raises(DocumentError) as caught:
            planned(catalog, day)
        ((path, detail),) = [(fault.path, fault.detail) for fault in caught.value.faults]
        assert path == "$.namespace.lock_date"
        return detail

    catalog = applied()
    assert "2025-12-02 has not come yet" in refused(catalog, "2025-12-02")
    publish(catalog, planned(catalog, "2025-12-01"))
    assert catalog.view("shop").settings.lock_date == date(2025, 12, 1)
    assert "goes only forward, and is 2025-12-01" in refused(catalog, "2025-11-30")
    assert planned(catalog, None).to_publish() == []


@pytest.mark.parametrize(
    "change", ["effective: 2026-01-15, ", "effective: 2026-01-01, recurrence: {every: week}, ", ""]
)
@pytest.mark.parametrize("retired", [False, True])
def test_recurrences_are_counted_as_they_were(change: str, retired: bool) -> None:
    """Whatever was drawn is kept by their dates; retired and published again, too."""
    recurring = "effective: 2026-01-01, recurrence: {every: month, rollover: 5}, "
    text = TERMS.replace("amount: 50,", f"{recurring}amount: 50,")
    catalog = applied(text)
    if retired:
        publish(catalog, plan(catalog, "namespace: shop", [("credit_grant", "paid")]))
    if change and "recurrence" not in change:
        change += "recurrence: {every: month, rollover: 5}, "
    faulty = faults(catalog, TERMS.replace("amount: 50,", f"{change}amount: 50,"))
    assert "retire paid (or let it expire) and declare another grant" in faulty["$.credit_grants[0].recurrence"]
    assert codes(plan(catalog, text.replace("rollover: 5", "rollover: 9")), "created" if retired else "changed")


def test_a_sandbox_stays_one_and_its_clock_goes_only_forward() -> None:
    now_us = 1_764_547_200 * 1_000_000  # 2025-12-01T00:00:00Z

    def planned(catalog: Catalog, more: str) -> CatalogPlan:
        document = read_document(load_document(BASE.replace("{code: shop,", f"{{code: shop, {more}").encode()), "shop")
        return plan_document(catalog.view("shop"), document, now_us=now_us)

    def refused(catalog: Catalog, more: str) -> tuple[str, str]:
        with pytest.raises(DocumentError) as caught:
            planned(catalog, more)
        ((path, detail),) = [(fault.path, fault.detail) for fault in caught.value.faults]
        return path, detail

    live, box = applied(), Catalog()
    assert refused(live, "sandbox: true, clock_ahead_seconds: 60,") == (
        "$.namespace.sandbox", "shop is live and never becomes a sandbox; declare another namespace"
    )  # fmt: skip
    assert "only a sandbox has a clock" in refused(live, "clock_ahead_seconds: 60,")[1]
    assert "only a sandbox has a clock" in refused(Catalog(), "clock_ahead_seconds: 60,")[1]
    publish(box, planned(box, "sandbox: true,"))
    assert planned(box, "").to_publish() == []
    assert "never becomes live" in refused(box, "sandbox: false,")[1]
    assert "has not come yet" in refused(box, "lock_date: 2025-12-02,")[1]
    publish(box, planned(box, "clock_ahead_seconds: 86400, lock_date: 2025-12-02,"))
    settings = box.view("shop").settings
    assert (settings.sandbox, settings.clock_ahead_seconds, settings.now_us(5)) == (True, 86_400, 86_400_000_005)
    assert planned(box, "").to_publish() == []
    path, detail = refused(box, "clock_ahead_seconds: 86399,")
    assert (path, "is 86400" in detail) == ("$.namespace.clock_ahead_seconds", True)
