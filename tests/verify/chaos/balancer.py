"""
A TCP balancer in a process of its own: ``python -m tests.verify.chaos.balancer PORT WORKER_PORT
…``.

Each connection goes to the next worker in turn; one that does not take connections is skipped. A
worker that is stopped still takes them, and says nothing: then it is the caller who has to come
again, as in any data centre.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Iterator, Sequence

CONNECT_SECONDS = 1.0
CHUNK_BYTES = 64 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Balancer:
    """``workers`` are ports on loopback."""

    def __init__(self, workers: Sequence[int]) -> None:
        self._workers = workers
        self._turns: Iterator[int] = itertools.cycle(range(len(workers)))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        try:
            streams = await self._next()
            if streams is not None:
                await asyncio.gather(pipe(reader, streams[1]), pipe(streams[0], writer))
        finally:
            writer.close()

    async def _next(self) -> Streams | None:
        """The next worker that takes a connection; None where none does."""
        first = next(self._turns)
        for index in range(len(self._workers)):
            port = self._workers[(first + index) % len(self._workers)]
            with contextlib.suppress(OSError, TimeoutError):
                return await asyncio.wait_for(
                    asyncio.open_connection("127.0.0.1", port), CONNECT_SECONDS
                )
        return None


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything from one side to the other, and its end too."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def main(port: int, workers: Sequence[int]) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(Balancer(workers).handle, "127.0.0.1", port)
    print(f"balancing 127.0.0.1:{port} over {list(workers)}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
