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
from orchestrator.demo.run import everything, farewell, introduce
from orchestrator.demo.show import live
from orchestrator.demo.stack import EVENT, DemoStack

COLUMNS = 80
SCRIPT = shlex.quote(str(Path(sys.executable).with_name("kaskad")))


def printed(stack: DemoStack, messages: Sequence[Message], *, keep: bool) -> str:
    console = Console(file=io.StringIO(), width=COLUMNS)
    introduce(console, stack)
    farewell(console, stack, messages, keep)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def frame(stack: DemoStack) -> str:
    """The live view once something was sent."""
    messages: Sequence[Message] = ()
    while not any(message.attempts for message in messages):
        await asyncio.sleep(0.05)
        messages = await everything(stack)
    console = Console(file=io.StringIO(), width=4 * COLUMNS)  # nothing is folded or cut off here
    console.print(live(messages, len(messages), stack.clock.now(), 60.0, COLUMNS))
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
            messages = await everything(stack)
            text = printed(stack, messages, keep=True)
            explain, send = re.findall(r"^    (\S+/kaskad (?:[^\n\\]|\\\n)+)$", text, re.M)
            explained, sent = await asyncio.gather(run(explain), run(send))
            stack.command = ".venv/bin/kaskad"
            shown = [printed(stack, messages, keep=keep) for keep in (True, False)]
            shown.append(await frame(stack))
    assert explained[0] == sent[0] == 0, (explained, sent)
    assert f"Message {accepted['messages'][0]}\n" in explained[1]
    assert sent[1].startswith("accepted ")
    assert f"\n    {stack.sandbox.url}/\n" in text
    assert all(len(line) <= COLUMNS for one in shown for line in one.splitlines())
