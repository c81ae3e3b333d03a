"""Sessions with PostgreSQL: their settings, and the driver's errors as the store's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from orchestrator.stores.port import StoreAway, StoreBusy

CONNECT_SECONDS = 10
CONNECTIONS_MAX = 8
SESSION = {
    "application_name": "kaskad",
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",
    # a parallel plan starts two processes each time: thirty milliseconds for one message
    "max_parallel_workers_per_gather": "0",
    # each statement is planned once, for keys that are looked up one by one, however small its
    # tables were that day
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement met a session that was just being ended
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,  # the disk is full, too many connections
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, or a database that protects a full disk
    asyncpg.PostgresSystemError,  # the server cannot read or write its files
    asyncpg.DataCorruptedError,
    asyncpg.IndexCorruptedError,
    asyncpg.InvalidAuthorizationSpecificationError,  # the password was changed meanwhile
    asyncpg.InvalidCatalogNameError,
)
BUSY = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.UniqueViolationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.OutOfMemoryError,
    TimeoutError,
)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise the driver's errors as ``StoreBusy`` and ``StoreAway``."""
    try:
        yield
    except BUSY as error:
        raise StoreBusy(f"{type(error).__name__}: {error}") from error
    except AWAY as error:
        raise StoreAway(f"{type(error).__name__}: {error}") from error


async def connect(url: str) -> Any:
    """A connection outside the pool, with the settings of a session."""
    return await asyncpg.connect(url, timeout=CONNECT_SECONDS, server_settings=SESSION)


async def make_pool(url: str) -> Any:
    """The connections of a process."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=CONNECTIONS_MAX,
        reset=no_reset,
        server_settings=SESSION,
        timeout=CONNECT_SECONDS,
    )


async def no_reset(connection: Any) -> None:
    """A connection goes back to the pool as it is: no session state is ever changed."""


async def roll_back(connection: Any) -> None:
    """Roll back; a session that cannot even do that is ended, which has the same effect."""
    try:
        await connection.execute("rollback")
    except (*AWAY, *BUSY, asyncpg.PostgresError):
        connection.terminate()


def place(url: str) -> str:
    """The location of a database, without its user and password."""
    return url.split("://", 1)[-1].rpartition("@")[2].partition("?")[0]
