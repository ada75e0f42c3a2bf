"""Check 4, of adjustments beside credit notes: what credit notes had credited of a line is not credited again by what
adjusts it.

By fractions and on its own: it shares no code with the close. Which credit notes an invoice counted stands in its body
(``noted``); on invoices of before that, they are those made before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from rating.verify.chains import Head, StoredLine, StoredLines
from rating.verify.difference import Findings
from rating.verify.independent.periods import Periods, before_it, body, is_term, rounded, text
from schemas.values.instants import micros, parse_rfc3339

REMEDY: Final = (
    "void the invoice and bill the period again; a line is credited once, by its credit notes or by what adjusts it"
)
_NOTED: Final = "credit_note:"

Key = tuple[str, str, int, int]


def check_notes(
    head: Head, chain: Mapping[str, Head], lines: StoredLines, periods: Periods, findings: Findings
) -> None:
    """Of every line that the invoice adjusts: what it credits with what it takes back, against what credit notes had
    credited."""
    mine = _of(head, lines)
    before = [one for one in before_it(head, chain) if one.invoice_id not in head.voids][::-1]
    for name in dict.fromkeys(line.adjusts for line in mine if line.adjusts):
        if name not in chain or all(not _notes(one, head) for one in before):
            continue
        # What its own terms do is their effect; a further invoice of a period has none, it adjusts those of the first.
        further = periods.is_further(head, before) and "change" not in body(head)
        own = [line for line in mine if is_term(line) and line.start_us == head.start_us and not further]
        adjusting = [line for line in mine if line.adjusts == name and line.kind != "credit" and line not in own]
        room = max(
            -sum((_room(line) for line in adjusting), Fraction(0)) - periods.effect(head, name, before), Fraction(0)
        )
        for line in [one for one in adjusting if not one.charge.startswith(_NOTED)]:
            change = Fraction(line.amount)
            kept = _kept(name, _key(line), before, lines, head, change)
            expected = Fraction(0)
            if kept is not None:
                expected = max(min(kept, room), Fraction(0)) if change < 0 else min(kept, Fraction(0))
            room -= max(expected, Fraction(0))
            found = sum(
                (
                    Fraction(one.amount)
                    for one in adjusting
                    if _key(one) == _key(line) and one.charge.startswith(_NOTED)
                ),
                Fraction(0),
            )
            if found != expected:
                findings.add(
                    "invoice line", f"{head.place}, line {line.number}, {line.charge} beside credit notes of {name}",
                    f"{text(change + expected)} in all", text(change + found), REMEDY,
                )  # fmt: skip


def _of(head: Head, lines: StoredLines) -> Sequence[StoredLine]:
    return lines.get((head.namespace, head.invoice_id, head.version), ())


def _key(line: StoredLine) -> Key:
    return line.charge.removeprefix(_NOTED), line.product, line.start_us, line.end_us


def _room(line: StoredLine) -> Fraction:
    """Below zero: credited; above: what terms give less because of it."""
    amount = Fraction(line.amount)
    if line.charge.startswith(_NOTED):
        return Fraction(0)
    return (
        max(amount, Fraction(0)) if line.charge.startswith(("discount:", "commitment:")) else min(amount, Fraction(0))
    )


def _notes(one: Head, head: Head) -> list[Mapping[str, Any]]:
    """The credit notes of ``one`` that ``head`` counted."""
    if '"credit_notes"' not in one.body:
        return []
    notes: list[Mapping[str, Any]] = json.loads(one.body).get("credit_notes", [])
    counted = json.loads(head.body or "{}").get("noted", {})
    if one.invoice_id in counted:
        return notes[: counted[one.invoice_id]]
    return [note for note in notes if _at(note) < head.as_of_us]


def _at(note: Mapping[str, Any]) -> int:
    return micros(parse_rfc3339(note["at"]))


def _credited(one: Head, notes: Iterable[Mapping[str, Any]], lines: StoredLines) -> dict[int, Fraction]:
    """Line → what the notes credited of it; one without lines in proportion to what is left of each."""
    whole = {
        line.number: Fraction(line.amount)
        for line in _of(one, lines)
        if line.kind != "credit" and not line.charge.startswith(_NOTED) and line.amount > 0
    }
    found = dict.fromkeys(whole, Fraction(0))
    for note in notes:
        if "lines" in note or "spread" in note:
            for part in note.get("lines", note.get("spread", ())):
                found[part["line"]] = found.get(part["line"], Fraction(0)) + Fraction(part["amount"])
            continue
        rest = {number: amount - found[number] for number, amount in whole.items()}
        every, so_far, told = sum(rest.values(), Fraction(0)), Fraction(0), Fraction(0)
        for number, amount in rest.items():
            so_far += amount
            until = rounded(Fraction(note["amount"]) * so_far / every, one.currency) if every else Fraction(0)
            found[number], told = found[number] + until - told, until
    return found


def _kept(
    name: str, key: Key, before: Sequence[Head], lines: StoredLines, head: Head, change: Fraction
) -> Fraction | None:
    """How much more of the line is to be taken back where it changes by ``change``; None where credit notes credited
    nothing of it."""
    noted, last = Fraction(0), 0
    for one in before:
        notes = _notes(one, head)
        credited = _credited(one, notes, lines) if notes else {}
        if part := sum(
            (credited.get(line.number, Fraction(0)) for line in _lines_of(name, key, one, lines)), Fraction(0)
        ):
            noted, last = noted + part, max(last, *(_at(note) for note in notes))
    if not noted:
        return None
    value = kept = value_then = kept_then = Fraction(0)
    for one in before:
        for line in _lines_of(name, key, one, lines):
            amount, then = Fraction(line.amount), one.invoice_id == name or one.as_of_us <= last
            if line.charge.startswith(_NOTED):
                kept, kept_then = kept + amount, kept_then + amount * then
            else:
                value, value_then = value + amount, value_then + amount * then
    fell = value_then - value - change
    if fell < 0:
        return max(kept_then + fell, Fraction(0)) - kept
    return kept_then + min(fell, max(noted - kept_then, Fraction(0))) - kept


def _lines_of(name: str, key: Key, one: Head, lines: StoredLines) -> Iterator[StoredLine]:
    for line in _of(one, lines):
        if line.kind != "credit" and (line.adjusts or one.invoice_id) == name and _key(line) == key:
            yield line
