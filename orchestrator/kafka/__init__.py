"""
Events from Kafka: read, accepted durably, then committed. Processes share one consumer group.

    intake        stays connected: one session after another, until it is stopped
    session       one membership of the group: reads, hands over, commits, watches the lag
    hand_over     records to the engine, and each one until it is durable
    windows       the records read of each partition, and the offset that may be committed
    records       a record as a command: an event, or a dead letter that says what is wrong
    dead_letters  the same record in the dead-letter topic
    consumer      the client library, with its undocumented behaviour
    clients       errors of the client library: one word for metrics, one sentence for people

A record that cannot be processed becomes a dead letter and never blocks the ones behind it. Reading
a record twice is harmless: the store knows every ``(source, id)``.
"""

from orchestrator.kafka.bounds import Bounds
from orchestrator.kafka.intake import KafkaIntake

__all__ = ["Bounds", "KafkaIntake"]
