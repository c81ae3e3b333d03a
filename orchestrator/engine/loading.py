"""What a batch loads before it decides, and while it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from orchestrator.core.policy import Policy
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.codes import codes_wanted
from orchestrator.engine.commands import Command
from orchestrator.engine.free_codes import FreeCodes
from orchestrator.engine.handlers import HANDLERS, ask_for_addresses
from orchestrator.engine.handlers.inside import ask_for_people, follow_all
from orchestrator.engine.handlers.journeys import ask_for_journeys
from orchestrator.engine.needs import Needs
from orchestrator.engine.not_loaded import NotLoaded
from orchestrator.engine.pace import Pace
from orchestrator.engine.unit_of_work import UnitOfWork
from orchestrator.history.journeys import decode_run
from orchestrator.recipients.exposures import awaiting
from orchestrator.stores.port import Unit
from orchestrator.stores.rows import Loaded, Wanted, WantedAddresses

NOTHING = Wanted()
ROUNDS_MAX = 4
"""People bring messages, these bring journeys, and these bring messages: the fourth finds none."""

PolicyOf = Callable[[str, str], Awaitable[Policy]]
"""The policy of a name and version."""


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
    await load_connected(unit, needs, loaded)
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
    ask_for_journeys(needs, work)
    work.take_addresses(await unit.load_addresses(needs.addresses), needs.addresses)
    if needs.rules.with_codes and (wanted := codes_wanted(needs.rules, commands[:count])):
        work.codes = FreeCodes(await unit.load_codes(wanted), wanted)
    return work, count


async def load_connected(unit: Unit, needs: Needs, loaded: Loaded) -> None:
    """
    Load what is only known now: whose messages and journeys may end by what happens inside, the
    journeys that sent messages, and the messages that journeys have under way. All of them belong
    to recipients that are locked already.
    """
    for _ in range(ROUNDS_MAX):
        more = connected(needs, loaded)
        if more is None:
            return
        found = await unit.load(more)
        loaded.recipients.update(found.recipients)
        for name in ("messages", "journeys", "live_of", "journeys_of"):
            getattr(loaded, name).update(getattr(found, name))
            getattr(needs.rows, name).update(getattr(more, name))


def connected(needs: Needs, loaded: Loaded) -> Wanted | None:
    """What is still to be loaded; None if nothing is."""
    rules, asked, messages = needs.rules, needs.rows, loaded.messages.values()
    senders = {row.message.journey for row in messages if row.message.journey is not None}
    if not (
        senders
        or needs.converting
        or loaded.journeys
        or rules.inside_goals
        or rules.inside_journeys
    ):
        return None
    more = Wanted(journeys=senders - asked.journeys - loaded.journeys.keys())
    runs = [decode_run(row.state) for row in loaded.journeys.values() if row.finished_at is None]
    # a journey may publish an event, in whatever version it runs
    people = {run.recipient for run in runs}
    everybody = asked.recipients.union(people, (row.message.recipient for row in messages))
    if rules.goals:
        more.live_of = (everybody if rules.inside_goals else people) - asked.live_of
    if rules.journey_events or rules.journeys_by_event:
        more.journeys_of = (everybody if rules.inside_journeys else people) - asked.journeys_of
    more.messages = (
        {id for run in runs for id in run.open} - asked.messages - loaded.messages.keys()
    )
    for recipient, type, at in needs.converting:
        found = set(awaiting(loaded.recipients.get(recipient, {}), type, at))
        more.messages |= found - asked.messages - loaded.messages.keys()
    return more if more != NOTHING else None


async def follow(
    unit: Unit, context: BatchContext, command: Command, pace: Pace, policy: PolicyOf
) -> None:
    """
    Decide what follows from the inside events of the command under way. What they look up by keys
    is loaded late: whose it is is locked since the first stage.
    """
    try:
        for wanted in follow_all(context):
            await load_late(unit, context, wanted, policy)
            await pace.pause()
    except NotLoaded as error:
        raise error.by(command) from None


async def load_late(
    unit: Unit, context: BatchContext, wanted: WantedAddresses, policy: PolicyOf
) -> None:
    """Load the windows, digests and keys of journeys that nobody asked for before."""
    work = context.work
    late = WantedAddresses(
        dedupes={key for key in wanted.dedupes if not work.dedupes.asked_for(key)},
        digests={key for key in wanted.digests if not work.digests.asked_for(key)},
        entered={key for key in wanted.entered if not work.entered.asked_for(key)},
    )
    if late.dedupes or late.digests or late.entered:
        loaded = await unit.load_addresses(late)
        work.take_late(loaded, late)
        for row in loaded.digests.values():
            version = (row.message.policy, row.message.policy_version)
            if version not in context.policies:
                context.policies[version] = await policy(*version)
