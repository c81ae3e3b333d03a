"""What only the embedded store does: one file, one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.stores.port import StoreInUse
from orchestrator.stores.sqlite import SqliteStore


async def test_a_second_service_on_the_same_file_is_refused(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "k.db")
    await first.open()
    with pytest.raises(StoreInUse, match="in use by process"):
        await SqliteStore(tmp_path / "k.db").open()
    await first.close()


def modes_in(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.suffix != ".lock"}


async def test_nobody_else_on_the_machine_can_read_the_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "k.db")
    await store.open()
    await store.add_secret("signing", b"secret", 0)
    assert modes_in(tmp_path) == {0o600}
    await store.close()
