"""
The offset to commit is the end of the unbroken run of durable records, in whichever order they
became durable.
"""

from __future__ import annotations

from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.kafka.windows import PartitionWindow, Queue, Windows

ZERO, ONE = TopicPartition("events", 0), TopicPartition("events", 1)
OTHER = TopicPartition("otp", 0)


def record(offset: int, size: int = 1) -> ConsumerRecord:
    return ConsumerRecord("events", 0, offset, 0, 0, None, b"x" * size, None, -1, size, ())


@given(st.sets(st.integers(0, 200), min_size=1), st.randoms(use_true_random=False))
def test_nothing_is_safe_that_has_an_open_record_before_it(
    offsets: set[int], chance: object
) -> None:
    order = sorted(offsets)
    window = PartitionWindow()
    for offset in order:
        window.add(offset)
    done: set[int] = set()
    shuffled = list(order)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    for offset in shuffled:
        window.mark(offset)
        done.add(offset)
        still_open = [one for one in order if one not in done]
        expected = (still_open[0] if still_open else order[-1] + 1) if done else order[0]
        before = [one for one in order if one < (window.safe or 0)]
        assert set(before) <= done
        assert (window.safe or 0) <= expected
        assert not still_open or (window.safe or 0) <= still_open[0]
    assert window.safe == order[-1] + 1
    assert len(window) == 0


def test_a_gap_or_a_marker_behind_the_last_record_is_passed_over_but_not_while_one_is_open() -> (
    None
):
    window = PartitionWindow()
    window.add(3)
    window.skip_to(9)
    assert window.safe == 3
    window.mark(3)
    window.skip_to(9)
    assert window.safe == 9
    window.skip_to(4)
    assert window.safe == 9


def test_where_a_group_begins_is_committed_before_anything_was_read() -> None:
    windows = Windows()
    windows.assign([ZERO, ONE])
    windows.skip_to({ZERO: 17, ONE: None}.get)
    assert windows.committable("events") == {ZERO: 17}
    windows.committed({ZERO: 17})
    assert windows.committable("events") == {}


def test_a_partition_that_was_taken_away_commits_nothing_any_more() -> None:
    windows = Windows()
    old = windows.of(ZERO)
    old.add(1)
    windows.close()
    windows.assign([ZERO])
    windows.of(ZERO).add(1)
    old.mark(1)
    assert not old.alive
    assert windows.committable("events") == {ZERO: 1}
    assert windows.open_records("events") == 1


def test_topics_are_counted_and_committed_apart() -> None:
    windows = Windows()
    for partition in (ZERO, ONE, OTHER):
        windows.of(partition).add(5)
    windows.of(OTHER).mark(5)
    assert (windows.open_records("events"), windows.open_records("otp")) == (2, 0)
    assert windows.committable("otp") == {OTHER: 6}
    assert set(windows) == {ZERO, ONE, OTHER}


def test_a_queue_knows_its_bytes_and_what_is_put_back_comes_first() -> None:
    queue, window = Queue(), PartitionWindow()
    for offset in range(4):
        queue.put(window, record(offset, size=100))
    full = queue.bytes
    taken = queue.take(3)
    queue.put_back(taken[1:])
    assert [one.offset for _, one in queue.take(9)] == [1, 2, 3]
    assert full >= 400
    assert (len(queue), queue.bytes) == (0, 0)
