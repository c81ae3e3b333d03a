"""What a batch loads before it decides, and while it does."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import Command
from orchestrator.engine.handlers import HANDLERS, ask_for_addresses
from orchestrator.engine.handlers.inside import ask_for_people, follow_all
from orchestrator.engine.needs import Needs
from orchestrator.engine.pace import Pace
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.stores.port import Unit
from orchestrator.stores.rows import WantedAddresses


async def load(
    unit: Unit, needs: Needs, commands: Sequence[Command], pace: Pace
) -> tuple[UnitOfWork, int]:
    """
    Everything that the batch touches, in two stages (see ``needs``); and for how many of the
    commands, if the second one took long.
    """
    for command in commands:
        HANDLERS[type(command)].needs(needs, command)
    loaded = await unit.load(needs.rows)
    if needs.rules.inside_goals:
        # whose messages may end is only known now; their recipients are locked already
        whose = {row.message.recipient for row in loaded.messages.values()}
        needs.rows.live_of |= needs.rows.recipients | whose
        loaded = await unit.load(needs.rows)
    work = UnitOfWork(loaded, needs.rows, needs.address_hash)
    pace.begin()
    count = 0
    for command in commands:
        await ask_for_addresses(needs, command, work, pace)
        count += 1
        if pace.over:
            break
    if needs.rules.inside:
        ask_for_people(needs, work)
    work.take_addresses(await unit.load_addresses(needs.addresses), needs.addresses)
    return work, count


async def follow(unit: Unit, context: BatchContext, pace: Pace) -> None:
    """
    Decide what follows from the inside events of the command under way. Their dedupe windows are
    loaded late: whose they are is locked since the first stage.
    """
    for windows in follow_all(context):
        late = {key for key in windows if not context.work.dedupes.asked_for(key)}
        if late:
            loaded = await unit.load_addresses(WantedAddresses(dedupes=late))
            context.work.dedupes.add(loaded.dedupes, late)
        await pace.pause()
