"""The parts of a process are wired once, and every user of them goes through that wiring."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from orchestrator.configuration.settings import ReceiptOutage
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from tests.engine.world import World

ROOT = Path(__file__).parents[2]
WIRED = {"Engine", "Ports", "Dispatcher", "Timers"}
MINUTE = 60.0


def constructed(path: Path) -> Iterator[str]:
    """The names of ``WIRED`` that a file calls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in WIRED:
                yield name


def test_only_the_runtime_constructs_what_it_wires() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): set(names)
        for folder in ("orchestrator", "tests", "bench")
        for path in (ROOT / folder).rglob("*.py")
        if (names := list(constructed(path)))
    }
    runtime = found.pop("orchestrator/runtime/runtime.py")
    assert runtime == WIRED
    assert found == {}


async def test_a_runtime_holds_a_paid_step_while_receipts_of_the_channel_before_are_out() -> None:
    cascade = (Step("viber", wait=(("delivered", 180_000),)), Step("sms"))
    async with World(Policy("order", "v1", "shop.event", cascade)) as world:
        (message,) = (await world.publish()).messages
        await world.send(message)
        world.runtime.outages.outages = lambda now: ("viber",)  # type: ignore[method-assign]
        world.at(4 * MINUTE)
        await world.fire()
        assert (await world.message(message)).runs[-1].held_for is Reason.RECEIPT_OUTAGE


async def test_a_reload_may_stop_holding_for_an_outage() -> None:
    async with World(Policy("order", "v1", "shop.event", (Step("sms"),))) as world:
        runtime = world.runtime
        runtime.outages.outages = lambda now: ("viber",)  # type: ignore[method-assign]
        assert runtime._outages(world.now) == ("viber",)
        await runtime.replace(world.rules, {}, lambda old: True, ReceiptOutage(hold=False))
        assert runtime._outages(world.now) == ()
