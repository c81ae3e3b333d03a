"""
Ten thousand messages through two binds to an SMSC of another project (npm ``smpp``), which asks
for pauses, cuts binds after it has taken a message, and sends receipts before its answers.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from adapters.smpp.smpp import Smpp, SmppSettings
from kaskad_testing import outgoing
from orchestrator import channels as ch

SCRIPT = Path(__file__).with_name("smsc.js")
MESSAGES = 10_000
AT_ONCE = 40
THROTTLED, CUT, EARLY = 97, 1_999, 3
"""Every 97th request is throttled, and so on: a bind is cut, a receipt comes before its answer."""


@pytest.fixture
def center(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The running SMSC: its port, and the file of what it has taken."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    install = ["npm", "install", "--silent", "--prefix", str(tmp_path), "smpp@0.5.1"]
    if subprocess.run(install, capture_output=True, check=False).returncode:
        pytest.skip("the npm package smpp cannot be installed")
    script, ledger = tmp_path / "smsc.js", tmp_path / "taken.jsonl"
    script.write_text(SCRIPT.read_text("utf-8"), "utf-8")
    how = [str(number) for number in (THROTTLED, CUT, EARLY)]
    run = ["node", str(script), *how, str(ledger)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), ledger
        finally:
            process.terminate()


@pytest.mark.verify
async def test_none_of_ten_thousand_is_lost_or_doubled(center: tuple[int, Path]) -> None:
    port, ledger = center
    own = {"host": "127.0.0.1", "port": port, "system_id": "shop", "password": "secret"}
    settings = SmppSettings.model_validate(
        {**own, "from": "Shop", "binds": 2, "window": 20, "receipt_ids": "decimal"}
    )
    adapter, receipted = Smpp(settings, "smsc"), Counter[str]()

    async def record(reports: Sequence[ch.Report]) -> None:
        for one in reports:
            assert isinstance(one, ch.Receipt) and one.provider_id is not None
            receipted[one.provider_id] += 1

    adapter.record = record
    await adapter.open()
    outcomes: dict[int, ch.Outcome] = {}
    slots = asyncio.Semaphore(AT_ONCE)

    async def send(number: int) -> None:
        async with slots:
            while True:
                outcome = await adapter.send(outgoing(content={"text": f"n={number}"}))
                if not isinstance(outcome, ch.NotSent):
                    outcomes[number] = outcome
                    return
                await asyncio.sleep(0.01)

    try:
        await asyncio.gather(*(send(number) for number in range(MESSAGES)))
    finally:
        await adapter.close()
    taken = [json.loads(line) for line in ledger.read_text("utf-8").splitlines()]
    times = Counter(int(line["text"].removeprefix("n=")) for line in taken)
    ids = {int(line["text"].removeprefix("n=")): f"{line['id']:x}" for line in taken}
    accepted = {n: one for n, one in outcomes.items() if isinstance(one, ch.Accepted)}
    unknown = {n for n, one in outcomes.items() if isinstance(one, ch.Unknown)}
    assert len(outcomes) == MESSAGES and len(accepted) + len(unknown) == MESSAGES
    assert [n for n, count in times.items() if count > 1] == []
    assert [n for n, one in accepted.items() if ids.get(n) != one.provider_id] == []
    assert unknown and len(unknown) < MESSAGES // 100
    missed = [n for n, one in accepted.items() if not receipted[one.provider_id or ""]]
    assert missed == []
