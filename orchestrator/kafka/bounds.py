"""How much is held, and how long is waited."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    ``records_max`` and ``bytes_max``: read of one topic and not yet handed to the engine; past
    either its partitions are paused. ``in_flight_max``: handed on and not yet durable.
    ``uncommitted_max``: read and not yet committed. ``max_poll_interval_ms``: a process that has
    not polled for so long leaves the group by itself. ``revoke_seconds``: how long a rebalance
    waits for what is in flight. ``stop_seconds``: the same at the end, and how long leaving the
    group may take. ``hold_seconds``: how long an earlier topic that has more but gives nothing
    holds up the later ones. ``forbidden_seconds``: how long a topic that an ACL forbids is left
    alone.
    """

    records_max: int = 2_000
    bytes_max: int = 16 * 1024 * 1024
    in_flight_max: int = 512
    uncommitted_max: int = 50_000
    fetch_bytes_max: int = 4 * 1024 * 1024
    partition_fetch_bytes_max: int = 512 * 1024
    session_timeout_ms: int = 30_000
    heartbeat_interval_ms: int = 1_000
    rebalance_timeout_ms: int = 20_000
    max_poll_interval_ms: int = 300_000
    request_timeout_ms: int = 25_000  # a join is answered only when the rebalance is over
    metadata_max_age_ms: int = 15_000
    revoke_seconds: float = 8.0
    stop_seconds: float = 2.5
    hold_seconds: float = 1.0
    forbidden_seconds: float = 30.0
    dead_letter_seconds: float = 10.0
    watch_seconds: float = 5.0
