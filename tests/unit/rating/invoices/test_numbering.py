"""Invoice numbers: whoever writes at the same time as whom, gapless and each given once."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.numbering import unnumbered
from rating.verify.difference import Findings
from rating.verify.invoices.numbers import check_numbers, compare_numbers, find_unnumbered
from rating.verify.scope import Scope
from schemas.kafka.codec import codec
from schemas.ledgers.checkpoints import Checkpoints, numbers_record
from schemas.ledgers.invoice_numbers import InvoiceNumbers
from tests.unit.rating.builders import invoice_of

INVOICES = [
    invoice_of(invoice_id=f"inv_{number}", period_start=number % 3, account_id="a", subscription=str(number))
    for number in range(12)
]


def fold(log: list[bytes]) -> InvoiceNumbers:
    checkpoints = Checkpoints()
    for value in log:
        assert checkpoints.apply_bytes(value) is None
    return checkpoints.numbers


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.sampled_from(["air", "sea"])), max_size=12))
def test_any_interleaving_of_writers_gives_gapless_numbers_once(writers: list[tuple[int, int, str]]) -> None:
    """Each writer knows some beginning of the log, sees some of the invoices, and names those without a number."""
    log: list[bytes] = []
    for behind, observed_writer, namespace in writers:
        known = fold(log[: max(len(log) - behind, 0)])
        names = unnumbered(known, namespace, INVOICES[:observed_writer])
        previous_given = fold(log).given(namespace)
        log.append(codec("checkpoint").encode(numbers_record(namespace, "INV-", names, "")))
        assert fold(log).given(namespace)[: len(previous_given)] == previous_given  # what was given stays
    for namespace in ("air", "sea"):
        given_numbers = fold(log).given(namespace)
        assert [given_number.rank for given_number in given_numbers] == list(range(1, len(given_numbers) + 1))
        seen_at_all = max((observed_writer for _, observed_writer, where in writers if where == namespace), default=0)
        assert {given_number.invoice_id for given_number in given_numbers} == {
            invoice.invoice_id for invoice in INVOICES[:seen_at_all]
        }
        assert len({given_number.text for given_number in given_numbers}) == len(given_numbers)


def test_a_draft_has_no_number_and_a_prefix_holds_for_what_is_given_after_it() -> None:
    numbers = InvoiceNumbers()
    assert unnumbered(numbers, "air", [replace(INVOICES[0], state="draft"), replace(INVOICES[1], state="void")]) == [
        "inv_1"
    ]
    numbers.give("air", "A-", ["inv_1"])
    numbers.give("air", "B-", ["inv_1", "inv_2"])
    assert [item.text for item in numbers.given("air")] == ["A-000001", "B-000002"]


def test_a_record_that_is_none_of_ours_changes_nothing() -> None:
    checkpoints = Checkpoints()
    record = numbers_record("air", "INV-", ["inv_1"], "")
    for body in ("{}", "[]", "x", '{"namespace": "air", "prefix": "", "invoices": 3}'):
        assert checkpoints.apply_bytes(codec("checkpoint").encode(record | {"body": body})) is None
    assert checkpoints.numbers.given("air") == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"inv_3": None}, ["number of invoice inv_3 of air: expected A-000003, found none"]),
        (dict.fromkeys(("inv_1", "inv_2", "inv_3")), [f"inv_{rank} of air" for rank in (1, 2, 3)]),
        ({"inv_9": (4, "A-000004")}, []),  # given after the log was read
        ({"inv_2": None}, ["number of invoice inv_2 of air: expected A-000002, found none"]),
        ({"inv_1": (1, "A-000007")}, ["number of invoice inv_1 of air: expected A-000001, found A-000007"]),
        ({"inv_9": (2, "A-000002")}, ["number of invoice inv_9 of air: expected none, found A-000002"]),
    ],
)
def test_verification_tells_what_differs(change: dict[str, tuple[int, str] | None], found: list[str]) -> None:
    numbers = InvoiceNumbers()
    numbers.give("air", "A-", ["inv_1", "inv_2", "inv_3"])
    rows = {item.invoice_id: (item.rank, item.text) for item in numbers.given("air")} | change
    findings = Findings()
    compare_numbers("air", {name: row for name, row in rows.items() if row is not None}, numbers.given("air"), findings)
    strs = [str(difference) for difference in findings.differences()]
    assert len(strs) == len(found)
    assert all(part in full_item for part, full_item in zip(found, strs, strict=True))


def test_verification_tells_an_invoice_that_a_close_left_without_a_number() -> None:
    numbers = InvoiceNumbers()
    numbers.give("air", "A-", ["inv_1"])
    findings = Findings()
    find_unnumbered([("air", "inv_1"), ("air", "inv_2"), ("sea", "inv_1")], numbers, findings)
    told = [str(difference) for difference in findings.differences()]
    assert len(told) == 2
    assert "number of invoice inv_2 of air: expected a number, found none" in told[0]
    assert "`weir close -n sea` gives it" in told[1]


class Shown:
    """What ClickHouse shows at each look, of one namespace that a verification looks at."""

    def __init__(self, *looks: list[tuple[str, str, int, str]], namespace: str | None = "air") -> None:
        self.checkpoints = Checkpoints()
        for name in ("air", "sea"):
            self.checkpoints.numbers.give(name, "A-", ["inv_1", "inv_2"])
        self.namespace, self.of_namespace = namespace, "1"
        self._looks = iter(looks)

    def rows(self, sql: str) -> list[tuple[str, str, int, str]]:
        return next(self._looks) if "invoice_numbers" in sql else []


@pytest.mark.parametrize(
    ("looks", "namespace", "found"),
    [
        (([], []), "air", ["inv_1 of air", "inv_2 of air"]),  # all of a namespace are gone
        (([], []), None, ["inv_1 of air", "inv_2 of air", "inv_1 of sea", "inv_2 of sea"]),
        (([], [("air", "inv_1", 1, "A-000001"), ("air", "inv_2", 2, "A-000002")]), "air", []),  # copied a moment later
        (([("air", "inv_1", 1, "A-000001"), ("air", "inv_2", 2, "A-000002")],), "air", []),
    ],
)
def test_a_namespace_whose_numbers_are_all_gone_is_told_of(
    monkeypatch: pytest.MonkeyPatch, looks: Any, namespace: str | None, found: list[str]
) -> None:
    monkeypatch.setattr("rating.verify.invoices.numbers._COPIED_SECONDS", 0.0)
    findings = Findings()
    check_numbers(cast(Scope, Shown(*looks, namespace=namespace)), findings, lambda *_: None)
    told = [str(difference) for difference in findings.differences()]
    assert len(told) == len(found)
    assert all(part in text and "`weir copies rebuild numbers`" in text for part, text in zip(found, told, strict=True))
