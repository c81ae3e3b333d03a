"""
An experiment and its people: what it is, which arms it has, how many people met each.

What it is comes from the policy that the configuration has, or else from the newest stored version
that messages of its arms had, so an experiment that has ended still has its report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from orchestrator.configuration.policy_file import policy_from_document
from orchestrator.core.policy import Experiment, Policy
from orchestrator.primitives.evidence import ArmCounts, ExperimentResult, result_of
from orchestrator.reports.building import EVER, WHOLE, Source, Where
from orchestrator.reports.unknown import UnknownName

CONTROL = "control"
"""The arm that others are compared with, if one has this name."""


@dataclass(frozen=True, slots=True)
class CountedExperiment:
    """
    An experiment and its people by arm. ``experiment`` is None if no stored version has it any
    more, and ``event`` is what its goal is. ``policies`` and ``versions`` are those of its
    messages; ``steady``: all of them had the same arms, weights and metric, and nobody has an arm
    that is none of these.
    """

    name: str
    counts: Mapping[str, ArmCounts]
    control: str
    configured: bool = False
    experiment: Experiment | None = None
    event: str = ""
    policies: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    steady: bool = False

    @property
    def held_out(self) -> frozenset[str]:
        """The arms whose people get nothing."""
        arms = self.experiment.arms if self.experiment is not None else ()
        return frozenset(arm.name for arm in arms if arm.hold_out)

    @property
    def weights(self) -> dict[str, int]:
        arms = self.experiment.arms if self.experiment is not None else ()
        return {arm.name: arm.weight for arm in arms}

    @property
    def compared(self) -> dict[str, ArmCounts]:
        """
        The arms that can succeed, the control last: who gets nothing can neither click nor reply.
        """
        measured = self.experiment is None or self.experiment.metric == "goal"
        found = {
            name: counts
            for name, counts in self.counts.items()
            if measured or name not in self.held_out
        }
        if self.control in found:
            found[self.control] = found.pop(self.control)
        return found

    @property
    def result(self) -> ExperimentResult:
        """What the people prove; the sample ratio counts where the weights alone gave the arms."""
        fixed = self.experiment is not None and self.experiment.allocate == "fixed"
        return result_of(self.compared, self.weights if self.steady and fixed else None)


async def find_counted(source: Source, name: str) -> CountedExperiment:
    """The experiment of this name. Raises ``UnknownName``."""
    exposures = await source.store.exposures()
    current = {
        policy.experiment.name: policy
        for policy in source.policies.values()
        if policy.experiment is not None
    }
    counts = {arm: ArmCounts(*row) for (one, arm), row in exposures.items() if one == name}
    if name not in current and not counts:
        raise UnknownName("experiment", name, {*current, *(one for one, _ in exposures)})
    known = await versions_with(source, name, counts)
    if name in current:
        known.append(current[name])
    if not known:
        ordered = dict(sorted(counts.items()))
        return CountedExperiment(name, ordered, control_of(ordered, None))
    found, convert = known[-1].experiment, known[-1].conversion
    assert found is not None
    arms = [arm.name for arm in found.arms]
    gone = sorted(counts.keys() - set(arms))
    ordered = {arm: counts.get(arm, ArmCounts(0, 0)) for arm in (*arms, *gone)}
    return CountedExperiment(
        name,
        ordered,
        control_of(ordered, found),
        name in current,
        found,
        convert.event if convert is not None else "",
        tuple(sorted({one.name for one in known})),
        tuple(sorted({one.version for one in known})),
        not gone and all(same(one.experiment, found) for one in known),
    )


async def versions_with(source: Source, name: str, arms: Collection[str]) -> list[Policy]:
    """The versions of policies with this experiment that messages had, the newest last."""
    where: Where = {"journey": ("",), **WHOLE, "arm": tuple(arms)}
    rows = await source.store.counts(*EVER, ("day", "policy", "version"), where) if arms else []
    used = {(policy, version): day for day, policy, version in sorted(row.group for row in rows)}
    found = []
    for policy, version in sorted(used, key=lambda one: used[one]):
        document = await source.store.version("policy", policy, version)
        stored = policy_from_document(dict(document["policy"])) if document is not None else None
        if stored is not None and stored.experiment is not None and stored.experiment.name == name:
            found.append(stored)
    return found


def same(one: Experiment | None, other: Experiment) -> bool:
    """Whether two versions of an experiment compare the same, in whatever order of arms."""
    if one is None:
        return False
    own, others = ({arm.name: arm for arm in each.arms} for each in (one, other))
    rules = (one.metric, one.within_ms, one.allocate)
    return own == others and rules == (other.metric, other.within_ms, other.allocate)


def control_of(arms: Iterable[str], found: Experiment | None) -> str:
    """The arm named ``control``, or else the first one that sends."""
    names = list(arms)
    sending = [arm.name for arm in found.arms if not arm.hold_out] if found is not None else []
    return CONTROL if CONTROL in names else [*sending, *names][0]
