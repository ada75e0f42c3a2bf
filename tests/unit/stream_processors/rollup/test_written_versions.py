"""Profile versions are written once, and again where ClickHouse may have been restored without them."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

from schemas.catalog.follower import CatalogFollower
from schemas.catalog.models import Meter, Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.settings import Settings
from stream_processors.metering.journal import Journal
from stream_processors.rollup.roll_up import RollUp


class Tables:
    """ClickHouse's tables, as far as versions are inserted."""

    def __init__(self) -> None:
        self.outages = 0
        self.inserts: list[str] = []

    def insert(self, table: str, rows: Any) -> None:
        self.inserts += [table] * rows.num_rows


def test_versions_are_written_again_after_an_outage() -> None:
    catalog = Catalog()
    profile = {"code": "n", "aggregation": "count"}
    meter = Meter.model_validate({"code": "m", "event_name": "e", "profiles": [profile]})
    catalog.apply(record_of("shop", Namespace(code="shop"), kind="namespace", version=1, author="", claim_id="a"), 0, 0)
    catalog.apply(record_of("shop", meter, kind="meter", version=1, author="", claim_id="b"), 1, 0)
    follower = cast(CatalogFollower, SimpleNamespace(catalog=catalog))
    rollup = RollUp(Settings(), follower, threading.Event(), lambda *_: None)
    tables = Tables()
    rollup._journal = cast(Journal, tables)
    for _ in range(2):
        rollup._write_versions(2)
    assert tables.inserts == ["profile_versions"]
    tables.outages += 1
    for _ in range(2):
        rollup._write_versions(2)
    assert tables.inserts == ["profile_versions"] * 2
