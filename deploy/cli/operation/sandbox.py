"""``weir sandbox clock|advance``: the clock of a sandbox, which goes ahead of the present and never back."""

from __future__ import annotations

from calendar import monthrange
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import ADMIN_KEY, CATALOG_KEY, JsonOption, NamespaceOption, answered, checked, services
from deploy.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    from deploy.cli.connection import Services
    from schemas.values.json_text import JsonObject

app = typer.Typer(help="The clock of a sandbox.", no_args_is_help=True)


@app.command(epilog=CATALOG_KEY)
def clock(namespace: NamespaceOption = None, as_json: JsonOption = False) -> None:
    """What the sandbox's clock shows. Exit code 2: the namespace is live, or not there."""
    from deploy.cli.output import print_json, say

    asked_of = services(namespace)
    shown = _shown(_settings(asked_of), datetime.now(UTC))
    if as_json:
        print_json(shown)
    else:
        say(f"{shown['namespace']}: {shown['now']}, {_words(shown['clock_ahead_seconds'])}")


@app.command(epilog=ADMIN_KEY)
def advance(
    days: Annotated[int, typer.Option(min=0, max=3660, help="So many days.")] = 0,
    months: Annotated[int, typer.Option(min=0, help="So many calendar months (UTC), before the days.")] = 0,
    to: Annotated[str, typer.Option(help="To an RFC 3339 instant, or the beginning of a date (UTC), instead.")] = "",
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the clock forward; from then on it goes on at its usual pace. It cannot be taken back.

    A live namespace is refused (exit code 2).
    """
    from deploy.cli.output import print_json, say

    if bool(to) == bool(days or months):
        raise Failure("say how far: --days, --months, or --to INSTANT", USAGE)
    asked_of, real = services(namespace), datetime.now(UTC)
    settings = _settings(asked_of)
    ahead = seconds_ahead(settings["clock_ahead_seconds"] or 0, real, days=days, months=months, to=to)
    with asked_of.http("gateway") as client:
        saved: JsonObject = checked(
            client.put(
                f"/v1/namespaces/{asked_of.namespace}",
                json=settings | {"clock_ahead_seconds": ahead},
                headers={"if-match": f'"{settings["version"]}"'},
            )
        )
    shown = _shown(saved, real)
    if as_json:
        print_json(shown)
    else:
        say(f"{shown['namespace']}: {shown['now']}, {_words(ahead)}; `weir close` bills what is due by then")


def seconds_ahead(standing: int, real: datetime, *, days: int = 0, months: int = 0, to: str = "") -> int:
    """How far ahead of ``real`` the clock is afterwards, whole seconds, rounded up. Raises Failure (code 2) for an
    instant that lies behind the clock."""
    from deploy.cli.billing.close import parse_as_of

    shows = real + timedelta(seconds=standing)
    target = parse_as_of(to, "--to") if to else _months_later(shows, months) + timedelta(days=days)
    if target < shows:
        raise Failure(f"--to {to} lies behind the sandbox's clock, {shows.isoformat()}, which goes only forward", USAGE)
    return -((real - target) // timedelta(seconds=1))


def _months_later(instant: datetime, months: int) -> datetime:
    """The same day and time of a later month, or its last day where it is shorter. Raises Failure beyond year 9999."""
    year, month = divmod(instant.year * 12 + instant.month - 1 + months, 12)
    if year > MAXYEAR:
        raise Failure(f"--months {months} leads beyond the year {MAXYEAR}", USAGE)
    return instant.replace(year=year, month=month + 1, day=min(instant.day, monthrange(year, month + 1)[1]))


def _settings(asked_of: Services) -> JsonObject:
    with asked_of.http("gateway") as client:
        settings: JsonObject = answered(client.get(f"/v1/namespaces/{asked_of.namespace}"))
    if not settings["sandbox"]:
        raise Failure(
            f"namespace {asked_of.namespace} is live, and has no clock of its own; declare one with `sandbox: true`",
            USAGE,
        )
    return {"clock_ahead_seconds": None} | settings


def _shown(settings: JsonObject, real: datetime) -> JsonObject:
    from schemas.values.instants import micros, rfc3339

    ahead = settings.get("clock_ahead_seconds") or 0
    return {
        "namespace": settings["code"],
        "now": rfc3339(micros(real + timedelta(seconds=ahead))),
        "real_now": rfc3339(micros(real)),
        "clock_ahead_seconds": ahead,
    }


def _words(ahead: int) -> str:
    if not ahead:
        return "the present"
    days, seconds = divmod(ahead, 86_400)
    return f"{days} days and {timedelta(seconds=seconds)} hours ahead of the present"
