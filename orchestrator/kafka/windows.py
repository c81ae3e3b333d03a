"""
The records that were read of each partition and are not committed yet.

Records become durable in any order; only the end of the unbroken run of durable ones may be
committed. A window lives as long as its partition is ours. After a rebalance there are new windows,
so a record that becomes durable late commits nothing: the next owner reads it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from aiokafka import ConsumerRecord, TopicPartition


class PartitionWindow:
    """One partition. Everything before the offset ``safe`` is durable; None: nothing was read."""

    __slots__ = ("_durable", "_order", "alive", "committed", "safe")

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._durable: set[int] = set()
        self.safe: int | None = None
        self.committed: int | None = None
        self.alive = True

    def __len__(self) -> int:
        return len(self._order)

    def add(self, offset: int) -> None:
        """Add a record that was read. Offsets rise, with gaps if the topic is compacted."""
        if self.safe is None:
            self.safe = offset
        self._order.append(offset)

    def mark(self, offset: int) -> None:
        """Mark a record durable."""
        self._durable.add(offset)
        while self._order and self._order[0] in self._durable:
            first = self._order.popleft()
            self._durable.discard(first)
            self.safe = first + 1

    def skip_to(self, position: int) -> None:
        """
        If no record is open, move ``safe`` past gaps and transaction markers. Before the first
        record it is the start, which is committed, too: else a group that begins at the latest
        record would begin there again after a restart.
        """
        if not self._order and (self.safe is None or position > self.safe):
            self.safe = position


class Windows:
    """The windows of all partitions that this process has now."""

    def __init__(self) -> None:
        self._open: dict[TopicPartition, PartitionWindow] = {}

    def __iter__(self) -> Iterator[TopicPartition]:
        return iter(self._open)

    def of(self, partition: TopicPartition) -> PartitionWindow:
        """The window of a partition, made if there is none."""
        return self._open.setdefault(partition, PartitionWindow())

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            self.of(partition)

    def close(self) -> None:
        """Drop all windows: their partitions belong to another process now."""
        for window in self._open.values():
            window.alive = False
        self._open = {}

    def open_records(self, topic: str) -> int:
        """The number of a topic's records that are read and not yet committable."""
        return sum(
            len(window) for partition, window in self._open.items() if partition.topic == topic
        )

    def skip_to(self, position: Callable[[TopicPartition], int | None]) -> None:
        """``Window.skip_to`` for each partition, up to where it was read."""
        for partition, window in self._open.items():
            at = position(partition) if not window else None
            if at is not None:
                window.skip_to(at)

    def committable(self, topic: str) -> dict[TopicPartition, int]:
        """The offsets of a topic that may be committed and are not."""
        return {
            partition: window.safe
            for partition, window in self._open.items()
            if partition.topic == topic
            and window.safe is not None
            and window.safe != window.committed
        }

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        """Note that these offsets are committed."""
        for partition, offset in offsets.items():
            if partition in self._open:
                self._open[partition].committed = offset


class Queue:
    """Records of one topic that were not handed over yet, each with its window."""

    def __init__(self) -> None:
        self._records: deque[tuple[PartitionWindow, ConsumerRecord]] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, window: PartitionWindow, record: ConsumerRecord) -> None:
        self._records.append((window, record))
        self.bytes += size_of(record)

    def put_back(self, items: list[tuple[PartitionWindow, ConsumerRecord]]) -> None:
        """Put taken records back in front."""
        for window, record in reversed(items):
            self._records.appendleft((window, record))
            self.bytes += size_of(record)

    def take(self, count: int) -> list[tuple[PartitionWindow, ConsumerRecord]]:
        taken = [self._records.popleft() for _ in range(min(count, len(self._records)))]
        self.bytes -= sum(size_of(record) for _, record in taken)
        return taken

    def clear(self) -> None:
        self._records.clear()
        self.bytes = 0


def size_of(record: ConsumerRecord) -> int:
    """The approximate size of a record in memory, in bytes."""
    return len(record.value or b"") + len(record.key or b"") + 256
