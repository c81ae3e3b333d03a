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
