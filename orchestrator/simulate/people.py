"""The people of one run: the same person is met on every message, channel and policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.channels import Outcome, Refused
from orchestrator.simulate.behaviour import (
    NORMAL,
    SPREADS,
    Behaviour,
    ChannelBehaviour,
    Share,
    draw,
)
from orchestrator.simulate.tendencies import Cell, Tendency, level_of, logistic

NUMBER = {name: place for place, name in enumerate(SPREADS)}


class People:
    """
    Everybody of one run of a seed. What was learnt is uncertain, so every run has levels of its
    own, drawn within their errors.
    """

    def __init__(self, behaviour: Behaviour, seed: int, run: int) -> None:
        self._behaviour, self._seed, self._run = behaviour, seed, run
        self._levels: dict[tuple[str, Cell, float], float] = {}

    def toward(self, cell: Cell, person: str) -> ChannelBehaviour:
        """How a provider and this person behave in answer to a message."""
        general = self._behaviour.of(cell.provider, cell.channel)
        of_person = draw(self._seed, self._run, "person", person)
        of_channel = draw(self._seed, self._run, "person", person, cell.channel)

        def own(name: str, share: float) -> float:
            if not 0 < share < 1:
                return share
            tendency = self._behaviour.tendencies[name]
            place = NUMBER[name]
            leaning = tendency.leaning(person, cell.channel, of_person[place], of_channel[place])
            return logistic(self._level(name, tendency, cell, share) + leaning)

        def lagging(name: str, share: Share | None) -> Share | None:
            return None if share is None else Share(own(name, share.share), share.lag)

        delivered = lagging("delivered", general.delivered)
        return ChannelBehaviour(
            answers=tuple(answers(general, own)),
            delivered=delivered,
            failed=failing(general, delivered),
            read=lagging("read", general.read),
            clicked=lagging("clicked", general.clicked),
            replied=lagging("replied", general.replied),
            unsubscribed=lagging("unsubscribed", general.unsubscribed),
        )

    def _level(self, name: str, tendency: Tendency, cell: Cell, share: float) -> float:
        """The level of a cell in this run; of people of whom nothing is known, as assumed."""
        key = (name, cell, share)
        found = self._levels.get(key)
        if found is None:
            level = tendency.level(cell)
            if level is None:
                found = level_of(share, tendency.spread)
            else:
                (chance, *_) = draw(self._seed, self._run, "level", name, *cell)
                error = level.error * NORMAL.inv_cdf(min(max(chance, 1e-9), 1 - 1e-9))
                found = level.logit + error
            self._levels[key] = found
        return found


Own = Callable[[str, float], float]
"""A person's own chance to do something, by its name and the share of all people who do it."""


def answers(general: ChannelBehaviour, own: Own) -> Iterator[tuple[float, Outcome]]:
    """The answers that are no yes: a refusal is this person's own, the rest is chance."""
    refused = sum(share for share, outcome in general.answers if isinstance(outcome, Refused))
    factor = own("refused", refused) / refused if refused else 0.0
    for share, outcome in general.answers:
        yield share * factor if isinstance(outcome, Refused) else share, outcome


def failing(general: ChannelBehaviour, delivered: Share | None) -> Share | None:
    """What is not delivered fails as often for this person as for all."""
    failed, usual = general.failed, general.delivered
    if failed is None or delivered is None or usual is None or usual.share >= 1:
        return failed
    return Share(failed.share * (1 - delivered.share) / (1 - usual.share), failed.lag)
