"""The result of a close, and its summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rating.close.checklist.checks import ChecklistPoint, warnings
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import micros, rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseResult:
    """``invoices``: published by this run (in a dry run: would be). ``already``: number of due invoices that
    another process published first. ``problems``: messages about what cannot be billed. ``run``: None if nothing
    was due. ``checks``: the checklist, made by whoever announced the run; ``refused``: it has findings and the
    close was strict. ``unpriced``: number of quantities without a price on valid invoices. ``joined``: the run was
    announced by an earlier close."""

    namespace: str
    as_of: datetime
    run: Run | None
    invoices: tuple[Invoice, ...]
    already: int
    problems: tuple[str, ...]
    dry_run: bool
    checks: tuple[ChecklistPoint, ...] = ()
    refused: bool = False
    drafts: tuple[Invoice, ...] = ()
    awaiting: tuple[str, ...] = ()
    unpriced: int = 0
    joined: bool = False

    def summary(self) -> str:
        """One sentence for people."""
        until = rfc3339(micros(self.as_of))
        if self.refused:
            names = ", ".join(check.name for check in warnings(self.checks))
            return (
                f"nothing was billed in {self.namespace} as of {until}: the checklist found {names}; mend that, "
                "or close without --strict"
            )
        drafted = self._drafted()
        if self.unpriced:
            count = "quantity has" if self.unpriced == 1 else "quantities have"
            drafted += f"; {self.unpriced} billed {count} no price, `weir late` names them"
        if not (self.invoices or self.already) and self.problems:
            count = f"{len(self.problems)} thing{'' if len(self.problems) == 1 else 's'}"
            return (
                f"no invoice was published in {self.namespace} as of {until}{self._joined()}: {count} cannot be "
                f"billed{drafted}"
            )
        if self.run is None or not (self.invoices or self.already):
            return f"nothing is due in {self.namespace} as of {until}: no invoice was published{drafted}"
        done = f"{len(self.invoices)} invoice{'' if len(self.invoices) == 1 else 's'}"
        if self.dry_run:
            return f"{done} would be published in {self.namespace} as of {until}; nothing was written{drafted}"
        already = f"; {self.already} stood already, by another process" if self.already else ""
        return (
            f"{done} published in {self.namespace} as of {until}, checkpoint "
            f"{self.run.number}{already}{self._joined()}{drafted}"
        )

    def _joined(self) -> str:
        """A repeated close as of the same instant joins the earlier run, and so does not include what arrived
        since; state that."""
        if not self.joined or self.run is None or not self.problems:
            return ""
        return f", by run {self.run.run_id}, which stood already as of checkpoint {self.run.number}"

    def _drafted(self) -> str:
        sentence = ""
        if self.drafts:
            count = f"{len(self.drafts)} draft{'' if len(self.drafts) == 1 else 's'}"
            sentence = f"; {count} {'would be ' if self.dry_run else ''}made or refreshed"
        if self.awaiting:
            sentence += f"; {len(self.awaiting)} await approval or are held, `weir invoices --state draft` lists them"
        return sentence


def stored_checks(run: Run) -> tuple[ChecklistPoint, ...]:
    """The checklist in a run's announcement; empty for releases that made none."""
    return tuple(ChecklistPoint.from_json(check) for check in run.body.get("checklist", ()))
