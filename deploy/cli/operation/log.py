"""``weir log``: whether usage.events is the log that was metered, and what of it was given up."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deploy.cli.connection import STORES, JsonOption, connection
from deploy.cli.errors import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from rating.verify.lost_records import Gap
    from schemas.usage_log.continuity import GenerationStanding

_WRITTEN_SECONDS: Final = 4.0
app: Final = typer.Typer(
    help="The log of usage.events: where it stands against the cursors, and what of it was given up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog=STORES)
def show(as_json: JsonOption = False) -> None:
    """First and next offset of each partition, its cursor, and every range that was given up. Exit code 1 where
    something is wrong."""
    from confluent_kafka.admin import AdminClient

    from deploy.cli.output import console, print_json, say, table
    from schemas.catalog.follower import read_catalog
    from schemas.clickhouse.client import connect
    from schemas.usage_log.continuity import read_standing
    from schemas.values.instants import rfc3339

    settings = connection()
    catalog = read_catalog(settings)
    generation = catalog.generations.state.newest(settings.generation).number
    client = connect(settings)
    try:
        log_state = read_standing(AdminClient(settings.librdkafka() | {"log_level": 2}), client, generation)
    finally:
        client.close()
    reasons = list(log_state.reasons())
    rows = [
        {
            "generation": generation,
            "partition": number,
            "begins": low,
            "ends": high,
            "metered to": log_state.cursors.get(number, 0),
        }
        for number, (low, high) in sorted(log_state.bounds.items())
    ]
    given_up = [
        {
            "generation": lost_range.generation,
            "partition": lost_range.partition,
            "from": lost_range.start,
            "to": lost_range.end,
            "events": sum((lost_range.events or {}).values()),
            "at": rfc3339(lost_range.given_up_us),
            "author": lost_range.author,
            "reason": lost_range.reason,
        }
        for lost_range in catalog.given_up.ranges
    ]
    if as_json:
        print_json({"partitions": rows, "given_up": given_up, "reasons": [str(reason) for reason in reasons]})
    else:
        names = ("generation", "partition", "begins", "ends", "metered to")
        console().print(table("", names, [tuple(row.values()) for row in rows], right=names))
        for row in given_up:
            say(
                f"given up: generation {row['generation']} partition {row['partition']}"
                f" offsets {row['from']} to {int(str(row['to'])) - 1},"
                f" {row['events']} events, by {row['author']} at {row['at']}: {row['reason']}"
            )
        for reason in reasons:
            say(str(reason))
    if reasons:
        raise typer.Exit(FAILED)


@app.command("give-up", epilog=STORES)
def give_up(
    partition: Annotated[int, typer.Option("--partition", min=0, help="Of usage.events.")],
    start: Annotated[int, typer.Option("--from", min=0, help="First offset that is given up.")],
    end: Annotated[int, typer.Option("--to", min=1, help="Offset before which that ends.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept for good.")],
    generation: Annotated[int | None, typer.Option("--generation", min=1, help="Default: the newest.")] = None,
    author: Annotated[str, typer.Option("--author", help="Who decides; default: the user.")] = "",
) -> None:
    """Give up exactly these offsets, which the log no longer has: metering goes on after them, and the books say so.

    It cannot be taken back. The record stands on usage.catalog with author, time and reason; totals do not change.
    """
    from confluent_kafka.admin import AdminClient

    from deploy.cli.output import say
    from rating.verify.lost_records import gap
    from schemas.catalog.follower import read_catalog
    from schemas.clickhouse.client import connect
    from schemas.ledgers.given_up import OffsetRange, uncovered
    from schemas.usage_log.continuity import read_standing
    from schemas.usage_log.give_up import claim_range

    settings = connection()
    if not reason.strip():
        raise Failure("--reason: say why", USAGE)
    if end <= start:
        raise Failure(f"--to {end} must lie above --from {start}", USAGE)
    catalog = read_catalog(settings)
    newest = catalog.generations.state.newest(settings.generation).number
    number = generation or newest
    client = connect(settings)
    try:
        log_state = read_standing(AdminClient(settings.librdkafka() | {"log_level": 2}), client, number)

        def known() -> Gap:
            return gap(client, number, partition, start, end, catalog.given_up.ranges)

        missing = known()
        # Records that the log took at the offsets of lost ones are metered; the cursor moves over nothing.
        replaced = missing.replaced and end <= log_state.cursors.get(partition, 0)
        if not replaced:
            _check(log_state, partition, start, end, sealed=number in catalog.generations.state.ends)
        deadline = time.monotonic() + _WRITTEN_SECONDS
        while missing.uncounted and time.monotonic() < deadline:  # writers count every two seconds
            time.sleep(0.5)
            missing = known()
    finally:
        client.close()
    offsets = f"generation {number} partition {partition}: offsets {start} to {end - 1}"
    earlier = [
        lost_range
        for lost_range in catalog.given_up.ranges
        if (lost_range.generation, lost_range.partition) == (number, partition)
    ]
    if not missing.events and not list(uncovered((start, end), earlier)):
        say(f"{offsets} were given up before, and no more of them is known: nothing is written")
        return
    decided_by = author or getpass.getuser()
    claim_range(settings, OffsetRange(number, partition, start, end, reason.strip(), decided_by, events=missing.events))
    say(f"{offsets} are given up, {_counted(missing)}; metering goes on after them")


def _counted(missing: Gap) -> str:
    """How many events, by namespace, and whether that is all."""
    names = ", ".join(f"{count} of {name}" for name, count in sorted(missing.events.items()))
    count = f"{sum(missing.events.values())} acknowledged events among them" + (f" ({names})" if names else "")
    if not missing.uncounted:
        return count
    return (
        f"at least {count}: of {missing.uncounted} records no writer says how many events they had (it was killed"
        " within two seconds of them, or ClickHouse lost its count)"
    )


def _check(log_state: GenerationStanding, partition: int, start: int, end: int, *, sealed: bool) -> None:
    """Only what the log does not have, from the cursor on or below it; nothing that is still to come."""
    if partition not in log_state.bounds:
        raise Failure(f"there is no partition {partition}", USAGE)
    low, high = log_state.bounds[partition]
    cursor = log_state.cursors.get(partition, 0)
    if sealed or (log_state.metered_id and log_state.topic_id != log_state.metered_id):
        return
    if max(start, low) < min(end, high):
        offsets = f"{max(start, low)} to {min(end, high) - 1}"
        raise Failure(f"the log has offsets {offsets}: `weir replay` meters them, and nothing is lost of them", USAGE)
    if end > high:
        raise Failure(f"offsets from {high} on are still to come", USAGE)
    if start > cursor:
        raise Failure(
            f"the cursor is {cursor}: give up from there on, --from {cursor}, or metering cannot go on", USAGE
        )
