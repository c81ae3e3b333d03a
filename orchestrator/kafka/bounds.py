"""Limits of the Kafka intake: how much it holds, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sizes are per topic, times in the unit of their name."""

    records_max: int = 2_000
    """Read and not yet handed to the engine; at this or ``bytes_max`` its partitions pause."""
    bytes_max: int = 16 * 1024 * 1024
    in_flight_max: int = 512
    """Handed to the engine and not yet durable."""
    uncommitted_max: int = 50_000
    fetch_bytes_max: int = 4 * 1024 * 1024
    partition_fetch_bytes_max: int = 512 * 1024
    session_timeout_ms: int = 30_000
    heartbeat_interval_ms: int = 1_000
    rebalance_timeout_ms: int = 20_000
    max_poll_interval_ms: int = 300_000
    """A process that has not polled for so long leaves the group by itself."""
    request_timeout_ms: int = 25_000  # a join is answered only when the rebalance is over
    metadata_max_age_ms: int = 15_000
    revoke_seconds: float = 8.0
    """How long a rebalance waits for records in flight."""
    stop_seconds: float = 2.5
    """How long a stop waits for records in flight, and again for leaving the group."""
    hold_seconds: float = 1.0
    """How long an earlier topic that has more, but delivers nothing, holds back later ones."""
    forbidden_seconds: float = 30.0
    """How long a topic that an ACL forbids is not read."""
    dead_letter_seconds: float = 10.0
    watch_seconds: float = 5.0
