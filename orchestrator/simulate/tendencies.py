"""
A tendency: how often people do something, such as read, by policy and from person to person.

The chance that a person does it on one message is ``logistic(level + person·z + channel·w)``.
``level`` belongs to a provider and a policy, ``z`` to the person on every channel (who reads, reads
everywhere), ``w`` to the person on one channel (who has no Viber, never has it). ``z`` and ``w``
are standard normal on a few nodes of equal weight. This is a mixed-effects logistic model. It is
fitted by expectation and maximisation (Bock and Aitkin 1981), so that a channel which is only tried
with people who did not read another one is not taken for a channel that nobody reads.

Levels are shrunk to those of the provider and class, and these to the channel's (normal hierarchy
of empirical Bayes, Efron and Morris 1975): few attempts say little, many say all.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, islice
from statistics import NormalDist
from typing import NamedTuple

NORMAL = NormalDist()
PERSONS = tuple(NORMAL.inv_cdf((place + 0.5) / 7) for place in range(7))
CHANNELS = tuple(NORMAL.inv_cdf((place + 0.5) / 9) for place in range(9))
NODES = tuple((z, w) for z in PERSONS for w in CHANNELS)
ROUNDS = 30
ROUNDS_LAST = 4
SETTLED = 0.003
"""Smaller steps, in logits, end a fit."""
PEOPLE_MAX = 3_000
"""Of so many people the spread is learnt, of all of them the levels."""
SPREAD_ERROR = 1.5
"""How far, in logits, a spread may well lie from the one that is assumed."""
LEVEL_ERROR = 1.5
"""The same for a channel's level."""
CELL_SPREAD = 0.5
"""How far levels lie apart by policy, before anything is seen; it counts as two levels."""
STEP_MAX = 1.0
LOGIT_MAX = 12.0


class Cell(NamedTuple):
    """The part of all attempts that has a level of its own."""

    provider: str
    policy: str
    message_class: str
    channel: str


class Spread(NamedTuple):
    """How much people differ, in logits: on every channel alike, and on one of them."""

    person: float
    channel: float


Trials = dict[str, dict[Cell, tuple[int, int]]]
"""By person and cell: how often it could have been done, and how often it was."""
Pattern = tuple[tuple[int, int, int], ...]
"""One person's trials on one channel: numbers of cells, trials, successes."""


@dataclass(frozen=True, slots=True)
class Level:
    """A level in logits, and its standard error."""

    logit: float
    error: float


def logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0


def logit(share: float) -> float:
    share = min(max(share, 1e-5), 1 - 1e-5)
    return math.log(share / (1 - share))


@cache
def level_of(share: float, spread: Spread) -> float:
    """The level at which a share of all people does it."""
    low, high = -40.0, 40.0
    for _ in range(50):
        middle = (low + high) / 2
        shares = (logistic(middle + spread.person * z + spread.channel * w) for z, w in NODES)
        if sum(shares) / len(NODES) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@dataclass(slots=True)
class Tendency:
    """
    A tendency as fitted. ``known`` has what each person did, as numbers of ``patterns`` by channel.
    """

    spread: Spread
    cells: dict[Cell, Level] = field(default_factory=dict)
    classes: dict[tuple[str, str], Level] = field(default_factory=dict)
    channels: dict[str, Level] = field(default_factory=dict)
    known: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    patterns: list[Pattern] = field(default_factory=list)
    _likelihoods: dict[int, list[list[float]]] = field(default_factory=dict)
    _places: dict[tuple[tuple[str, int], ...], list[float]] = field(default_factory=dict)
    _chances: list[list[tuple[float, float]]] = field(default_factory=list)

    def level(self, cell: Cell) -> Level | None:
        """The nearest level that is known: of the cell, its provider and class, its channel."""
        return (
            self.cells.get(cell)
            or self.classes.get((cell.provider, cell.message_class))
            or self.channels.get(cell.channel)
        )

    def leaning(self, person: str, channel: str, of_person: float, of_channel: float) -> float:
        """
        What a person's own tendency adds to a level. Two chances choose among what fits to what
        this person did before.
        """
        known = self.known.get(person, ())
        pattern = next((pattern for name, pattern in known if name == channel), None)
        place = chosen(self._person_places(known), of_person) if known else int(of_person * 7)
        if pattern is None:
            inner = int(of_channel * len(CHANNELS))
        else:
            inner = chosen(list(accumulate(self._likelihood(pattern)[place])), of_channel)
        return self.spread.person * PERSONS[place] + self.spread.channel * CHANNELS[inner]

    def _person_places(self, known: tuple[tuple[str, int], ...]) -> list[float]:
        found = self._places.get(known)
        if found is None:
            weights = [1.0] * len(PERSONS)
            for _, pattern in known:
                inner = self._likelihood(pattern)
                weights = [one * sum(row) for one, row in zip(weights, inner, strict=True)]
            found = self._places[known] = list(accumulate(weights))
        return found

    def _likelihood(self, pattern: int) -> list[list[float]]:
        found = self._likelihoods.get(pattern)
        if found is None:
            if not self._chances:
                levels = self.cells.values()
                self._chances = [chances_at(level.logit, self.spread) for level in levels]
            found = likelihood(self.patterns[pattern], self._chances)
            self._likelihoods[pattern] = found
        return found


def chosen(cumulative: Sequence[float], chance: float) -> int:
    return min(bisect_right(cumulative, chance * cumulative[-1]), len(cumulative) - 1)


def chances_at(level: float, spread: Spread) -> list[tuple[float, float]]:
    """The logarithms of doing it and of not doing it, at every node."""
    found = []
    for z, w in NODES:
        value = level + spread.person * z + spread.channel * w
        found.append((-softplus(-value), -softplus(value)))
    return found


def softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def likelihood(pattern: Pattern, chances: list[list[tuple[float, float]]]) -> list[list[float]]:
    """How likely a pattern is at each node of the channel, by node of the person; at most 1."""
    totals = [
        sum(
            done * chances[cell][place][0] + (tried - done) * chances[cell][place][1]
            for cell, tried, done in pattern
        )
        for place in range(len(NODES))
    ]
    best, width = max(totals), len(CHANNELS)  # a thousand trials would vanish in a double
    return [
        [math.exp(total - best) for total in totals[first : first + width]]
        for first in range(0, len(NODES), width)
    ]


def fit_tendency(
    trials: Trials, usual: Mapping[str, float | None], spread: Spread, personal: bool = True
) -> Tendency:
    """
    The tendency that trials show. ``usual`` are the shares that are assumed of channels, None where
    nothing is; ``spread`` is what is assumed of people, and all there is if not ``personal``.
    """
    fitting = Fitting(trials, usual, spread)
    every = max(1, len(trials) // PEOPLE_MAX)
    fitting.learn(every, ROUNDS, personal)
    if every > 1:
        fitting.learn(1, ROUNDS_LAST, personal=False)
    return fitting.tendency()


class Fitting:
    """
    One fit by expectation and maximisation.
    """

    def __init__(self, trials: Trials, usual: Mapping[str, float | None], spread: Spread) -> None:
        self._assumed, self._spread = spread, spread
        self._cells = list(dict.fromkeys(cell for cells in trials.values() for cell in cells))
        number = {cell: place for place, cell in enumerate(self._cells)}
        self._patterns: dict[Pattern, int] = {}
        self._known = {
            person: tuple(self._numbered(cells, number)) for person, cells in trials.items()
        }
        self._people: Counter[tuple[tuple[str, int], ...]] = Counter()
        self._used: list[tuple[int, Pattern]] = []
        totals = {cell: [0, 0] for cell in self._cells}
        for cells in trials.values():
            for cell, (tried, done) in cells.items():
                totals[cell][0] += tried
                totals[cell][1] += done
        self._centre = {
            channel: centre(
                usual.get(channel), [totals[c] for c in self._cells if c.channel == channel], spread
            )
            for channel in dict.fromkeys(cell.channel for cell in self._cells)
        }
        self._levels = [self._centre[cell.channel] for cell in self._cells]
        self._errors = [LEVEL_ERROR] * len(self._cells)
        self._channels = {name: Level(at, LEVEL_ERROR) for name, at in self._centre.items()}
        self._classes: dict[tuple[str, str], Level] = {}
        self._apart = CELL_SPREAD**2
        self._counts: list[list[list[float]]] = []

    def _numbered(
        self, cells: Mapping[Cell, tuple[int, int]], number: Mapping[Cell, int]
    ) -> Iterable[tuple[str, int]]:
        by_channel: dict[str, list[tuple[int, int, int]]] = {}
        for cell, (tried, done) in cells.items():
            by_channel.setdefault(cell.channel, []).append((number[cell], tried, done))
        for channel, rows in sorted(by_channel.items()):
            yield channel, self._patterns.setdefault(tuple(sorted(rows)), len(self._patterns))

    def learn(self, every: int, rounds: int, personal: bool) -> None:
        """
        Fit to one person of ``every``, in so many rounds at most; the spread, too, if ``personal``.
        """
        self._people = Counter(islice(self._known.values(), 0, None, every))
        used = {pattern for known in self._people for _, pattern in known}
        self._used = [(number, one) for one, number in self._patterns.items() if number in used]
        for _ in range(rounds):
            before = (*self._levels, *self._spread)
            self._expect()
            self._maximise(personal)
            after = (*self._levels, *self._spread)
            if max(abs(new - old) for old, new in zip(before, after, strict=True)) < SETTLED:
                return

    def _expect(self) -> None:
        """Count trials and successes by cell and node, as likely as people stand there."""
        chances = [chances_at(level, self._spread) for level in self._levels]
        likelihoods = {number: likelihood(one, chances) for number, one in self._used}
        sums = {number: [sum(row) for row in rows] for number, rows in likelihoods.items()}
        weights = self._weights(sums)
        self._counts = [[[0.0, 0.0] for _ in NODES] for _ in self._cells]
        for number, trials in self._used:
            masses = [
                weight * inner / (total or 1.0)
                for weight, total, row in zip(
                    weights[number], sums[number], likelihoods[number], strict=True
                )
                for inner in row
            ]
            for cell, tried, done in trials:
                for count, mass in zip(self._counts[cell], masses, strict=True):
                    count[0] += tried * mass
                    count[1] += done * mass

    def _weights(self, sums: Mapping[int, Sequence[float]]) -> dict[int, list[float]]:
        """How many people with a pattern stand at each node of the person."""
        weights = {number: [0.0] * len(PERSONS) for number in sums}
        for known, people in self._people.items():
            stands = [1.0] * len(PERSONS)
            for _, pattern in known:
                stands = [one * here for one, here in zip(stands, sums[pattern], strict=True)]
            total = sum(stands) or 1.0
            for _, pattern in known:
                row = weights[pattern]
                for place, one in enumerate(stands):
                    row[place] += people * one / total
        return weights

    def _maximise(self, personal: bool) -> None:
        """Move levels and spread to where what was counted is most likely."""
        for place, cell in enumerate(self._cells):
            parent = self._classes.get((cell.provider, cell.message_class))
            towards = parent.logit if parent else self._channels[cell.channel].logit
            slope, bend = (towards - self._levels[place]) / self._apart, 1 / self._apart
            for (z, w), (tried, done) in zip(NODES, self._counts[place], strict=True):
                chance = logistic(
                    self._levels[place] + self._spread.person * z + self._spread.channel * w
                )
                slope += done - tried * chance
                bend += tried * chance * (1 - chance)
            self._levels[place] = within(
                self._levels[place] + within(slope / bend, STEP_MAX), LOGIT_MAX
            )
            self._errors[place] = bend**-0.5
        if personal:
            self._spread = Spread(*self._widened())
        self._gather()

    def _widened(self) -> Iterable[float]:
        """The spread after one step of Newton's."""
        slopes = [0.0, 0.0]
        bends = [SPREAD_ERROR**-2, SPREAD_ERROR**-2]
        for place, assumed in enumerate(self._assumed):
            slopes[place] = (assumed - self._spread[place]) / SPREAD_ERROR**2
        for level, counts in zip(self._levels, self._counts, strict=True):
            for node, (tried, done) in zip(NODES, counts, strict=True):
                chance = logistic(
                    level + self._spread.person * node[0] + self._spread.channel * node[1]
                )
                for place in (0, 1):
                    slopes[place] += (done - tried * chance) * node[place]
                    bends[place] += tried * chance * (1 - chance) * node[place] ** 2
        for place, now in enumerate(self._spread):
            yield max(0.0, now + within(slopes[place] / bends[place], STEP_MAX))

    def _gather(self) -> None:
        """The levels of classes and channels, and how far apart levels lie."""
        members: dict[tuple[str, str], list[int]] = {}
        for place, cell in enumerate(self._cells):
            members.setdefault((cell.provider, cell.message_class), []).append(place)
        off = 2 * CELL_SPREAD**2
        count = 2
        by_channel: dict[str, list[Level]] = {}
        for key, places in members.items():
            channel = self._cells[places[0]].channel
            weight = 1 / self._apart
            total = len(places) * weight + weight
            above = self._channels[channel].logit
            middle = (
                sum(self._levels[place] for place in places) * weight + above * weight
            ) / total
            self._classes[key] = Level(middle, total**-0.5)
            by_channel.setdefault(channel, []).append(self._classes[key])
            for place in places:
                off += (self._levels[place] - middle) ** 2 + self._errors[place] ** 2
                count += 1
        for channel, levels in by_channel.items():
            weight, own = 1 / self._apart, LEVEL_ERROR**-2
            total = len(levels) * weight + own
            middle = (
                sum(one.logit for one in levels) * weight + self._centre[channel] * own
            ) / total
            self._channels[channel] = Level(middle, total**-0.5)
        self._apart = off / count

    def tendency(self) -> Tendency:
        """What was found; a level that stands for unseen ones is as uncertain as these differ."""
        cells = {
            cell: Level(level, error)
            for cell, level, error in zip(self._cells, self._levels, self._errors, strict=True)
        }
        classes = {key: wider(one, self._apart) for key, one in self._classes.items()}
        channels = {key: wider(one, 2 * self._apart) for key, one in self._channels.items()}
        return Tendency(self._spread, cells, classes, channels, self._known, list(self._patterns))


def wider(level: Level, variance: float) -> Level:
    return Level(level.logit, math.sqrt(level.error**2 + variance))


def within(value: float, most: float) -> float:
    return max(-most, min(most, value))


def centre(usual: float | None, totals: Sequence[Sequence[int]], spread: Spread) -> float:
    """The level that a channel has before its attempts are looked at."""
    if usual is not None and 0 < usual < 1:
        return level_of(usual, spread)
    tried, done = (sum(column) for column in zip(*totals, strict=True))
    return level_of((done + 0.5) / (tried + 1), spread)
