"""``weir replay``: offsets of usage.events are metered again, and their rows written over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.connection import JsonOption, connection
from deploy.cli.errors import FAILED, USAGE, Failure

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from deploy.cli.output import StepsBar
    from rating.verify.backfills.backfills_complete import LostBackfill
    from rating.verify.completeness import Damage
    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject


def replay(
    partition: Annotated[int | None, typer.Option("--partition", help="Of usage.events.", min=0)] = None,
    start: Annotated[int | None, typer.Option("--from", help="First offset.", min=0)] = None,
    end: Annotated[
        int | None, typer.Option("--to", help="Offset to stop before; default: all that is metered.", min=0)
    ] = None,
    generation: Annotated[
        int | None, typer.Option("--generation", help="Default: the one that is metered.", min=1)
    ] = None,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Look for all that is missing, and replay just that.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Meter offsets of usage.events again: rows that are missing or wrong are written over from the log, totals and
    windows follow.

    Safe to repeat, and while the stack runs. Exit code 1 where something is still missing afterwards (--damaged).
    """
    from deploy.cli.output import StepsBar, print_json, say

    settings = connection()
    if damaged == (partition is not None or start is not None):
        raise Failure("give --partition and --from, or --damaged", USAGE)
    if not damaged and (partition is None or start is None):
        raise Failure("--partition and --from go together", USAGE)
    replayed: list[JsonObject] = []
    backfills: list[JsonObject] = []
    left: list[Damage | LostBackfill] = []
    with StepsBar() as bar:
        if damaged:
            left = _mend(settings, replayed, backfills, bar)
        else:
            assert partition is not None
            assert start is not None
            replayed.append(_replay(settings, _generation(settings, generation), partition, start, end, bar))
    if as_json:
        missing = [f"{damage.place}: {damage.what}" for damage in left]
        print_json({"replayed": replayed, "backfills": backfills, "missing": missing})
    else:
        for offsets in replayed:
            say(
                f"generation {offsets['generation']} partition {offsets['partition']}"
                f" offsets {offsets['from']} to {offsets['to'] - 1}: {offsets['records']} packed batches,"
                f" {offsets['events']} events and {offsets['duplicates']} duplicates written again,"
                f" {offsets['removed']} rows removed"
            )
        for backfill in backfills:
            say(f"backfill {backfill['backfill']}, checkpoint {backfill['checkpoint']}: counted again")
        for damage in left:
            say(f"still missing: {damage.place}: {damage.what}")
        if damaged and not replayed and not backfills and not left:
            say("nothing is missing")
    if left:
        raise typer.Exit(FAILED)


def _replay(
    settings: Settings, generation: int, partition: int, start: int, end: int | None, bar: StepsBar
) -> JsonObject:
    from stream_processors.replay.offsets import Remeter, ReplayError

    remeter = Remeter(settings, generation)
    try:
        done = remeter.replay(partition, start, end, bar)
    except ReplayError as error:
        raise Failure(str(error)) from None
    finally:
        remeter.close()
    return {
        "generation": generation,
        "partition": partition,
        "from": start,
        "to": start + done.records,
        "records": done.records,
        "events": done.events,
        "duplicates": done.duplicates,
        "removed": done.removed,
        "checkpoints": list(done.checkpoints),
    }


def _mend(
    settings: Settings, replayed: list[JsonObject], backfills: list[JsonObject], bar: StepsBar
) -> list[Damage | LostBackfill]:
    """Replay all that is missing, in order of positions, and count backfills again that lost records; what is missing
    still. Then parts that were set aside are dropped."""
    from schemas.clickhouse.client import connect
    from schemas.clickhouse.damaged_parts import METERED, damaged_parts_of, drop

    client = connect(settings)
    try:
        for damage in [*_damages(settings, client), *_voids(client)]:
            replayed.append(_replay(settings, damage.generation, damage.partition, damage.start, damage.end, bar))
        for backfill in _lost_backfills(settings, client):
            if not backfill.under_way:
                backfills.append(_restore(settings, backfill, bar))
        left: list[Damage | LostBackfill] = []
        if replayed or backfills:
            left += _damages(settings, client)
            left += _lost_backfills(settings, client)
        if not left:
            for part in damaged_parts_of(client):
                if part.table in METERED:
                    drop(client, part)
        return left
    finally:
        client.close()


def _restore(settings: Settings, backfill: LostBackfill, bar: StepsBar) -> JsonObject:
    from stream_processors.backfill.journal_pages import PassProgress
    from stream_processors.replay.backfills import restore_backfill

    def report(progress: PassProgress) -> None:
        bar(f"counting {backfill.name} again", progress.events_read, max(progress.events_total, 1))

    restore_backfill(settings, backfill.name, backfill.checkpoint, report)
    return {"backfill": backfill.name, "checkpoint": backfill.checkpoint}


def _lost_backfills(settings: Settings, client: Client) -> list[LostBackfill]:
    from rating.verify.backfills.backfills_complete import lost_backfills
    from schemas.catalog.follower import read_catalog

    return list(lost_backfills(client, read_catalog(settings)))


def _damages(settings: Settings, client: Client) -> list[Damage]:
    from rating.verify.completeness import find_damage
    from schemas.catalog.follower import read_catalog
    from schemas.ledgers.checkpoints import read_progress

    return find_damage(client, read_progress(client), given_up=read_catalog(settings).given_up.ranges)


def _voids(client: Client) -> list[Damage]:
    from rating.verify.completeness import voids_below
    from schemas.clickhouse.damaged_parts import damaged_parts_of
    from schemas.ledgers.checkpoints import read_progress

    lost = any(part.table == "voided_events" for part in damaged_parts_of(client))
    return voids_below(client, read_progress(client)) if lost else []


def _generation(settings: Settings, number: int | None) -> int:
    from schemas.clickhouse.client import connect
    from schemas.ledgers.checkpoints import read_progress
    from schemas.usage_log.generation_change import read_generations

    if number is not None:
        return number
    client = connect(settings)
    try:
        return read_generations(settings).to_meter(settings.generation, read_progress(client))
    finally:
        client.close()
