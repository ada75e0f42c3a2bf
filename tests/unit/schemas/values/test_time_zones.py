"""One version of time zone rules for every process, whatever the machine has; and no query depends on ClickHouse's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import tzdata

from schemas.catalog.models import Account
from schemas.catalog.state import Entry
from schemas.values.instants import micros, rfc3339
from schemas.values.local_time import local_midnight, parse_zone
from schemas.values.time_zones import NAMES, VERSION

ROOT = Path(__file__).parents[4]
PACKAGES = ("schemas", "ingest", "stream_processors", "rating", "deploy")


@pytest.mark.parametrize(
    ("zone", "day", "midnight"),
    [
        ("America/Edmonton", date(2026, 12, 1), "2026-12-01T06:00:00Z"),
        ("America/Vancouver", date(2026, 12, 1), "2026-12-01T07:00:00Z"),
        ("Africa/Casablanca", date(2026, 11, 1), "2026-11-01T00:00:00Z"),
        ("America/New_York", date(2026, 12, 1), "2026-12-01T05:00:00Z"),
    ],
)
def test_months_end_by_the_rules_of_2026(zone: str, day: date, midnight: str) -> None:
    assert rfc3339(micros(local_midnight(day, parse_zone(zone)))) == midnight


def test_the_machines_own_rules_count_for_nothing(tmp_path: Path) -> None:
    """A made-up tree in which Edmonton lies in Tokyo: zoneinfo itself believes it, Weir does not."""
    (tmp_path / "America").mkdir()
    tokyo = Path(tzdata.__file__).parent / "zoneinfo" / "Asia" / "Tokyo"
    (tmp_path / "America" / "Edmonton").write_bytes(tokyo.read_bytes())
    script = (
        "from datetime import date, datetime; from zoneinfo import ZoneInfo\n"
        "from schemas.values.local_time import local_midnight, parse_zone\n"
        "print(datetime(2026, 12, 1, tzinfo=ZoneInfo('America/Edmonton')).utcoffset())\n"
        "print(local_midnight(date(2026, 12, 1), parse_zone('America/Edmonton')).isoformat())\n"
    )
    split = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"PYTHONTZPATH": str(tmp_path)}, capture_output=True,
        text=True, timeout=60, check=True,
    ).stdout.split("\n")  # fmt: skip
    assert split[:2] == ["9:00:00", "2026-12-01T06:00:00+00:00"]


def test_every_zone_of_the_package_can_be_read_and_names_itself() -> None:
    for name in NAMES:
        assert parse_zone(name).key == name
    assert parse_zone("UTC") is parse_zone("UTC")
    assert re.fullmatch(r"20\d\d[a-z]", VERSION)


@pytest.mark.parametrize("name", ["", "America", "Nowhere/Else", "../etc/passwd", "America/New_York/", "utc\x00"])
def test_what_is_no_zone_is_said(name: str) -> None:
    with pytest.raises(ValueError, match="is no IANA time zone"):
        parse_zone(name)


def test_nothing_else_asks_the_machine_for_a_zone() -> None:
    asking = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"ZoneInfo\(|available_timezones|\.astimezone\(\)", path.read_text(encoding="utf-8"))
    ]
    assert asking == ["schemas/values/time_zones.py"]


def test_no_query_names_a_zone_but_utc_so_clickhouses_own_data_decide_nothing() -> None:
    naming = re.compile(
        r"'((?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc)/[A-Za-z_/]+)'"
    )
    functions = re.compile(r"toTimeZone|timeZone\(|session_timezone|toStartOf\w+\([^()']*,\s*\{|toDate\([^()']*,\s*\{")
    for package in PACKAGES:
        for path in [*(ROOT / package).rglob("*.sql"), *(ROOT / package).rglob("*.py")]:
            text = path.read_text(encoding="utf-8")
            assert not functions.search(text), path
            if path.suffix == ".sql":
                assert not naming.search(text), path
                # A column without a zone would take the server's.
                assert not re.search(r"DateTime64\(\d\)|DateTime(?![64(\w])", re.sub(r"--.*", "", text)), path


def test_a_stored_account_loads_when_its_zone_has_left_the_rules() -> None:
    body = {"code": "a", "time_zone": "US/Pacific-New"}
    stored = Entry("ns", "account", "a", 1, False, None, 0, 0, body)
    assert stored.model.time_zone == "US/Pacific-New"
    with pytest.raises(ValueError, match="is no IANA time zone"):
        Account.model_validate(body)
