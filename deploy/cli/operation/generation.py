"""``weir generation show`` and ``weir generation change``: the partitions of usage.events."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from deploy.cli.connection import STORES, JsonOption, connection
from deploy.cli.errors import USAGE, Failure

app: Final = typer.Typer(
    help="Generations of usage.events: another number of partitions.", no_args_is_help=True, rich_markup_mode=None
)


@app.command(epilog=STORES)
def show(as_json: JsonOption = False) -> None:
    """Which generation takes events, which is being metered, and where the earlier ones ended. Exit code 1 where a
    change was interrupted."""
    from deploy.cli.output import console, print_json, table
    from schemas.clickhouse.client import connect
    from schemas.kafka.topics import events_topic, partition_count
    from schemas.ledgers.checkpoints import read_progress
    from schemas.usage_log.generation_change import read_generations

    settings = connection()
    state = read_generations(settings)
    client = connect(settings)
    try:
        metering = state.to_meter(settings.generation, read_progress(client))
    finally:
        client.close()
    rows = []
    for number in state.known(settings.generation):
        ends = state.ends.get(number)
        takes = "sealed" if ends is not None else "being sealed" if state.following else "open"
        rows.append(
            {
                "generation": number,
                "topic": events_topic(number),
                "state": takes,
                "metered now": number == metering,
                "partitions": partition_count(settings, events_topic(number)),
                "records": None if ends is None else sum(ends),
            }
        )
    if as_json:
        print_json(rows)
    else:
        console().print(
            table("", tuple(rows[0]), [tuple(row.values()) for row in rows], right=("partitions", "records"))
        )
    if state.following is not None:
        raise Failure(
            "a change is under way or was interrupted, and no event is taken: finish it with "
            f"`weir generation change --partitions {state.following.partitions}`"
        )


@app.command(epilog=STORES)
def change(
    partitions: Annotated[int, typer.Option("--partitions", min=1, max=4096, help="Partitions of the new generation.")],
    as_json: JsonOption = False,
) -> None:
    """Seal usage.events and go on in a new generation with another number of partitions, under load.

    Producers get 503 for a second or so and try again; workers meter the old one to its end and go on by themselves.
    Interrupted anywhere, the same command finishes it.
    """
    from deploy.cli.output import print_json, say
    from schemas.clickhouse.client import connect
    from schemas.ledgers.checkpoints import read_progress
    from schemas.usage_log.generation_change import GenerationError, change_generation

    settings = connection()
    client = connect(settings)
    try:
        progress = read_progress(client)
    finally:
        client.close()
    try:
        state = change_generation(settings, partitions, progress, (lambda _: None) if as_json else say)
    except (GenerationError, LookupError) as error:
        raise Failure(str(error), USAGE) from None
    if as_json:
        newest = state.newest(settings.generation)
        print_json({"generation": newest.number, "partitions": newest.partitions})


@app.command(epilog=STORES)
def recover() -> None:
    """Where usage.events is not the log that was metered (replaced, or cut short): begin a new generation and carry
    over what it holds.

    Safe to repeat. `weir status` says when it is needed; what is lost for good shows in `weir ledger`.
    """
    from deploy.cli.output import say
    from schemas.clickhouse.client import connect
    from schemas.usage_log.generation_change import GenerationError
    from schemas.usage_log.generation_recovery import recover_generation

    settings = connection()
    client = connect(settings)
    try:
        recover_generation(settings, client, say)
    except GenerationError as error:
        raise Failure(str(error)) from None
    finally:
        client.close()
