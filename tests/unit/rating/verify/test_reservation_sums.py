"""``weir verify`` of usage.reservations: what was sold beyond a limit, or is finalised and was never reserved."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from schemas.ledgers.reservations.reservation_record import Closing, Reservation, reservation_id
from schemas.ledgers.reservations.valid_reservations import FOLLOWED_US
from schemas.values.instants import SECOND
from tests.unit.ingest.catalog.builders import applied, plan, publish
from tests.unit.rating.entitlements.reservation_services import EVENTS, GRANTED, PLACE, START, Log, verified

LIMITS = "{quantity: 10, reset: month}, {quantity: 3, hard: false}"


def catalog(limits: str = LIMITS, name: str = "shop") -> Any:
    return applied(f"""
namespace: {name}
meters: [{{code: tokens, profiles: [{{code: n, aggregation: sum, property: n}}]}}]
features: [{{code: tokens, profile: tokens, limits: [{limits}]}}]
products: [{{code: tokens, profile: tokens}}]
plans:
  - code: pro
    currency: USD
    charges: [{{product: tokens, price: {{model: per_unit, unit_amount: 1}}}}]
    features: [{{feature: tokens}}]
accounts: [{{code: acme}}]
subscriptions: [{{code: s, account: acme, plan: pro, start: 1970-01-01}}]
""")


def reservation(log: Log, key: str, quantity: int, held: int, used: int = 0, cut: int = 0) -> Reservation:
    """One that is valid on the log, and says what its writer took into account."""
    return Reservation(
        *PLACE, key, Decimal(quantity), log.now_us + 60 * SECOND, log.now_us, "", len(log.records), f"claim {key}",
        GRANTED, Decimal(used), Decimal(held), log.now_us, 1000, {EVENTS: cut},
    )  # fmt: skip


def finalised(log: Log, key: str, quantity: int, end: int) -> Closing:
    number = reservation_id(*PLACE, key)
    return Closing(*PLACE, number, "finalised", Decimal(quantity), "done", log.now_us, f"close {key}", {EVENTS: end})


def test_what_is_used_and_held_stays_within_the_limit_that_granted_it() -> None:
    log = Log()
    log.write(reservation(log, "a", 6, 0))
    log.write(reservation(log, "b", 3, 6, used=1))
    assert verified(log, catalog()) == []
    log.write(reservation(log, "c", 1, 9, used=1))
    assert verified(log, catalog()) == [("reserved", "at most 10 used and held with it", "11")]
    for limits in ("{amount: 10, reset: month}", "{quantity: 10, hard: false}"):
        assert verified(log, catalog(limits)) == [], "what is held has no price here; who is over it may go on"


@pytest.mark.parametrize(("cut", "found"), [(0, "4"), (1, "4"), (2, "0")])
def test_nothing_is_held_twice_or_by_nobody_until_it_is_counted(cut: int, found: str) -> None:
    log = Log()
    log.write(reservation(log, "a", 6, 0))
    log.write(finalised(log, "a", 4, 2))
    log.write(reservation(log, "b", 1, 0, cut=cut))
    least = [("reserved", f"at least {found} held by others", "0")] if found != "0" else []
    assert verified(log, catalog()) == least


def test_what_its_writer_had_not_read_counts_for_the_lesser_of_before_and_after() -> None:
    log = Log()
    log.write(reservation(log, "a", 6, 0))
    late = reservation(log, "b", 1, 5)
    log.write(finalised(log, "a", 7, 2), late)
    assert verified(log) == [("reserved", "at least 6 held by others", "5")]
    log.records[-1] = (replace(late, held=Decimal(6)).encode(), log.now_us)
    assert verified(log) == []


def test_what_is_held_is_added_up_to_the_last_digit() -> None:
    log, many = Log(), 10**29
    log.write(reservation(log, "a", many, 0))
    log.write(reservation(log, "b", 1, many))
    log.write(reservation(log, "c", 1, many))
    assert verified(log) == [("reserved", f"at least {many + 1} held by others", str(many))]


def test_an_expired_one_holds_nothing() -> None:
    log = Log()
    log.write(reservation(log, "a", 10, 0))
    log.now_us += 60 * SECOND
    log.write(reservation(log, "b", 10, 0))
    assert verified(log, catalog()) == []


@pytest.mark.parametrize(("seconds", "held"), [(59, 10), (60, 0)])
def test_what_a_sandboxs_clock_has_left_behind_holds_nothing(seconds: int, held: int) -> None:
    box = catalog(name="{code: shop, sandbox: true}")
    before = box.next_offset
    publish(box, plan(box, f"namespace: {{code: shop, sandbox: true, clock_ahead_seconds: {seconds}}}"))
    log = Log()
    log.write(replace(reservation(log, "a", 10, 0), catalog_offset=before))
    late = replace(reservation(log, "b", 10, 0), catalog_offset=box.next_offset, ahead_us=seconds * SECOND)
    log.write(late)
    over = [
        ("reserved", "at least 10 held by others", "0"),
        ("reserved", "at most 10 used and held with it", "20"),
    ]
    assert verified(log, box) == (over if held else [])
    log.records[-1] = (replace(late, ahead_us=SECOND, held=Decimal(10), quantity=Decimal(0)).encode(), log.now_us)
    expected = f"{seconds} s ahead, as the catalog says of the namespace's clock"
    assert verified(log, box) == [("reserved", expected, "1 s")]


def test_what_is_finalised_was_reserved() -> None:
    log = Log()
    log.write(finalised(log, "a", 4, 2))
    assert verified(log) == [("reservation", "a reservation before it is finalised", "none")]
    log.records.append((finalised(log, "a", 4, 2).encode(), START + 100 * SECOND))
    assert len(verified(log)) == 1, "a record that lay about for long is void, and nothing is said of it"


def test_what_may_rest_on_records_that_are_gone_is_not_judged() -> None:
    log = Log()
    log.write(finalised(log, "a", 4, 2))
    assert verified(log, first=1) == []
    log.now_us += FOLLOWED_US
    log.write(finalised(log, "b", 4, 2))
    assert len(verified(log, first=1)) == 1
