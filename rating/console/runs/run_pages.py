"""The console's pages of billing runs: a list, and one run with its checklist in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rating.close.announced_runs import of_drafts
from rating.close.checklist.checks import ChecklistPoint, warnings
from rating.close.result import stored_checks
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.invoices.listed_invoices import heads
from rating.console.text import grouped
from rating.invoices.lists import Page
from schemas.ledgers.checkpoints import Run
from schemas.values.instants import rfc3339

_DRAFTS: Final = tag("p", "It billed nothing; its invoices are drafts that were approved since.", class_="soft")


def runs(frame: Frame, page_of_runs: Sequence[Run], counts: Mapping[str, int], next_cursor: str | None) -> Html:
    """A list of billing runs, the newest first. ``counts``: run id → invoices."""
    rows = [
        (
            frame.link(run.run_id, "runs", run.run_id),
            _moment(str(run.body.get("as_of", ""))),
            _moment(rfc3339(run.as_of_us)),
            run.number,
            grouped(counts.get(run.run_id, 0)),
            _findings(stored_checks(run)),
            "drafts" if of_drafts(run) else "invoices",
        )
        for run in page_of_runs
    ]
    columns = ("Run", "Due until", "As of", "Checkpoint", "Invoices", "Checklist", "Made")
    nothing = tag("p", "none yet; `weir close` bills what is due", class_="soft")
    return frame.page(
        "runs",
        "Billing runs",
        tag("h1", "Billing runs"),
        tag(
            "p",
            "Each close that bills announces a run; all its invoices are as of the run's checkpoint.",
            class_="soft",
        ),
        table(columns, rows, frozenset({3, 4})) if rows else nothing,
        tag("p", frame.link("Older runs", "runs", cursor=next_cursor)) if next_cursor else None,
    )


def run(frame: Frame, billing_run: Run, invoices: Page, count: int, cursor: str | None) -> Html:
    """One run, what its checklist found before it billed, and its invoices."""
    run_id = billing_run.run_id
    as_of = f"as of {_moment(rfc3339(billing_run.as_of_us))}, checkpoint {billing_run.number}"
    work = "Made drafts of what had ended" if of_drafts(billing_run) else "Billed what was due"
    paging: list[Child] = [frame.link("First page", "runs", run_id), " "] if cursor else []
    if invoices.next_cursor:
        paging.append(frame.link("Further invoices", "runs", run_id, cursor=invoices.next_cursor))
    return frame.page(
        "runs",
        f"Run {run_id}",
        tag("h1", "Billing run ", tag("code", run_id)),
        tag("p", f"{work} until {_moment(str(billing_run.body.get('as_of', 'then')))}"),
        tag("p", f"{as_of} · catalog up to offset {billing_run.catalog_offset}", class_="soft"),
        tag("p", frame.link("All runs", "runs")),
        _DRAFTS if of_drafts(billing_run) else None,
        tag("h2", "Checklist before it billed"),
        *checklist(stored_checks(billing_run)),
        tag("h2", f"Invoices ({grouped(count)})"),
        heads(frame, invoices.invoices),
        tag("p", paging),
    )


def checklist(checks: Sequence[ChecklistPoint]) -> Iterator[Html]:
    """First what was found, each with its first examples; then what is fine."""
    if not checks:
        yield tag("p", "This run was announced by a Weir that made no list.", class_="soft")
        return
    mend = {check.name for check in warnings(checks)}
    for check in checks:
        if not check.count:
            continue
        further = check.count - len(check.examples)
        examples = [tag("li", example) for example in check.examples]
        examples += [tag("li", f"and {grouped(further)} more")] if check.examples and further > 0 else []
        words = tag(
            "p", tag("strong", grouped(check.count)), f" {check.text}", class_="bad" if check.name in mend else None
        )
        yield join(words, tag("ul", examples, class_="steps") if examples else None)
    if not mend:
        yield tag("p", "Nothing to mend was found.", class_="good")
    fine = [check.text.partition(";")[0] for check in checks if not check.count]
    if fine:
        yield tag("p", "Looked for, and none found: ", "; ".join(fine), ".", class_="soft")


def _moment(text: str) -> str:
    """RFC 3339 to the second, for people."""
    return text.partition(".")[0].removesuffix("Z").replace("T", " ") + (" UTC" if text.endswith("Z") else "")


def _findings(checks: Sequence[ChecklistPoint]) -> Child:
    if not checks:
        return tag("span", "no list", class_="soft")
    mend = warnings(checks)
    if not mend:
        return tag("span", "nothing found", class_="good")
    return tag(
        "span", ", ".join(f"{check.name.replace('_', ' ')}: {grouped(check.count)}" for check in mend), class_="bad"
    )
