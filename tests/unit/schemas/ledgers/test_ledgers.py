"""The ledger rule: whatever writers do, each (key, version) has one winner, and all followers agree on it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from schemas.ledgers.first_valid import Claim, FirstValid

KEYS = st.sampled_from(["a", "b", "c"])
CLAIMS = st.builds(Claim, KEYS, st.integers(-1, 5))
CHAINED = st.builds(Claim, KEYS, st.integers(1, 3), st.sampled_from(["x", "y"]), st.one_of(st.none(), KEYS))
LOGS = st.lists(st.one_of(CLAIMS, CHAINED), max_size=30)


def winners(log: list[Claim]) -> list[int]:
    fold = FirstValid()
    return [number for number, claim in enumerate(log) if fold.offer(claim)]


@given(LOGS)
def test_one_winner_a_version_and_no_gaps(log: list[Claim]) -> None:
    won = [log[winner] for winner in winners(log)]
    for key in {claim.key for claim in won}:
        versions = [claim.version for claim in won if claim.key == key]
        assert versions == list(range(1, len(versions) + 1))


@given(LOGS)
def test_the_first_valid_claim_wins(log: list[Claim]) -> None:
    """A loser was preceded by a winner of the same version, or came before its predecessor, or breaks its chain."""
    won = set(winners(log))
    versions: dict[Hashable, int] = {}
    heads: dict[Hashable, Hashable] = {}
    for number, claim in enumerate(log):
        follows = claim.version == versions.get(claim.key, 0) + 1
        chained = claim.chain is None or claim.version != 1 or heads.get(claim.chain) == claim.predecessor
        assert (number in won) == (follows and chained)
        if number in won:
            versions[claim.key] = claim.version
            if claim.chain is not None and claim.version == 1:
                heads[claim.chain] = claim.key


@given(LOGS, st.data())
def test_followers_agree_wherever_they_stopped_and_went_on(log: list[Claim], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log)))
    slow = FirstValid()
    first_items = [number for number, claim in enumerate(log[:cut]) if slow.offer(claim)]
    remaining = [cut + number for number, claim in enumerate(log[cut:]) if slow.offer(claim)]
    assert first_items + remaining == winners(log)


@given(LOGS, st.data())
def test_a_void_record_changes_nothing_for_anybody(log: list[Claim], data: st.DataObject) -> None:
    won = winners(log)
    stored = [claim for number, claim in enumerate(log) if number in won or data.draw(st.booleans())]
    assert [stored[winner] for winner in winners(stored)] == [log[item] for item in won]


@given(LOGS, st.data())
def test_a_record_written_again_later_never_counts_twice(log: list[Claim], data: st.DataObject) -> None:
    """A producer's retry may append a record again, at any later place."""
    copied = list(log)
    for item in sorted(data.draw(st.sets(st.integers(0, max(0, len(log) - 1)), max_size=4)), reverse=True):
        if item < len(log):
            won = item in winners(log)
            repeated_draw = data.draw(st.integers(item + 1, len(copied)))
            if won:
                copied.insert(repeated_draw, log[item])
    assert [copied[winner] for winner in winners(copied)] == [log[winner] for winner in winners(log)]


@dataclass
class Writer:
    """Wants to publish the next version of one key; decides on what it has read, which may be old."""

    key: str
    read_to: int
    fold: FirstValid
    placed: int | None = None
    answered: bool | None = None


@given(st.lists(KEYS, min_size=1, max_size=5), st.data())
def test_competing_writers_know_who_won(keys: list[str], data: st.DataObject) -> None:
    """Any interleaving of reading, appending (some twice) and reading back: exactly the claims that every later
    follower takes for the truth are those whose writers were told that they won."""
    log: list[tuple[Claim, int]] = []
    writers = [Writer(key, 0, FirstValid()) for key in keys]
    while pending := [number for number, writer in enumerate(writers) if writer.answered is None]:
        number = data.draw(st.sampled_from(pending))
        writer = writers[number]
        if writer.placed is None:
            if writer.read_to < len(log) and data.draw(st.booleans()):
                writer.fold.offer(log[writer.read_to][0])
                writer.read_to += 1
                continue
            writer.placed = len(log)
            claim = Claim(writer.key, writer.fold.version(writer.key) + 1)
            log.extend([(claim, number)] * data.draw(st.integers(1, 2)))
        else:
            won = False
            for claim, author in log[writer.read_to :]:
                won |= writer.fold.offer(claim) and author == number
            writer.answered = won
    truth = [log[winner] for winner in winners([claim for claim, _ in log])]
    assert [author for _, author in truth] == sorted(
        (number for number, writer in enumerate(writers) if writer.answered), key=[author for _, author in truth].index
    )
    assert len(truth) == len({(claim.key, claim.version) for claim, _ in truth})
    assert {claim.key for claim, _ in truth} == set(keys)


def test_a_chain_is_one_order() -> None:
    fold = FirstValid()
    assert not fold.offer(Claim("i2", 1, "sub", "i1"))
    assert fold.offer(Claim("i1", 1, "sub", None))
    assert not fold.offer(Claim("other", 1, "sub", None))
    assert fold.offer(Claim("i2", 1, "sub", "i1"))
    assert not fold.offer(Claim("fork", 1, "sub", "i1"))
    assert fold.offer(Claim("i1", 2, "sub", None))
    assert (fold.head("sub"), fold.version("i1"), fold.version("fork")) == ("i2", 2, 0)
    assert fold.offer(Claim("j1", 1, "another", None))
    assert fold.head("empty") is None


@given(st.lists(CHAINED, max_size=30))
def test_chains_never_fork(log: list[Claim]) -> None:
    won = [log[winner] for winner in winners(log)]
    links = [(claim.chain, claim.predecessor) for claim in won if claim.version == 1]
    assert len(links) == len(set(links))


@given(LOGS, st.one_of(CLAIMS, CHAINED))
def test_would_win_tells_what_offer_will_do(log: list[Claim], claim: Claim) -> None:
    fold = FirstValid()
    for earlier in log:
        fold.offer(earlier)
    expected = fold.would_win(claim)
    assert fold.would_win(claim) == expected
    assert fold.offer(claim) == expected
