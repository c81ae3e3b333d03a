"""Records that no ordinary producer would write."""

from __future__ import annotations

import struct

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

CRC_AT = 17  # in a record batch of format 2; it covers everything behind itself
MARK = b"header-name-to-be"


async def send_with_unreadable_header_name(
    producer: AIOKafkaProducer, topic: str, partition: int, value: bytes
) -> None:
    """
    A record with a header whose name is not UTF-8: the broker takes it, and client libraries
    stumble over it.
    """
    batch = producer.create_batch()
    batch.append(key=None, value=value, timestamp=None, headers=[(MARK.decode(), b"x")])
    batch.close()
    made = bytearray(batch._build())
    at = made.index(MARK)
    made[at : at + len(MARK)] = b"\xff" * len(MARK)
    made[CRC_AT : CRC_AT + 4] = struct.pack(">I", calc_crc32c(bytes(made[CRC_AT + 4 :])))
    batch._buffer = made
    await (await producer.send_batch(batch, topic, partition=partition))
