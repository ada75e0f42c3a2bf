"""The key of a correction, and what a correction may change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.errors import Failure
from deploy.cli.events.void import CountedCopy, _changes, _right, corrected_key


def test_a_correction_s_key_is_the_same_each_time_and_corrections_are_numbered() -> None:
    assert corrected_key("k") == corrected_key("k") == "k#corrected"
    assert corrected_key("k#corrected") == "k#corrected-2"
    assert corrected_key("k#corrected-2") == "k#corrected-3"
    assert corrected_key("order#7") == "order#7#corrected"  # never another natural key


@given(st.text(), st.integers(1, 5))
def test_no_correction_has_the_key_of_one_before(key: str, times: int) -> None:
    observed = [key]
    for _ in range(times):
        observed.append(corrected_key(observed[-1]))
    assert len(set(observed)) == len(observed)


def test_what_is_not_given_stays_and_numbers_keep_their_digits() -> None:
    wrong = CountedCopy("call", "acme", "2023-11-14T22:13:20Z", '{"v": 1.10}', False)
    changes = _changes('{"v": 12345678901234567890.10}', None)
    right = _right(wrong, changes, "k#corrected", "eu")
    assert (right["event_name"], right["account_id"], right["timestamp"]) == ("call", "acme", "2023-11-14T22:13:20Z")
    assert b"12345678901234567890.1" in bytes(right["properties"])
    assert bytes(_right(wrong, {"account_id": "beta"}, "k#corrected", "")["properties"]) == b'{"v": 1.10}'


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"v": 1', "5"])
def test_a_correction_that_says_nothing_or_no_object_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(Failure):
        _changes(text, None)
    (tmp_path / "event.json").write_text('{"idempotency_key": "other"}')
    with pytest.raises(Failure, match="idempotency_key cannot be corrected"):
        _changes("", tmp_path / "event.json")
