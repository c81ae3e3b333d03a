"""What strangers have written stands in a terminal as it is read, and commands nothing there."""

from __future__ import annotations

import pytest

from orchestrator.channels import Inbound
from orchestrator.cli.client import table
from orchestrator.core.policy import Policy, Step
from orchestrator.engine.commands import RecordInbound
from orchestrator.explain import as_text, print_rich
from tests.engine.world import World
from tests.explain.tales import explain, keep

ASKS = Policy("asks", "v1", "shop.event", (Step("viber", wait=(("replied", 3_600_000),)),))
COMMANDS = {
    "clear the screen": ("a\x1b[2Jb", "a\\x1b[2Jb"),
    "rename the window": ("\x1b]0;root\x07", "\\x1b]0;root\\x07"),
    "the same in one byte": ("\x9b2J", "\\x9b2J"),
    "add a line": ("ok\n\nDecided again", "ok\\n\\nDecided again"),
    "overwrite the line": ("bad\rgood", "bad\\rgood"),
    "turn words round": ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_an_answer_commands_no_terminal(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written, shown = COMMANDS[name]
    async with World(ASKS) as world:
        await keep(world, ASKS)
        (id,) = (await world.publish()).messages
        await world.send(id)
        inbound = Inbound(kind="phone", value="+380501234567", text=written, id="r1")
        await world.engine.submit(RecordInbound("viber_a", "viber", inbound))
        document = await explain(world, id)
    text = as_text(document)
    print_rich(document)
    table([[written]], ["what"])
    printed = capsys.readouterr().out
    for one in (text, printed):
        assert written not in one
        assert "".join(shown.split()) in "".join(one.split())


async def test_other_letters_and_joined_signs_are_shown_as_they_are() -> None:
    words = "Ґанок, 👩‍💻 عربى 1 250,00"
    async with World(ASKS) as world:
        await keep(world, ASKS)
        (id,) = (await world.publish()).messages
        await world.send(id)
        inbound = Inbound(kind="phone", value="+380501234567", text=words, id="r1")
        await world.engine.submit(RecordInbound("viber_a", "viber", inbound))
        assert f"“{words}”" in as_text(await explain(world, id))
