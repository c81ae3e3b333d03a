"""What it costs the embedded store to take in codes: so much a code, however many come at once."""

from __future__ import annotations

import json
import sqlite3

from orchestrator.stores.sqlite.database import QUERIES
from orchestrator.stores.sqlite.schema import migrate

FEW, MANY = 100, 5_000


def test_a_large_call_costs_no_more_for_each_code_than_a_small_one() -> None:
    assert steps(MANY) / MANY < 3 * steps(FEW) / FEW


def steps(count: int) -> int:
    """The instructions of SQLite's machine, in tens, that a call of so many codes takes."""
    db = sqlite3.connect(":memory:")
    migrate(db)
    codes = [f"SPRING-{number}" for number in range(count)]
    hashes = [f"{number * 2_654_435_761 % 2**32:08x}" for number in range(count)]
    taken = 0

    def tick() -> None:
        nonlocal taken
        taken += 1

    db.set_progress_handler(tick, 10)
    db.execute(QUERIES["add_codes"], ("spring", "file", json.dumps(hashes), json.dumps(codes)))
    db.set_progress_handler(None, 0)
    stored = db.execute("select hash, code from codes order by position").fetchall()
    assert stored == list(zip(hashes, codes, strict=True)), "each has its own, in their order"
    db.close()
    return taken
