"""``weir close``: bill what is due."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.billing.invoice_tables import head_of_record, heads_table
from deploy.cli.connection import JsonOption, NamespaceOption, connection
from deploy.cli.errors import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from rating.close.checklist.checks import ChecklistPoint

_SHOWN = 5


def close(
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of",
            help="RFC 3339 instant, or a date (midnight UTC): bill what is due by then. Default: now, by the"
            " namespace's clock.",
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be billed; write nothing.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Bill nothing where the checklist before billing finds something.")
    ] = False,
    subscription: Annotated[
        str,
        typer.Option(
            help="Bill what this subscription alone has used of its running period, by an interim invoice; the "
            "period's own invoice takes it off again."
        ),
    ] = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bill every period that is due, as of one checkpoint, and use of running periods that has reached its threshold.
    Closing again publishes nothing twice."""
    from deploy.cli.output import StepsBar, console, print_json, say
    from rating.close import run_close
    from schemas.catalog.follower import read_catalog

    settings = connection(namespace)
    until = parse_as_of(as_of) if as_of else None
    with StepsBar() as bar:

        def checked(checks: tuple[ChecklistPoint, ...]) -> None:
            for line in checks_lines(checks):
                bar.aside(line)

        result = run_close(
            settings,
            settings.namespace,
            until,
            datetime.now(UTC),
            bar,
            dry_run=dry_run,
            strict=strict,
            on_checks=checked,
            subscription=subscription,
            ahead=read_catalog(settings).view(settings.namespace).settings.ahead,
        )
    if as_json:
        members = ("account_id", "subscription", "currency", "total")
        print_json(
            {
                "namespace": result.namespace,
                "as_of": result.as_of.isoformat(),
                "dry_run": result.dry_run,
                "checkpoint": result.run.number if result.run else None,
                "already": result.already,
                "run_id": (result.run.run_id or None) if result.run else None,
                "refused": result.refused,
                "checklist": [check.to_json() for check in result.checks],
                "invoices": [
                    {name: getattr(invoice, name) for name in ("invoice_id", *members)} for invoice in result.invoices
                ],
                "drafts": [
                    {name: getattr(draft, name) for name in ("invoice_id", "version", *members)}
                    for draft in result.drafts
                ],
                "awaiting": list(result.awaiting),
                "problems": list(result.problems),
                "unpriced": result.unpriced,
            }
        )
    else:
        if dry_run and (result.invoices or result.drafts):
            console().print(heads_table([head_of_record(draft) for draft in (*result.invoices, *result.drafts)]))
        say(result.summary())
        for problem in result.problems:
            say(f"not billed: {problem}")
    if result.problems or result.refused:
        raise typer.Exit(FAILED)


def checks_lines(checks: Iterable[ChecklistPoint]) -> list[str]:
    """The checklist for people: what it found, with the first examples; one line where all is fine."""
    lines: list[str] = []
    for check in checks:
        if check.count:
            lines.append(f"check {check.name}: {check.count} {check.text}")
            lines += [f"    {example}" for example in check.examples[:_SHOWN]]
    return lines or ["checklist: nothing found"]


def parse_as_of(text: str, option: str = "--as-of") -> datetime:
    """The instant that an option means: an RFC 3339 instant, or a date's beginning in UTC. Raises Failure (code 2)."""
    from schemas.values.instants import parse_rfc3339

    try:
        if "T" not in text.upper() and " " not in text:
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        return parse_rfc3339(text)
    except ValueError as error:
        raise Failure(f"{option}: {error}", USAGE) from None
