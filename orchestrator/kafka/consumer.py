"""
The client library's consumer, with what a group member needs and its public interface (aiokafka
0.14) does not give.

What has to be known about it:

* ``getmany`` that is cancelled or raises leaves its count of running polls up, which switches off
  ``max_poll_interval``. So it is never cancelled, and the count is put right where it raises.
* ``getmany`` without partitions means all of them, and throws away what was read ahead of a paused
  one; so it is always called with the ones that are wanted, and with ``NOWHERE`` where there are
  none (the poll still counts as one).
* During a rebalance it waits without a limit.
* ``commit`` tries again by itself, also across a rebalance, with the new generation: it could
  commit for a partition that is somebody else's by then. So each commit has a limit, and is given
  up before the partitions are.
* A member that was thrown out has generation -1 until it joins again, and the broker takes commits
  of that generation from anybody once the group is empty.
* Exceptions in rebalance listeners are only logged; listeners are not told whether partitions were
  revoked or lost.
* A task that fetches may die of a surprise without anybody being told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from orchestrator.kafka.bounds import Bounds

NOWHERE = TopicPartition("", -1)
FETCH_WAIT_MS = 100  # a fetch that waits at the broker holds up the next one, whatever that is for


class GroupConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer of one group that never commits by itself."""

    def __init__(self, options: Mapping[str, Any], group: str, reset: str, bounds: Bounds) -> None:
        super().__init__(
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset=reset,
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=bounds.fetch_bytes_max,
            max_partition_fetch_bytes=bounds.partition_fetch_bytes_max,
            session_timeout_ms=bounds.session_timeout_ms,
            heartbeat_interval_ms=bounds.heartbeat_interval_ms,
            rebalance_timeout_ms=bounds.rebalance_timeout_ms,
            max_poll_interval_ms=bounds.max_poll_interval_ms,
            request_timeout_ms=bounds.request_timeout_ms,
            metadata_max_age_ms=bounds.metadata_max_age_ms,
            **options,
        )

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> Any:
        """The library's own, with its count of running polls put right where it raises."""
        running = self._subscription._fetch_count
        try:
            return await super().getmany(
                *partitions, timeout_ms=timeout_ms, max_records=max_records
            )
        except Exception:
            self._subscription._fetch_count = running
            raise

    @property
    def is_member(self) -> bool:
        """Whether the group knows us, as far as we have heard."""
        return self._coordinator is not None and self._coordinator.generation > 0

    @property
    def knows_coordinator(self) -> bool:
        """Whether the broker that coordinates the group answers, as far as we have heard."""
        return self._coordinator is not None and self._coordinator.coordinator_id is not None

    @property
    def forbidden_topics(self) -> set[str]:
        """Topics that the broker does not even describe to us."""
        return set(self._client.cluster.unauthorized_topics)

    @property
    def rebalancing(self) -> bool:
        return bool(self._subscription.reassignment_in_progress)

    @property
    def broken(self) -> bool:
        """Whether the task that fetches has ended."""
        return self._fetcher is not None and self._fetcher.error_future.done()

    def position_now(self, partition: TopicPartition) -> int | None:
        """
        The offset after the last one that was returned; None while it is not known. Never waits.
        """
        subscription = self._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        state = assignment.state_value(partition) if assignment is not None else None
        return state.position if state is not None and state.has_valid_position else None

    def has_more(self, partition: TopicPartition) -> bool:
        """
        Whether the broker has records that were not returned yet, as far as is known; true where
        nothing is known.
        """
        position, end = self.position_now(partition), self.last_stable_offset(partition)
        return position is None or end is None or position < end
