"""A report says what its address asks for, names every row once, and takes every text for text."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from rating.console.frame import Frame
from rating.console.reports.report_choice import ReportChoice, UsageReport, bucket_text, common_spans, grouping_of
from rating.console.reports.usage_page import choose_page, usage_page
from rating.usage import Measured, Usage, UsageGroup, UsageQuery
from rating.usage.usage_parameters import UsageQuestion
from schemas.values.instants import DAY, micros
from schemas.values.record_copy import replace
from tests.unit.rating.console.test_usage_panel import EVIL, FRAME, words_of

NOW = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
START = micros(datetime(2026, 11, 1, tzinfo=UTC))
PROFILE = Measured("m.x", "sum", ((1, 3600),), unit="s")
CHOICE = ReportChoice(["m.x"], "m.x", ("a&b", "c"), "2026-11-01", "2026-11-03", "UTC", "day", ("account",), ("way",))


def report(complete: bool = True) -> UsageReport:
    query = UsageQuery(
        "n", PROFILE, START, START + 2 * DAY, by_account=True, buckets_us=(START, START + DAY), dimensions=("way",)
    )
    rows = [
        UsageGroup(Usage(Decimal("1000.5"), 3), EVIL, START, (EVIL,)),
        UsageGroup(Usage(Decimal(7), 2), EVIL, START + DAY, (EVIL,)),
        UsageGroup(Usage(Decimal(5000), 1), "c", START + DAY, (None,)),
    ]
    by_time = [UsageGroup(Usage(Decimal("1000.5"), 3), None, START), UsageGroup(Usage(Decimal(5007), 3), None, START)]
    question = UsageQuestion(query, EVIL, ("a&b", "c"), ZoneInfo("UTC"), ("account", "way", "day"))
    total = Usage(Decimal("6007.5"), 6)
    return UsageReport(CHOICE, question, rows, total, complete, () if complete else by_time, notes=[EVIL])


def test_whatever_a_customer_a_value_or_a_metric_is_called_it_is_a_word() -> None:
    evil = ReportChoice([EVIL], EVIL, (EVIL,), EVIL, EVIL, EVIL, EVIL, (EVIL,), (EVIL,))
    for page in (
        usage_page(FRAME, report(), NOW),
        usage_page(FRAME, report(complete=False), NOW),
        usage_page(FRAME, UsageReport(evil, problem=EVIL), NOW),
        choose_page(FRAME, evil, EVIL, [EVIL]),
        choose_page(FRAME, evil, EVIL, []),
    ):
        words_of(page)


def test_groups_over_time_stand_side_by_side_the_greatest_first_with_their_sums() -> None:
    reader = words_of(usage_page(Frame("n"), report(), NOW))
    text = " ".join(reader.text)
    assert text.index("5\u202f000") < text.rindex("1\u202f007.5"), "c has more in all"
    assert reader.text.count("2026-11-01") >= 2, "a column, and a label of the chart"
    assert "6\u202f007.5 s" in text


def test_where_not_all_are_read_it_says_so_and_draws_them_together() -> None:
    text = " ".join(words_of(usage_page(Frame("n"), report(complete=False), NOW)).text)
    assert "All together: there are too many to draw each." in text
    assert "the documents below have all rows" in text


def test_every_link_of_a_report_says_all_of_the_choice() -> None:
    page = usage_page(Frame("n"), report(), NOW)
    hrefs = [part.split('"')[0].replace("&amp;", "&") for part in page.split('href="')[1:]]
    links = [urlsplit(href) for href in hrefs if href.startswith("/reports/usage")]
    assert {"/reports/usage.csv", "/reports/usage.parquet", "/reports/usage"} <= {link.path for link in links}
    for link in links:
        query = parse_qs(link.query)
        assert (query["namespace"], query["metric"], query["account_id"]) == (["n"], ["m.x"], ["a&b", "c"])
        assert query["group_by"] == ["account", "day"]


def test_a_grouping_by_nothing_is_kept_in_the_address() -> None:
    assert replace(CHOICE, groups=(), step="").query()["group_by"] == ""


@pytest.mark.parametrize(
    ("group_by", "grouping"),
    [
        (["day", "account"], ("day", ("account",), [])),
        (["account,way", ""], ("", ("account", "dimension:way"), [])),
        (["dimension:way", "way", "gone"], ("", ("dimension:way",), ["gone"])),
        (["dimension:day", "month"], ("month", ("dimension:day",), [])),
    ],
)
def test_a_grouping_is_read_as_the_api_reads_it(group_by: list[str], grouping: object) -> None:
    assert grouping_of(group_by, ("way", "day")) == grouping


def test_common_spans_are_of_the_zones_days() -> None:
    spans = {name: (start, end) for name, start, end in common_spans(NOW, ZoneInfo("Asia/Kathmandu"))}
    assert spans["Today"] == ("2026-12-01", "2026-12-02")
    assert spans["Month before"] == ("2026-11-01", "2026-12-01")
    assert spans["This year"] == ("2026-01-01", "2027-01-01")
    assert bucket_text(START, ZoneInfo("UTC"), "quarter") == "2026-Q4"
