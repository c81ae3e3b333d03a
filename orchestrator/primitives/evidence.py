"""
What the counts of an experiment's arms prove.

Looking early is allowed: intervals and tests here hold at every look together, not at one look that
was planned. The price is that they are wider than those of a textbook.

* A difference of two rates has the interval of the mixture sequential probability ratio test
  (Robbins 1970; Johari, Pekelis and Walsh 2015), for a normal mixture of standard deviation τ over
  the true difference.
* The sample ratio is tested by the Bayes factor of a Dirichlet-multinomial against the weights
  (Lindon and Malek 2022), which is always valid, too.
* The chance of being best is an integral over independent beta posteriors from a flat prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

ALPHA = 0.05
"""How often an interval may miss, over all looks together."""
TAU_SHARE = 0.1
"""τ as a share of the standard deviation of one person's success."""
EXPOSED_MIN = 50
"""Below it, a normal distribution says little of a rate."""
SUCCEEDED_MIN = 5
"""The same for people with and without success in both arms together."""
RATIO_CONCENTRATION = 200.0
RATIO_EVIDENCE = 1_000.0
"""The sample ratio is off where the data are so many times likelier under another one."""
GRID = 2_000
WIDE = 8.0
"""Standard deviations to both sides that the integral looks at."""


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """People who have met an arm, and those of them with whom it reached what is measured."""

    exposed: int
    succeeded: int

    @property
    def rate(self) -> float:
        """The share of successes, 0 of nobody."""
        return self.succeeded / self.exposed if self.exposed else 0.0


@dataclass(frozen=True, slots=True)
class AnytimeInterval:
    """An estimate between two bounds that hold at every look."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rate of ``arm`` less that of ``other``."""

    arm: str
    other: str
    difference: AnytimeInterval


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """
    ``winner`` is the arm that is better than each other one; None if that is not shown, or if the
    sample ratio is off (``ratio_evidence`` of ``RATIO_EVIDENCE`` or more): then people did not get
    the arms that the weights say, and no number is to be trusted.
    """

    rates: Mapping[str, AnytimeInterval]
    best: Mapping[str, float]
    comparisons: tuple[Comparison, ...]
    ratio_evidence: float
    winner: str | None

    @property
    def ratio_is_off(self) -> bool:
        """Whether the shares of the arms are not those of their weights."""
        return self.ratio_evidence >= RATIO_EVIDENCE


def result_of(
    arms: Mapping[str, ArmCounts], weights: Mapping[str, float] | None, alpha: float = ALPHA
) -> ExperimentResult:
    """
    What an experiment shows by now. ``weights`` are those of its arms; None if they change as it
    goes (thompson), so that no ratio is expected.
    """
    pairs = list(combinations(arms, 2))
    share = alpha / max(1, len(pairs))
    comparisons = tuple(
        Comparison(one, other, difference(arms[one], arms[other], share)) for one, other in pairs
    )
    evidence = 0.0
    if weights is not None:
        evidence = ratio_evidence([arms[name].exposed for name in arms], [weights[n] for n in arms])
    winner = None
    if evidence < RATIO_EVIDENCE:
        winner = next((name for name in arms if beats_all(name, comparisons)), None)
    return ExperimentResult(
        {name: rate_interval(counts, alpha) for name, counts in arms.items()},
        chances_of_being_best(arms),
        comparisons,
        evidence,
        winner,
    )


def beats_all(arm: str, comparisons: Sequence[Comparison]) -> bool:
    """Whether an arm is shown to be better than every other one."""
    own = [one for one in comparisons if arm in (one.arm, one.other)]
    return bool(own) and all(
        one.difference.low > 0 if one.arm == arm else one.difference.high < 0 for one in own
    )


def rate_interval(counts: ArmCounts, alpha: float = ALPHA) -> AnytimeInterval:
    """The rate of an arm."""
    if counts.exposed == 0:
        return AnytimeInterval(0.0, 0.0, 1.0)
    smooth = (counts.succeeded + 1) / (counts.exposed + 2)
    spread = smooth * (1 - smooth)
    half = half_width(spread / counts.exposed, spread, alpha)
    rate = counts.rate
    return AnytimeInterval(rate, max(0.0, rate - half), min(1.0, rate + half))


def difference(arm: ArmCounts, other: ArmCounts, alpha: float = ALPHA) -> AnytimeInterval:
    """The rate of an arm less that of another; from -1 to 1 while there are too few people."""
    value = arm.rate - other.rate
    if too_few(arm, other):
        return AnytimeInterval(value, -1.0, 1.0)
    spreads = []
    for one in (arm, other):
        smooth = (one.succeeded + 1) / (one.exposed + 2)
        spreads.append(smooth * (1 - smooth))
    variance = spreads[0] / arm.exposed + spreads[1] / other.exposed
    half = half_width(variance, sum(spreads) / 2, alpha)
    return AnytimeInterval(value, max(-1.0, value - half), min(1.0, value + half))


def too_few(arm: ArmCounts, other: ArmCounts) -> bool:
    """Whether two arms have too few people to be compared."""
    succeeded = arm.succeeded + other.succeeded
    failed = arm.exposed + other.exposed - succeeded
    return min(arm.exposed, other.exposed) < EXPOSED_MIN or min(succeeded, failed) < SUCCEEDED_MIN


def half_width(variance: float, spread: float, alpha: float) -> float:
    """
    Half of the interval of an estimate of this variance; ``spread`` is the variance of one person.
    """
    tau2 = TAU_SHARE**2 * spread
    ratio = (variance + tau2) / variance
    return math.sqrt(variance * (variance + tau2) / tau2 * (math.log(ratio) - 2 * math.log(alpha)))


def ratio_evidence(exposed: Sequence[int], weights: Sequence[float]) -> float:
    """How many times likelier these numbers are under some other ratio than under the weights."""
    total, people = sum(weights), sum(exposed)
    if people == 0 or len(exposed) < 2:
        return 0.0
    shares = [weight / total for weight in weights]
    log = math.lgamma(RATIO_CONCENTRATION) - math.lgamma(RATIO_CONCENTRATION + people)
    for count, share in zip(exposed, shares, strict=True):
        before = RATIO_CONCENTRATION * share
        log += math.lgamma(before + count) - math.lgamma(before) - count * math.log(share)
    return math.exp(min(log, 700.0))


def chances_of_being_best(arms: Mapping[str, ArmCounts]) -> dict[str, float]:
    """The chance that each arm has the highest rate, by its counts alone."""
    if len(arms) < 2:
        return dict.fromkeys(arms, 1.0)
    shapes = {
        name: (1 + one.succeeded, 1 + max(0, one.exposed - one.succeeded))
        for name, one in arms.items()
    }
    bounds = [around(*shape) for shape in shapes.values()]
    low, high = min(one for one, _ in bounds), max(one for _, one in bounds)
    step = (high - low) / GRID
    points = [low + (place + 0.5) * step for place in range(GRID)]
    density = {name: masses(points, *shape) for name, shape in shapes.items()}
    below: dict[str, list[float]] = {}
    for name, mass in density.items():
        total, sums = 0.0, []
        for one in mass:
            sums.append(total + one / 2)
            total += one
        below[name] = sums
    chances = {
        name: sum(
            mass * math.prod(below[other][place] for other in arms if other != name)
            for place, mass in enumerate(density[name])
        )
        for name in arms
    }
    whole = sum(chances.values())
    return {name: chance / whole for name, chance in chances.items()}


def around(alpha: float, beta: float) -> tuple[float, float]:
    """Where nearly all of a beta distribution lies."""
    mean = alpha / (alpha + beta)
    deviation = math.sqrt(mean * (1 - mean) / (alpha + beta + 1))
    return max(0.0, mean - WIDE * deviation), min(1.0, mean + WIDE * deviation)


def masses(points: Sequence[float], alpha: float, beta: float) -> list[float]:
    """A beta distribution on a grid, in shares that add up to 1."""
    logs = [(alpha - 1) * math.log(x) + (beta - 1) * math.log1p(-x) for x in points]
    most = max(logs)
    found = [math.exp(one - most) for one in logs]
    whole = sum(found)
    return [one / whole for one in found]
