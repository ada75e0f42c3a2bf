"""Late records as of many checkpoints, by one question of ClickHouse: what each checkpoint's own records say."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from rating.invoicing.late import late_records as module
from rating.invoicing.late.late_records import BilledAsOf, Late, late_records
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import Cut
from schemas.settings import Settings
from schemas.values.instants import instant

pytestmark = pytest.mark.integration

BASE = 1_770_000_000_000_000
APPENDED = datetime(2026, 2, 3, tzinfo=UTC)
PROFILES = ("m.p", "m.q")
GENERATION = 77
"""One that no log of the tests has: batches are told apart by their positions alone."""
Position = tuple[int, int]
"""(partition, offset)"""


class Counted:
    """A ClickHouse that counts its questions."""

    def __init__(self, client: Any) -> None:
        self._client, self.questions = client, 0

    def query(self, *arguments: Any, **named: Any) -> Any:
        self.questions += 1
        return self._client.query(*arguments, **named)


class Usage:
    """Records in four partitions, one of which no checkpoint has, some backfilled; some are voided later."""

    def __init__(self, seed: int) -> None:
        order = random.Random(seed)
        self.records: list[tuple[Position, str, str, int, int]] = []
        """(position, account, profile, time, checkpoint of its backfill)"""
        self.voids: dict[Position, Position] = {}
        for partition in range(4):
            for offset in range(order.randrange(20, 60)):
                account, profile = f"a{order.randrange(4)}", order.choice(PROFILES)
                backfill = order.choice((0, 0, 0, 0, 2))
                at_us = BASE + order.randrange(100) * 1_000_000
                self.records.append(((partition, offset), account, profile, at_us, backfill))
                if order.random() < 0.3:
                    self.voids[partition, offset] = (order.randrange(3), order.randrange(70))
        cuts, ends = [], [0, 0, 0]
        for number in range(1, 13):
            ends = [end + order.choice((0, 0, 1, 5, 9)) for end in ends]
            # The third partition is written from the fourth checkpoint on.
            offsets = {
                (GENERATION, partition): end for partition, end in enumerate(ends) if partition < 2 or number > 3
            }
            cuts.append(Cut(number, offsets, 0, 0))
        self.cuts = [Cut(0, {}, 0, 0), *cuts]

    def insert(self, client: Any, namespace: str) -> None:
        names = "namespace profile_id profile_version account_id timestamp quantity generation partition offset index"
        client.insert(
            "usage_records",
            [
                [namespace, profile, 1, account, instant(at_us), 1, GENERATION, *position, 0, APPENDED, backfill]
                for position, account, profile, at_us, backfill in self.records
            ],
            column_names=[*names.split(), "append_time", "checkpoint"],
        )
        client.insert(
            "usage_batches",
            [[GENERATION, *position, namespace, 1, 0, APPENDED] for position, *_ in self.records],
            column_names=["generation", "partition", "offset", "namespace", "events", "catalog_offset", "append_time"],
        )
        of = {position: (account, instant(at_us)) for position, account, _, at_us, _ in self.records}
        client.insert(
            "voided_events",
            [
                [namespace, of[position][0], of[position][1], GENERATION, *position, 0, GENERATION, *void]
                for position, void in self.voids.items()
            ],
            column_names=[
                "namespace",
                "account_id",
                "timestamp",
                "generation",
                "partition",
                "offset",
                "index",
                "void_generation",
                "void_partition",
                "void_offset",
            ],
        )

    def late(self, billed: BilledAsOf, as_of: Cut | None, account: str) -> list[Late]:
        def came(position: Position) -> bool:
            return not _below(position, billed.cut) and (as_of is None or _below(position, as_of))

        late: dict[str, list[int]] = {}
        for position, owner, profile, at_us, backfill in self.records:
            void = self.voids.get(position)
            if owner == account and at_us < billed.until_us and (
                (not backfill and came(position)) or (void is not None and came(void))
            ):  # fmt: skip
                late.setdefault(profile, []).append(at_us)
        return [Late(profile, min(times), max(times), len(times)) for profile, times in sorted(late.items())]


def _below(position: Position, cut: Cut) -> bool:
    partition, offset = position
    return offset < cut.offsets.get((GENERATION, partition), 0)


@pytest.mark.parametrize("seed", range(2))
def test_what_is_late_for_each_of_many_checkpoints_is_asked_together(
    settings: Settings, namespace: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage, order = Usage(seed), random.Random(seed)
    connected = connect(settings)
    usage.insert(connected, namespace)
    wholly: list[bool] = []
    for as_of, chosen, questions in (
        (None, usage.cuts, 1), (usage.cuts[9], usage.cuts[:9], 1), (usage.cuts[12], usage.cuts[5:], 1),
        (None, usage.cuts[4:5], 1), (None, [], 0), (None, usage.cuts, 7),
    ):  # fmt: skip
        if questions == 7:
            monkeypatch.setattr(module, "_MOST_ENDS", 6)  # two checkpoints of three partitions in a question
        billed = [BilledAsOf(cut, BASE + order.randrange(0, 110, 10) * 1_000_000) for cut in chosen]
        for accounts in (None, ["a1", "a3"]):
            client = Counted(connected)
            found = late_records(client, namespace, order.sample(billed, len(billed)), as_of, accounts)
            assert client.questions == questions
            for item in billed:
                for account in ("a0", "a1", "a2", "a3", "nobody"):
                    asked = accounts is None or account in accounts
                    expected = usage.late(item, as_of, account) if asked else []
                    assert found.of(item.cut.number, account) == expected, (item, account, as_of)
                    wholly.append(bool(expected))
            assert found.of(77, "a1") == []
    assert 0.2 < sum(wholly) / len(wholly) < 0.9  # neither side is empty
    connected.close()
