"""What is wrong with the codes of a policy: those that no template prints, and those it has not."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.check.installation import Installation
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import find, place
from orchestrator.configuration.scalars import meant
from orchestrator.configuration.yaml_file import Position
from orchestrator.core.policy import Policy
from orchestrator.render import TemplateSet
from orchestrator.render.templates import Part


def lint_codes(file: PolicyFile, installation: Installation) -> None:
    """Report codes that templates ask for and the policy does not give, and the other way round."""
    policy, templates, report = file.policy, installation.templates, installation.report
    if templates is None:
        return
    printed: set[str] = set()
    whole = False
    for part in parts_of(policy, templates):
        for path in part.variables:
            if path[0] != "codes":
                continue
            if len(path) == 1:
                whole = True
            elif (name := str(path[1])) in policy.codes:
                printed.add(name)
            else:
                near = meant(name, policy.codes)
                fix = f"did you mean codes.{near}?" if near else f"add codes: {{{name}: POOL}}"
                what = f"{part.path} prints codes.{name}, and the policy gives no such code"
                at = place(file.root, "codes") if policy.codes else place(file.root, "policy")
                report.error(at, what, fix)
                return
    for name in policy.codes:
        if name not in printed and not (whole and not printed):
            at = position(file, name)
            what = f"no template of the policy prints codes.{name}, so a code is lost each time"
            report.error(at, what, f"write {{{{ codes.{name} }}}} in the template, or remove it")


def parts_of(policy: Policy, templates: TemplateSet) -> Iterator[Part]:
    """Every part of the templates that a policy may send."""
    for channel in dict.fromkeys(step.channel for step in policy.plan):
        for _, _, part in templates.written(policy.template, channel):
            yield part


def position(file: PolicyFile, name: str) -> Position:
    node = find(file.root, "codes", name)
    return node.position if node is not None else file.root.position
