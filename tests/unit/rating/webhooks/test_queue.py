"""Whatever receivers do: in order by invoice, at least once or visibly given up, never in a hurry, and nobody waits for
another's fault."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rating.webhooks.queue import AT_ONCE, Queue, QueuedDelivery, RetrySchedule

SECOND = 1_000_000
PATIENCE = RetrySchedule(5, 3600, 3 * 86_400)


def delivery(invoice: str, version: int = 1, replay: str = "", queued_us: int = 0) -> QueuedDelivery:
    return QueuedDelivery(
        "n", f"{invoice}_v{version}", replay, invoice, version, "invoice.updated", queued_us, queued_us
    )


def refuse(queue: Queue, value: QueuedDelivery, now_us: int, status: int = 500) -> list[QueuedDelivery]:
    return queue.failed(value, now_us, status, "no", 0.5)


def test_tries_double_up_to_an_hour_spread_by_a_quarter_and_a_receiver_may_ask_for_more() -> None:
    assert [PATIENCE.delay_us(n, 0.5) // SECOND for n in (1, 2, 3, 10, 11, 1000)] == [5, 10, 20, 2560, 3600, 3600]
    assert PATIENCE.delay_us(1, 0) == 3_750_000
    assert PATIENCE.delay_us(1, 0.999_999) < 6_250_000
    assert PATIENCE.delay_us(1, 0.5, retry_after=60) == 60 * SECOND
    assert PATIENCE.delay_us(11, 0.5, retry_after=60) == 3600 * SECOND
    assert PATIENCE.delay_us(1, 0.5, retry_after=1e9) == 86_400 * SECOND


def test_versions_of_an_invoice_wait_for_those_before_them_and_other_invoices_do_not() -> None:
    queue = Queue(PATIENCE, [delivery("a", 1), delivery("a", 2), delivery("b", 1)])
    assert not queue.add(delivery("a", 2))
    first_take = queue.take(0)
    assert first_take is not None
    second_take = queue.take(0)
    assert second_take is not None
    assert (first_take.message_id, second_take.message_id, queue.take(0)) == ("a_v1", "b_v1", None)
    (tried,) = refuse(queue, first_take, 0)
    assert (tried.state, tried.attempts, tried.next_us) == ("waiting", 1, 5 * SECOND)
    assert queue.take(4 * SECOND) is None
    assert queue.due_us() == 5 * SECOND
    repeated_take = queue.take(5 * SECOND)
    assert repeated_take == tried
    assert queue.delivered(tried, 6 * SECOND, 200).state == "delivered"
    later_take = queue.take(6 * SECOND)
    assert later_take is not None
    assert later_take.message_id == "a_v2"


def test_one_poison_invoice_delays_no_other() -> None:
    queue = Queue(PATIENCE, [delivery("poison")])
    now = 0
    for _ in range(20):
        now = queue.due_us() or 0
        take = queue.take(now)
        assert take is not None
        refuse(queue, take, now)
    assert not queue.down
    queue.add(delivery("fresh", queued_us=now))
    take = queue.take(now)
    assert take is not None
    assert take.invoice_id == "fresh"


def test_a_dead_receiver_is_asked_seldom_and_by_one_and_gets_all_once_it_is_back() -> None:
    queue = Queue(PATIENCE, [delivery(f"i{number}") for number in range(50)])
    accepted_numbers = [take for _ in range(50) if (take := queue.take(0)) is not None]
    assert len(accepted_numbers) == AT_ONCE
    for take in accepted_numbers:
        refuse(queue, take, 0)
    assert queue.down
    now, count = 0, 0
    while now < 86_400 * SECOND:
        now = queue.due_us() or 0
        take = queue.take(now)
        assert take is not None
        assert queue.take(now) is None
        count += 1
        refuse(queue, take, now)
    assert 280 <= count <= 330, "each five minutes for a day, whatever waits"
    now = queue.due_us() or 0
    take = queue.take(now)
    assert take is not None
    queue.delivered(take, now, 200)
    assert sum(queue.take(now) is not None for _ in range(50)) == AT_ONCE


def test_what_a_busy_receiver_asks_for_holds_for_all_its_invoices() -> None:
    queue = Queue(PATIENCE, [delivery("a"), delivery("b")])
    take = queue.take(0)
    assert take is not None
    queue.failed(take, 0, 429, "busy", 0.5, retry_after=60)
    assert queue.take(59 * SECOND) is None
    assert queue.due_us() == 60 * SECOND
    assert queue.take(60 * SECOND) is not None


def test_after_three_days_of_refusals_all_that_waited_as_long_is_given_up_and_what_came_later_waits() -> None:
    queue = Queue(PATIENCE, [delivery(f"i{number}") for number in range(10)])
    gone: list[QueuedDelivery] = []
    now = 0
    while now < 3 * 86_400 * SECOND + 400 * SECOND:
        now = max(now, queue.due_us() or 0)
        take = queue.take(now)
        assert take is not None
        gone += [item for item in refuse(queue, take, now) if item.state == "given_up"]
        if now > 2 * 86_400 * SECOND:
            queue.add(delivery("late", queued_us=now))
    assert sorted(result.invoice_id for result in gone) == sorted(f"i{number}" for number in range(10))
    assert len(queue) == 1
    assert all(result.error for result in gone)


def test_what_waited_for_us_and_not_for_the_receiver_is_not_given_up_at_its_first_refusal() -> None:
    now = 10 * 86_400 * SECOND
    queue = Queue(PATIENCE, [delivery(f"i{number}") for number in range(10)])
    for _ in range(4):
        take = queue.take(now)
        assert take is not None
        assert [item.state for item in refuse(queue, take, now)] == ["waiting"]
        now = max(now, queue.due_us() or 0)


def test_the_record_that_stands_is_the_one_that_got_further() -> None:
    waits = delivery("a")
    refused = replace(waits, attempts=3)
    given_up = replace(refused, state="given_up")
    steps = [
        item.step
        for item in (waits, refused, given_up, replace(refused, attempts=4), replace(waits, state="delivered"))
    ]
    assert steps == sorted(set(steps))


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    st.lists(st.tuples(st.sampled_from(["ok", "no", "later", "die"]), st.floats(0, 0.99)), max_size=60),
)
def test_nothing_is_left_out_whatever_comes_and_whenever_the_process_dies(
    told: list[str], fates: list[tuple[str, float]]
) -> None:
    """A model of the store: queueing writes a row, an outcome replaces it, and a new process begins with what the rows
    say."""
    counts: dict[str, int] = {}
    rows: dict[str, QueuedDelivery] = {}
    for invoice in told:
        counts[invoice] = counts.get(invoice, 0) + 1
        result = delivery(invoice, counts[invoice])
        rows[result.message_id] = result
    heard: list[tuple[str, int]] = []
    queue, now = Queue(PATIENCE, rows.values()), 0
    script = iter(fates)
    while len(queue):
        fate, jitter = next(script, ("ok", 0.5))
        now = max(now, queue.due_us() or 0)
        result = queue.take(now)
        assert result is not None
        if fate == "later":
            queue.postponed(result, now + SECOND)
            continue
        heard.append((result.invoice_id, result.version))
        if fate == "die":  # after the receiver took it, before anything was written
            queue = Queue(PATIENCE, [row for row in rows.values() if row.state == "waiting"])
            continue
        outcomes = [queue.delivered(result, now, 200)] if fate == "ok" else queue.failed(result, now, 500, "no", jitter)
        rows |= {outcome.message_id: outcome for outcome in outcomes}
    assert {row.state for row in rows.values()} == {"delivered"}
    for invoice, count in counts.items():
        versions = [version for name, version in heard if name == invoice]
        assert versions == sorted(versions)
        assert set(versions) == set(range(1, count + 1))
