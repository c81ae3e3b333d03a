"""
Events from Kafka: read, accepted durably, and only then committed. Any number of processes share
one consumer group.

    intake        stays connected: one session after another, until it is stopped
    session       one life in the group: reads, hands on, commits, gives partitions back
    windows       what was read of each partition, and up to where all of it is durable
    records       a record as a command: an event, or a dead letter that says what is wrong with it
    deadletters   the same record in the dead-letter topic
    consumer      the client library, and what has to be known about it beyond its documentation

What cannot be processed is a dead letter and never holds up what comes behind it. A repeat after a
rebalance or a crash is harmless: the store knows every ``(source, id)``.
"""

from orchestrator.kafka.bounds import Bounds
from orchestrator.kafka.intake import KafkaIntake

__all__ = ["Bounds", "KafkaIntake"]
