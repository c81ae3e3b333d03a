"""The commands that the demonstration prints work as they are printed, and fit 80 columns."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from orchestrator.core.message import Message
from orchestrator.demo.run import all_journeys, everything, farewell, introduce
from orchestrator.demo.show import live
from orchestrator.demo.stack import EVENT, DemoStack
from orchestrator.stores.journey_rows import JourneyRow

COLUMNS = 80
GOAL = {
    **EVENT,
    "id": "demo-2",
    "type": "app.goal.started",
    "data": {"goal_id": "g-1", "weekly_km": 6, "recipient": {"id": "user-42"}},
}
SCRIPT = shlex.quote(str(Path(sys.executable).with_name("kaskad")))


def printed(
    stack: DemoStack, messages: Sequence[Message], journeys: Sequence[JourneyRow], *, keep: bool
) -> str:
    console = Console(file=io.StringIO(), width=COLUMNS)
    introduce(console, stack)
    farewell(console, stack, messages, journeys, keep)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def frame(stack: DemoStack) -> str:
    """The live view once something was sent."""
    messages: Sequence[Message] = ()
    while not any(message.attempts for message in messages):
        await asyncio.sleep(0.05)
        messages = await everything(stack)
    console = Console(file=io.StringIO(), width=4 * COLUMNS)  # nothing is folded or cut off here
    clock = "day 12, 09:37 UTC, idle time is skipped"
    console.print(live(messages, await all_journeys(stack), len(messages), clock, COLUMNS))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


async def run(command: str) -> tuple[int | None, str]:
    """A command in another terminal: its exit code and all that it prints."""
    process = await asyncio.create_subprocess_shell(
        command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": str(COLUMNS)},
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_what_it_prints_can_be_copied_and_fits_80_columns() -> None:
    with tempfile.TemporaryDirectory(prefix="kaskad-demo-") as directory:
        async with DemoStack(Path(directory), 7, SCRIPT) as stack:
            [accepted] = await stack.publish([EVENT])
            await stack.publish([GOAL])
            messages, journeys = await everything(stack), await all_journeys(stack)
            text = printed(stack, messages, journeys, keep=True)
            commands = re.findall(r"^    (\S+/kaskad (?:[^\n\\]|\\\n)+)$", text, re.M)
            answers = await asyncio.gather(*map(run, commands))
            stack.command = ".venv/bin/kaskad"
            shown = [printed(stack, messages, journeys, keep=keep) for keep in (True, False)]
            shown.append(await frame(stack))
    assert [code for code, _ in answers] == [0] * 5, answers
    explained, way, report, experiment, sent = (said for _, said in answers)
    assert f"Message {accepted['messages'][0]}\n" in explained or "trek_welcome" in explained
    assert way.startswith("trek_running of user-42: running\n")
    assert "Journey trek_running, " in report
    assert "Experiment wishlist_tone, " in experiment
    assert sent.startswith("accepted ")
    assert f"\n    {stack.sandbox.url}/\n" in text
    assert all(len(line) <= COLUMNS for one in shown for line in one.splitlines())
