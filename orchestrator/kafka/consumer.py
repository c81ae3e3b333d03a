"""
The client library's consumer, with what a group member needs beyond its public interface (aiokafka
0.14). Its undocumented behaviour:

* A ``getmany`` that is cancelled or raises leaves its count of running polls too high, which
  disables ``max_poll_interval``. So it is never cancelled, and the count is corrected if it raises.
* ``getmany`` without partitions reads all of them and discards what was prefetched of paused ones.
  So the wanted partitions are always named; ``NOWHERE`` if there are none, to count as a poll.
* ``getmany`` waits without limit during a rebalance, and may hang on a closed consumer.
* ``commit`` retries by itself, even across a rebalance with the new generation: it could commit for
  a partition of another process. So each commit has a limit that ends before a revocation does.
* An expelled member has generation -1 until it rejoins, and the broker accepts commits of that
  generation from anybody once the group is empty.
* Exceptions in rebalance listeners are only logged, and listeners cannot know whether partitions
  were revoked or lost.
* The fetching task may die without an error reaching anybody.
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
        """``getmany`` of the library, with its count of running polls corrected if it raises."""
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
        """True if, as far as we know, the group has us as a member."""
        return self._coordinator is not None and self._coordinator.generation > 0

    @property
    def knows_coordinator(self) -> bool:
        """True if, as far as we know, the coordinator of the group answers."""
        return self._coordinator is not None and self._coordinator.coordinator_id is not None

    @property
    def forbidden_topics(self) -> set[str]:
        """Topics that the broker does not describe to us."""
        return set(self._client.cluster.unauthorized_topics)

    @property
    def rebalancing(self) -> bool:
        return bool(self._subscription.reassignment_in_progress)

    @property
    def broken(self) -> bool:
        """True if the fetching task has ended."""
        return self._fetcher is not None and self._fetcher.error_future.done()

    def position_now(self, partition: TopicPartition) -> int | None:
        """The offset after the last returned record; None while unknown. Never waits."""
        subscription = self._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        state = assignment.state_value(partition) if assignment is not None else None
        return state.position if state is not None and state.has_valid_position else None

    def has_more(self, partition: TopicPartition) -> bool:
        """True if the broker has records that were not returned yet, or if that is unknown."""
        position, end = self.position_now(partition), self.last_stable_offset(partition)
        return position is None or end is None or position < end
