"""What the comparison computes: CPU of a span, a peer's report of itself, whether it is right, and the table."""

from __future__ import annotations

from pathlib import Path

import pytest
from comparing.comparison_table import COLUMNS, INPUTS, NOT_DONE, WEIR, summary, table
from java_peers.jars import digest
from java_peers.jobs import PEERS
from java_peers.progress import PeerProgress, complete, difference, parsed, progress_of
from measuring import Filled, Sample, TooFew, fill
from workload import Shape, numbers


def filled(rate: float, own: float, keys: int) -> Filled:
    return Filled(
        rate, 10.0, {"own": own, "clickhouse": 2.0, "kafka": 0.5}, {"own": own - 1, "clickhouse": 1.0, "kafka": 0.4},
        {"own": 1000.0 * own, "clickhouse": 700.0, "kafka": 300.0}, keys,
    )  # fmt: skip


def test_cpu_of_a_span_is_by_event_and_not_by_row() -> None:
    first, last = Sample(1_000, 5.0, {"own": 2.0, "kafka": 1.0}), Sample(10_000, 9.0, {"own": 2.09, "kafka": 1.0})
    # 9,000 rows of 10,000 events: one in ten was a copy.
    assert first.cpu_us_until(last, 10 / 9) == pytest.approx({"own": 9.0, "kafka": 0.0})


def test_rows_that_all_came_at_once_or_more_than_once_are_no_measurement() -> None:
    with pytest.raises(TooFew, match="measure more events"):
        fill(lambda: 90, 90, 100, {}, 1.0)
    with pytest.raises(AssertionError, match="counted twice"):
        fill(lambda: 91, 90, 100, {}, 1.0)


def test_a_peers_report_is_five_numbers(tmp_path: Path) -> None:
    report = tmp_path / "progress"
    assert progress_of(report) == PeerProgress()
    report.write_text("100 90 45 2025 3\n")
    assert progress_of(report) == PeerProgress(100, 90, 45, 2025, 3)
    with pytest.raises(ValueError, match="five numbers"):
        parsed("100 90")


def test_a_peer_that_counts_a_copy_or_loses_an_event_is_told_from_a_right_one() -> None:
    shape = Shape(5_000)
    once = set(numbers(shape))
    assert len(once) < 5_000
    right = PeerProgress(5_000, len(once), sum(n % 2 for n in once), sum(n % 1000 for n in once if n % 2), 1)
    assert difference(right, shape) == ""
    assert difference(PeerProgress(5_000, len(once) + 1, right.counted, right.total_bytes), shape) == (
        f"kept {len(once) + 1} instead of {len(once)}"
    )
    assert difference(PeerProgress(4_999, *_fields(right)), shape) == "read 4999 instead of 5000"
    assert complete(shape).checkpoints == 0


def _fields(right: PeerProgress) -> tuple[int, int, int]:
    return right.kept, right.counted, right.total_bytes


def test_the_table_has_medians_a_sum_of_all_processes_and_what_is_not_done() -> None:
    report = {
        WEIR: summary([filled(90_000, 5.0, 10), filled(80_000, 9.0, 20), filled(100_000, 4.0, 30)]),
        "Kafka Streams": summary([filled(20_000, 21.0, 9_000)]),
    }
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(report).splitlines()]
    assert rows[0] == list(COLUMNS)
    assert rows[2] == [
        WEIR, "packed batches", "90,000", "5.0", "4.0", "2.0", "0.5", "7.5", "9,000", "30", NOT_DONE[WEIR],
    ]  # fmt: skip
    assert rows[3] == [
        "Kafka Streams", "JSON singles", "20,000", "21.0", "20.0", "2.0", "0.5", "23.5", "21,000", "9,000",
        NOT_DONE["Kafka Streams"],
    ]  # fmt: skip


def test_every_peer_says_what_it_does_not_do() -> None:
    assert {peer.name for peer in PEERS} | {WEIR, "Quix Streams", "stock Faust"} == NOT_DONE.keys()
    assert INPUTS.keys() <= NOT_DONE.keys()
    assert not any("|" in text for text in NOT_DONE.values())


def test_jars_are_built_again_where_a_source_has_changed_its_place_or_its_text(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "pom.xml").write_text("<project/>")
    (tmp_path / "a" / "Peer.java").write_text("class Peer {}")
    before = digest(tmp_path)
    (tmp_path / "notes.txt").write_text("not built")
    assert digest(tmp_path) == before
    (tmp_path / "a" / "Peer.java").write_text("class Peer { }")
    changed = digest(tmp_path)
    (tmp_path / "a" / "Peer.java").rename(tmp_path / "Peer.java")
    assert len({before, changed, digest(tmp_path)}) == 3
