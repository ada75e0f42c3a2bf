"""Numbers of invoices as ClickHouse shows them against usage.checkpoints, which alone gives them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import Scope
from schemas.ledgers.invoice_numbers import InvoiceNumbers, Numbered

NAME: Final = "numbers of invoices"
_COPIED_SECONDS: Final = 2.0
NUMBERED_SECONDS: Final = 3600
"""A close that goes on for so long without numbering what it published has ended."""
_REMEDY: Final = "`weir copies rebuild numbers` shows them again as usage.checkpoints gave them"


def check_numbers(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each number that is shown was given, to that invoice or credit note, and each that was given is shown; and each
    invoice of an hour ago or longer has one."""
    on_progress(NAME, 0, 1)
    ledger = scope.checkpoints
    for kind, numbers in (("invoice", ledger.numbers), ("credit_note", ledger.note_numbers)):
        given = {
            namespace: numbers.given(namespace)
            for namespace in numbers.namespaces()
            if scope.namespace in (None, namespace)
        }
        shown = _shown(scope, kind)
        if any(numbered.invoice_id not in shown.get(name, {}) for name, all_ in given.items() for numbered in all_):
            time.sleep(_COPIED_SECONDS)  # a close gives numbers and copies them a moment later
            shown = _shown(scope, kind)
        for namespace in sorted(shown.keys() | given.keys()):
            of_kind = kind.replace("_", " ")
            compare_numbers(namespace, shown.get(namespace, {}), given.get(namespace, ()), findings, of_kind)
    finalised = scope.rows(
        f"SELECT toString(namespace), invoice_id FROM invoices WHERE {scope.of_namespace} "
        f"GROUP BY namespace, invoice_id HAVING min(as_of) < now64(6, 'UTC') - toIntervalSecond({NUMBERED_SECONDS})"
    )
    find_unnumbered([(str(namespace), str(name)) for namespace, name in finalised], ledger.numbers, findings)
    on_progress(NAME, 1, 1)


def _shown(scope: Scope, kind: str) -> dict[str, dict[str, tuple[int, str]]]:
    """Namespace → id of an invoice or credit note → (rank, number)."""
    shown: dict[str, dict[str, tuple[int, str]]] = {}
    sql = f"SELECT toString(namespace), {kind}_id, rank, number FROM {kind}_numbers FINAL WHERE {scope.of_namespace}"
    for namespace, name, rank, number in scope.rows(sql):
        shown.setdefault(str(namespace), {})[str(name)] = int(rank), str(number)
    return shown


def find_unnumbered(finalised: Iterable[tuple[str, str]], numbers: InvoiceNumbers, findings: Findings) -> None:
    """``finalised``: (namespace, invoice) of invoices that should have been numbered by the close that published them.
    One that died or failed before it came to that leaves them without."""
    for namespace, name in sorted(finalised):
        if numbers.of(namespace, name) is None:
            location = f"number of invoice {name} of {namespace}"
            findings.add("invoice number", location, "a number", "none", f"`weir close -n {namespace}` gives it")


def compare_numbers(
    namespace: str,
    shown: Mapping[str, tuple[int, str]],
    given: Iterable[Numbered],
    findings: Findings,
    kind: str = "invoice",
) -> None:
    """``shown``: invoice → (rank, number). What was given after ``given`` was read is no difference."""
    known = {numbered.invoice_id: numbered for numbered in given}
    for numbered in known.values():
        shown_number = shown.get(numbered.invoice_id)
        if shown_number != (numbered.rank, numbered.text):
            location = f"number of {kind} {numbered.invoice_id} of {namespace}"
            findings.add(
                "invoice number", location, numbered.text, "none" if shown_number is None else shown_number[1], _REMEDY
            )
    for name, (rank, number) in sorted(shown.items()):
        if name not in known and rank <= len(known):
            findings.add("invoice number", f"number of {kind} {name} of {namespace}", "none", number, _REMEDY)
