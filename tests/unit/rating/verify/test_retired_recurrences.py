"""What verification allows a grant that recurs and was retired for a time: no recurrence began meanwhile, so no more
than the close itself would draw."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.amounts.recurrences import code_at, left_at
from rating.verify.difference import Findings
from rating.verify.independent.discounts_and_credits import check_granted
from rating.verify.independent.recurring_grants import is_covered
from schemas.catalog.terms import CreditGrant
from schemas.values.instants import DAY
from tests.unit.rating.builders import Shelf, us

BODY = {
    "code": "g", "account": "acme", "currency": "USD", "amount": "50", "effective": "2026-01-01",
    "recurrence": {"every": "month", "rollover": "20"},
}  # fmt: skip
START = us("2026-01-01T00:00:00Z")


def test_what_was_drawn_of_a_recurrence_that_never_began_is_told() -> None:
    shelf = Shelf()
    shelf.add("account", {"code": "acme"})
    shelf.add("credit_grant", BODY)
    shelf.add("credit_grant", BODY, retired=True, published="2026-02-10T00:00:00Z")
    shelf.add("credit_grant", BODY, published="2026-04-01T00:00:00Z")
    for day, amount, told in (("03-01", 20, 0), ("03-01", 21, 1), ("04-01", 21, 0), ("05-01", 70, 0), ("05-01", 71, 1)):
        findings = Findings()
        check_granted({("air", f"g@2026-{day}"): Fraction(amount)}, shelf.catalog, findings)
        assert len(list(findings.differences())) == told, (day, amount)


@given(
    st.lists(st.integers(0, 300), max_size=6, unique=True),
    st.sampled_from(["week", "month", "quarter"]),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
    st.lists(st.tuples(st.integers(0, 299), st.sampled_from([Fraction(1), Fraction(1, 2)])), max_size=8),
)
def test_verification_allows_what_a_close_draws_and_no_more(
    edges: list[int], every: str, zone: str, draws: list[tuple[int, Fraction]]
) -> None:
    """Draws in order of time, of all or half of what is left. ``edges``: days on which it is retired and comes back."""
    grant = CreditGrant.model_validate(BODY | {"recurrence": {"every": every, "rollover": "20"}})
    days = [*sorted(edges), 1000] if len(edges) % 2 else sorted(edges)
    pauses = [(START + days[n] * DAY, START + days[n + 1] * DAY) for n in range(0, len(days), 2)]
    used: dict[str, Decimal] = {}
    for day, part in sorted(draws):
        at_us = START + day * DAY + DAY // 2
        left = left_at(grant, used, at_us, zone, pauses)
        code = code_at(grant, at_us, zone)
        used[code] = used.get(code, Decimal(0)) + left * part.numerator / part.denominator
        fractions = {name: Fraction(amount) for name, amount in used.items()}
        assert is_covered(grant, Fraction(50), Fraction(20), fractions, zone, pauses)
        left = left_at(grant, used, at_us, zone, pauses)
        beyond = fractions | {code: fractions[code] + Fraction(left) + 1}
        assert not is_covered(grant, Fraction(50), Fraction(20), beyond, zone, pauses)
    assert grant.effective == date(2026, 1, 1)
