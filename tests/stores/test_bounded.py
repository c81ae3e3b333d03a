"""Every table that grows says by what it is bounded."""

from __future__ import annotations

import re
from pathlib import Path

STORES = Path("orchestrator/stores")
OPERATIONS = Path("docs/operations.md")


def test_the_operations_page_says_of_every_table_what_bounds_it() -> None:
    schemas = "".join(file.read_text() for file in STORES.glob("*/migrations/*.sql"))
    tables = set(re.findall(r"^create (?:unlogged )?table (\w+)", schemas, re.MULTILINE))
    section = OPERATIONS.read_text().split("## What bounds each table", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)
    assert len(tables) > 20
    assert sorted(name for name, _ in rows) == sorted(tables)
