"""The plan that a line was priced by: a period has lines of several where its subscription moved, and a fee in advance
is of the plan to come. Pure.

It is the invoice's own plan unless its body names another (``line_plans``: number of the line → plan, plan_version).
Invoices of before that was written say it in the notes of their charges: "plan basic version 2; …".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
    LinePlan,
    PlanOfLine,
    body_of,
)

_CHARGES: Final = frozenset({"usage", "flat"})
_NOTED: Final = re.compile(r"plan ([A-Za-z0-9_-]{1,64}) version (\d{1,9})(?:;|$)")


def pinned(lines: Iterable[Line], invoice_plan: LinePlan) -> dict[str, PlanOfLine]:
    """What an invoice's body says of ``lines``, which are in their order: those of another plan than
    ``invoice_plan``."""
    return {
        str(number): {"plan": plan.code, "plan_version": plan.version}
        for number, line in enumerate(lines, 1)
        if (plan := line.of_plan or invoice_plan) != invoice_plan
    }


def plan_of(
    number: int, kind: str, note: str, invoice_plan: LinePlan, line_plans: Mapping[str, PlanOfLine]
) -> LinePlan:
    """Of line ``number``, of this kind, with this note; ``invoice_plan``: the invoice's, ``line_plans``: as its body
    has them."""
    pinned_plan = line_plans.get(str(number))
    if pinned_plan is not None:
        return LinePlan(pinned_plan["plan"], pinned_plan["plan_version"])
    noted = _NOTED.match(note) if kind in _CHARGES else None
    return LinePlan(noted[1], int(noted[2])) if noted else invoice_plan


def plan_in(invoice: Invoice, line: Line) -> LinePlan:
    """Of a line of an Invoice record."""
    invoice_plan = LinePlan(invoice.plan, invoice.plan_version)
    return plan_of(line.number, line.kind, line.note, invoice_plan, body_of(invoice).line_plans)
