"""The plan that priced a line. A period has lines of several plans if its subscription moved, and a fee in advance
belongs to the next plan. Pure.

It is the invoice's plan unless its body names another (``line_plans``: line number → plan, plan_version). Older
releases stated it in the notes of charges: "plan basic version 2; …".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from schemas.ledgers.invoice_details import PlanOfLine
from schemas.ledgers.invoice_record import Invoice, Line, LinePlan, body_of

_CHARGES: Final = frozenset({"usage", "flat"})
_NOTED: Final = re.compile(r"plan ([A-Za-z0-9_-]{1,64}) version (\d{1,9})(?:;|$)")


def pinned(lines: Iterable[Line], invoice_plan: LinePlan) -> dict[str, PlanOfLine]:
    """The body's entries for ``lines`` (in order) that belong to another plan than ``invoice_plan``."""
    return {
        str(number): {"plan": plan.code, "plan_version": plan.version}
        for number, line in enumerate(lines, 1)
        if (plan := line.of_plan or invoice_plan) != invoice_plan
    }


def plan_of(
    number: int, kind: str, note: str, invoice_plan: LinePlan, line_plans: Mapping[str, PlanOfLine]
) -> LinePlan:
    """The plan of line ``number`` with this kind and note; ``invoice_plan``: the invoice's plan, ``line_plans``:
    the body's entries."""
    pinned_plan = line_plans.get(str(number))
    if pinned_plan is not None:
        return LinePlan(pinned_plan["plan"], pinned_plan["plan_version"])
    noted = _NOTED.match(note) if kind in _CHARGES else None
    return LinePlan(noted[1], int(noted[2])) if noted else invoice_plan


def plan_in(invoice: Invoice, line: Line) -> LinePlan:
    """The plan of a line of an Invoice record."""
    invoice_plan = LinePlan(invoice.plan, invoice.plan_version)
    return plan_of(line.number, line.kind, line.note, invoice_plan, body_of(invoice).line_plans)
