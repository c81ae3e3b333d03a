"""What is wrong with the experiment of a policy, and with two that have one name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from orchestrator.check.event_types import lint_event_type
from orchestrator.check.installation import Installation
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import Report, find, place
from orchestrator.core.inside import is_inside


def variants(file: PolicyFile) -> Iterator[PolicyFile]:
    """
    The policy as each arm has it that changes its steps or its template. An arm with steps of its
    own is a file of its own: places in it are below the arm.
    """
    policy = file.policy
    for arm in policy.experiment.arms if policy.experiment is not None else ():
        changed = policy.variant(arm.name)
        below = find(file.root, "experiment", "arms", arm.name)
        if arm.hold_out or not (arm.cascade or arm.template or arm.waits):
            continue
        root = below if arm.cascade and below is not None else file.root
        yield dataclasses.replace(file, policy=changed, root=root)


def lint_experiment(file: PolicyFile, installation: Installation) -> None:
    """Report a metric that nothing measures, and a conversion that nothing can be."""
    policy, report = file.policy, installation.report
    lint_event_type(find(file.root, "convert", "event"), report)
    convert = policy.conversion
    if policy.convert is not None and convert is None:
        fix = "name the event: convert: {event: shop.order.placed}, or give the policy a goal"
        report.error(place(file.root, "convert"), "nothing says what counts as converted", fix)
    elif policy.convert is not None and convert is not None and is_inside(convert.event):
        what = f"{convert.event} is Kaskad's own: only an event from outside counts as converted"
        report.error(place(file.root, "convert"), what, "name an event that you publish")
    experiment = policy.experiment
    if experiment is None:
        return
    at = place(file.root, "experiment", "metric")
    if experiment.metric == "goal":
        if convert is None or is_inside(convert.event):
            fix = "give the policy a goal or `convert`, or write metric: clicked"
            report.error(at, "`metric: goal` measures nothing: no event is the goal", fix)
        return
    if any(arm.hold_out for arm in experiment.arms):
        what = f"who is held out never can have {experiment.metric}"
        report.warn(at, what, "write metric: goal, or remove the arm with `hold_out`")
    states = {
        state
        for arm in experiment.arms
        for step in policy.variant(arm.name).plan
        for one in installation.settings.channels.get(step.channel, ())
        for state in installation.reports(one)
    }
    if states and experiment.metric not in states:
        what = f"no provider of the policy ever reports `{experiment.metric}`"
        report.error(at, what, "write metric: goal, or use a channel that reports it")


def lint_experiment_names(files: Mapping[str, PolicyFile], report: Report) -> None:
    """Report two policies whose experiments have one name: their people would be mixed up."""
    owners: dict[str, str] = {}
    for name, file in files.items():
        experiment = file.policy.experiment
        if experiment is None:
            continue
        owner = owners.setdefault(experiment.name, name)
        if owner != name:
            what = f"the policy {owner!r} has an experiment {experiment.name!r}, too"
            at = place(file.root, "experiment", "name")
            report.error(at, what, "give one of them another name")
