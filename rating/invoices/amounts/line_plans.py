"""The plan that a line was priced by: a period has lines of several where its subscription moved, and a fee in advance
is of the plan to come. Pure.

It is the invoice's own plan unless its body names another (``line_plans``: number of the line → plan, plan_version).
Invoices of before that was written say it in the notes of their charges: "plan basic version 2; …".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rating.invoices.ledger import Invoice, Line
from schemas.ledgers.invoice_claims import body_of

OF_PLAN: Final = "of_plan"
"""The key of a line that is being made; the record has it in its body."""

_CHARGES: Final = frozenset({"usage", "flat"})
_NOTED: Final = re.compile(r"plan ([A-Za-z0-9_-]{1,64}) version (\d{1,9})(?:;|$)")


@dataclass(frozen=True, slots=True)
class LinePlan:
    """Code and version of a plan."""

    code: str
    version: int


def pinned(lines: Iterable[Line], own: LinePlan) -> dict[str, dict[str, Any]]:
    """What an invoice's body says of ``lines``, which are in their order: those of another plan than its ``own``."""
    return {
        str(number): {"plan": plan.code, "plan_version": plan.version}
        for number, line in enumerate(lines, 1)
        if (plan := line.get(OF_PLAN, own)) != own
    }


def plan_of(line: Mapping[str, Any], own: LinePlan, line_plans: Mapping[str, Any]) -> LinePlan:
    """Of a line with number, kind and note; ``own``: the invoice's, ``line_plans``: as its body has them."""
    said = line_plans.get(str(line["number"]))
    if said is not None:
        return LinePlan(said["plan"], said["plan_version"])
    noted = _NOTED.match(line["note"]) if line["kind"] in _CHARGES else None
    return LinePlan(noted[1], int(noted[2])) if noted else own


def plan_in(invoice: Invoice, line: Mapping[str, Any]) -> LinePlan:
    """Of a line of an Invoice record."""
    own = LinePlan(invoice["plan"], invoice["plan_version"])
    return plan_of(line, own, body_of(invoice).get("line_plans", {}))
