"""Lists of invoices: every page of every list holds what a fold of all versions holds, in the same order."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from rating.close.announced_runs import invoice_counts
from rating.invoices import lists
from rating.invoices.lists import list_invoices
from rating.invoices.read import read_chains
from rating.invoices.read_credit_notes import list_credit_notes
from rating.verify.difference import Findings
from rating.verify.invoices import list_rows
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import Run
from schemas.settings import Settings

pytestmark = pytest.mark.integration

COLUMNS = (
    "namespace", "invoice_id", "version", "predecessor", "subscription", "sequence", "account_id", "plan",
    "plan_version", "period_start", "period_end", "time_zone", "run_id", "checkpoint", "catalog_offset", "as_of",
    "state", "currency", "total", "body",
)  # fmt: skip
Version = dict[str, Any]


def version(
    namespace: str,
    name: str,
    number: int,
    month: int,
    state: str,
    of: tuple[str, str, str],
    notes: int = 0,
    sequence: int = 0,
) -> Version:
    account, subscription, run = of
    start, end = datetime(2026, month, 1, tzinfo=UTC), datetime(2026, month + 1, 1, tzinfo=UTC)
    body = '{"draft":{"approval":"required"}}' if state in ("draft", "withdrawn") else "{}"
    if notes:
        body = json.dumps({"credit_notes": [note(month, count) for count in range(1, notes + 1)]})
    values = (
        namespace, name, number, "", subscription, sequence, account, "basic", 1, start, end, "UTC", run, 1, 7, end,
        state, "EUR", Decimal(30), body,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def note(month: int, number: int) -> dict[str, Any]:
    """The first two of an invoice are of one instant, that of others of the month."""
    at = f"2026-{month:02d}-15T12:00:{max(number, 2):02d}Z"
    return {"number": number, "reference": f"n{number}", "amount": "1.00", "tax_amount": None, "reason": "late",
            "author": "ann", "at": at}  # fmt: skip


def history(namespace: str) -> tuple[list[Version], list[Version]]:
    """(versions of invoices, versions of drafts): ids in no order of time, paid and void ones, drafts that were billed,
    withdrawn, refreshed by a later run, or that another account took over."""
    order = random.Random(7)
    invoices: list[Version] = []
    drafts: list[Version] = []
    for month, number in product((1, 2, 3), range(9)):
        name = f"inv_{order.getrandbits(32):08x}"
        of = (f"a{number % 3}", f"s{number}", f"run_{month}")
        if number % 2:
            drafts.append(version(namespace, name, 1, month, "draft", (of[0], of[1], "run_d1")))
        if number == 3:
            drafts.append(version(namespace, name, 2, month, "draft", ("a1", of[1], "run_d2")))
        if number == 5:
            drafts.append(version(namespace, name, 2, month, "withdrawn", of))
        if number in (3, 5, 7) and month == 3:
            continue
        invoices.append(version(namespace, name, 1, month, "finalized", of))
        for sequence in (1, 2, 10) if number in (0, 7) else ():  # interim, void and issued anew: one period, one chain
            again = f"inv_{order.getrandbits(32):08x}"
            invoices.append(version(namespace, again, 1, month, "finalized", of, sequence=sequence))
        if number % 4 == 0:
            invoices.append(version(namespace, name, 2, month, "paid" if month < 3 else "void", of, month))
            invoices.append(version(namespace, name, 3, month, "paid" if month < 3 else "void", of, 3))
    order.shuffle(invoices)
    return invoices, drafts


def newest(versions: list[Version]) -> dict[str, Version]:
    return {row["invoice_id"]: row for row in sorted(versions, key=lambda row: row["version"])}


def expected(invoices: list[Version], drafts: list[Version], **filters: str | None) -> list[str]:
    standing = newest(invoices)
    rows = list(standing.values())
    if filters.get("state") == "draft":
        rows = [row for name, row in newest(drafts).items() if name not in standing]
    rows = [row for row in rows if all(value in (None, row[name]) for name, value in filters.items())]
    rows.sort(key=lambda row: (row["period_start"], row["subscription"], row["sequence"]), reverse=True)
    return [row["invoice_id"] for row in rows]


@pytest.fixture
def filled(settings: Settings, namespace: str) -> Iterator[tuple[Any, list[Version], list[Version]]]:
    client = connect(settings)
    invoices, drafts = history(namespace)
    for table, rows in (("invoices", invoices), ("invoice_drafts", drafts), ("invoices", invoices[:5])):
        client.insert(table, [list(row.values()) for row in rows], column_names=COLUMNS)
    yield client, invoices, drafts
    client.close()


def test_every_page_of_every_list_is_what_the_versions_say(
    filled: tuple[Any, list[Version], list[Version]], namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "_FIRST_LOT", 2)
    client, invoices, drafts = filled
    for state, account, run, subscription in product(
        (None, "draft", "finalized", "paid", "void"), (None, "a1", "nobody"), (None, "run_2", "run_d1", "run_d2"),
        (None, "s4", "s7"),
    ):  # fmt: skip
        filters = {"state": state, "account_id": account, "run_id": run, "subscription": subscription}
        whole = expected(invoices, drafts, **filters)
        for limit in (4, 100) if subscription is None else (100,):
            listed: list[str] = []
            cursor = None
            while True:
                page = list_invoices(client, namespace, cursor=cursor, limit=limit, **filters)
                assert len(page.invoices) <= limit
                listed += [head.invoice_id for head in page.invoices]
                assert all(head.state == (state or head.state) for head in page.invoices)
                if (cursor := page.next_cursor) is None:
                    break
            assert listed == whole, (filters, limit)


def test_every_page_of_credit_notes_is_what_the_newest_versions_say(
    filled: tuple[Any, list[Version], list[Version]], namespace: str
) -> None:
    client, invoices, _ = filled
    for account in (None, "a1", "nobody"):
        whole = sorted(
            (
                (made["at"], row["invoice_id"], made["number"])
                for row in newest(invoices).values()
                for made in json.loads(row["body"]).get("credit_notes", ())
                if account in (None, row["account_id"])
            ),
            reverse=True,
        )
        assert len(whole) == {None: 27, "a1": 9, "nobody": 0}[account]
        for limit in (1, 4, 100):
            listed: list[tuple[str, str, int]] = []
            cursor = None
            while True:
                page = list_credit_notes(client, namespace, account_id=account, cursor=cursor, limit=limit)
                assert len(page.notes) <= limit
                listed += [(made["at"], head.invoice_id, int(made["reference"][1:])) for head, made in page.notes]
                if (cursor := page.next_cursor) is None:
                    break
            assert listed == whole, (account, limit)


class Tables:
    """All that the check asks of its scope."""

    of_namespace = "namespace = {n:String}"

    def __init__(self, client: Any, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    def rows(self, sql: str, parameters: dict[str, object]) -> Any:
        return self._client.query(sql, parameters=parameters | {"n": self._namespace}).result_rows


def test_a_credit_note_that_stands_in_no_list_is_found(
    filled: tuple[Any, list[Version], list[Version]], namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_rows, "_INSERTED_SECONDS", 0)
    client, *_ = filled
    scope: Any = Tables(client, namespace)

    def differences() -> list[str]:
        findings = Findings()
        list_rows.check_lists(scope, findings, lambda *_: None)
        return [difference.where for difference in findings.differences()]

    assert differences() == []
    client.command(
        "DELETE FROM invoice_lists WHERE namespace = {n:String} AND list = 'note' AND of = 'a1' AND version = 3",
        parameters={"n": namespace},
    )
    assert {place.split(" of ")[0] for place in differences()} == {"invoices, list note a1"}


def test_counts_of_runs_and_chains_of_an_account_are_read_from_the_lists(
    filled: tuple[Any, list[Version], list[Version]], namespace: str
) -> None:
    client, invoices, _ = filled
    runs = [Run(f"run_{number}", 1, 0, 0, {}) for number in (1, 3, 9)]
    counts = invoice_counts(client, namespace, runs)
    for run in ("run_1", "run_3"):
        assert counts[run] == len({row["invoice_id"] for row in invoices if row["run_id"] == run})
    assert "run_9" not in counts
    chains = read_chains(client, namespace, ["a1"], ["s0", "s1"])
    # Each of these has no predecessor, so a chain is the one of them that stands last.
    assert {whole.head.subscription for whole in chains} == {"s0", "s1", "s4", "s7"}
