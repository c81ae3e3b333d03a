"""
Many processes hurt at random: what the promises say still holds, by the word of independent
witnesses.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import postgres
from tests.verify import kafka_broker
from tests.verify.chaos.run import Plan, run, table

pytestmark = [pytest.mark.chaos, pytest.mark.verify]

KILLS = int(os.environ.get("KILLS", "50"))
SEED = int(os.environ.get("SEED", "20261125"))
RATE = float(os.environ.get("RATE", "30"))
STORE = os.environ.get("STORE", "postgresql")
WORKERS = int(os.environ.get("WORKERS", "3"))


async def test_many_processes_hurt_at_random_lose_nothing_and_double_nothing(
    tmp_path: Path,
) -> None:
    on_postgres = STORE == "postgresql"
    if on_postgres and (why := postgres.missing()) is not None:
        pytest.skip(f"NO POSTGRESQL IN THIS RUN: {why}")
    no_kafka = kafka_broker.missing() if os.environ.get("KAFKA", "on") == "on" else "KAFKA is off"
    if no_kafka is not None:
        print(f"\nNO REAL KAFKA BROKER IN THIS RUN: {no_kafka}")
    workers = WORKERS if on_postgres else 1
    plan = Plan(
        seed=SEED,
        kills=KILLS,
        workers=workers,
        postgres=on_postgres,
        kafka=no_kafka is None,
        rate=RATE,
    )
    print(f"\n{plan}", flush=True)
    report, seen = await run(tmp_path, plan)
    print(table(plan, report), flush=True)
    assert len(seen.records) > KILLS, "the stand-ins took next to nothing: this run proves nothing"
    assert not report.broken, "\n".join(report.broken)
