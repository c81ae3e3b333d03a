"""What is wrong with one policy among the providers, templates and conditions that there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jinja2

from orchestrator.channels.registry import channels
from orchestrator.check.installation import Installation
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import clip, find, listed, place, suggestion
from orchestrator.configuration.scalars import duration_text
from orchestrator.configuration.settings import ProviderSettings
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.policy import Step
from orchestrator.core.status import WAITABLE

DEFAULT_LOCALE = ""
WAITS_FIX = "shorten their waits, or lengthen the deadline"


@dataclass(frozen=True)
class CheckedStep:
    """A step of a policy, number ``number`` under ``key``, in an installation."""

    step: Step
    file: PolicyFile
    key: str
    number: int
    installation: Installation

    @cached_property
    def providers(self) -> tuple[ProviderSettings, ...]:
        """The well-configured providers that it may use."""
        found = self.installation.settings.channels.get(self.step.channel, ())
        names = self.step.providers
        return tuple(one for one in found if not names or one.provider in names)

    def at(self, *path: str | int) -> Position:
        """The position of something in the step, or of the step."""
        return place(self.file.root, self.key, self.number, *path)

    def error(self, path: tuple[str | int, ...], what: str, fix: str) -> None:
        self.installation.report.error(self.at(*path), what, fix)

    def warn(self, path: tuple[str | int, ...], what: str, fix: str) -> None:
        self.installation.report.warn(self.at(*path), what, fix)


def lint_policy(file: PolicyFile, installation: Installation) -> None:
    """Report everything about one policy that only shows when the whole installation is known."""
    policy, report = file.policy, installation.report
    if file.path.stem != policy.name and find(file.root, "policy") is not None:
        what = f"the policy {policy.name!r} is in a file named {file.path.name}"
        report.warn(place(file.root, "policy"), what, f"rename the file to {policy.name}.yaml")
    for node in expressions(file.root):
        lint_expression(node, installation)
    cascade, also = (
        [CheckedStep(step, file, key, number, installation) for number, step in enumerate(steps)]
        for key, steps in (("cascade", policy.cascade), ("also", policy.also))
    )
    for one in (*cascade, *also):
        lint_step(one)
    lint_order(cascade, file, installation)
    lint_deadline(cascade, file)
    if cascade:
        lint_last_step(cascade[-1])


def expressions(root: Node) -> Iterator[Node]:
    """Every expression in a policy."""
    places: list[tuple[str | int, ...]] = [
        ("trigger", "when"),
        ("dedupe", "key"),
        ("goal", "match"),
    ]
    for key in ("cascade", "also"):
        steps = find(root, key)
        count = len(steps.value) if steps is not None and steps.kind == "list" else 0
        places += [(key, number, "when") for number in range(count)]
    for path in places:
        node = find(root, *path)
        if node is not None and node.kind == "str" and node.value.strip():
            yield node


def lint_expression(node: Node, installation: Installation) -> None:
    """Report syntax errors, and conditions that are never true."""
    try:
        installation.conditions.compile(node.value)
    except ValueError as error:
        what = f"the expression {clip(node.value)!r} cannot be read: {error}"
        fix = "write a Jinja expression such as event.total >= 300"
        installation.report.error(node.position, what, fix)
        return
    if never_true(node.value):
        what = f"the condition {clip(node.value)!r} is never true"
        fix = "remove what depends on it, or fix the condition"
        installation.report.warn(node.position, what, fix)


def never_true(expression: str) -> bool:
    """Whether an expression is constant and false."""
    try:
        tree = jinja2.Environment().parse("{{ (" + expression + ") }}")
        output = next(tree.find_all(jinja2.nodes.Output))
        return not output.nodes[0].as_const()
    except (jinja2.nodes.Impossible, jinja2.TemplateError, StopIteration):
        return False


def lint_step(one: CheckedStep) -> None:
    """Report what is wrong with a step's channel, providers, waits, money and templates."""
    # a step without a channel has been reported
    if one.step.channel and lint_channel(one) and one.providers:
        lint_waits(one)
        lint_costs_and_repeats(one)
        lint_templates(one)


def lint_channel(one: CheckedStep) -> bool:
    """Report an unknown channel (then False) or unknown providers of it."""
    channel, declared = one.step.channel, one.installation.declared
    if channel not in declared:
        fix = suggestion(channel, declared, "add it under `channels`")
        if channel in channels():
            fix = f"add a provider under channels.{channel}, or remove the step"
        one.error(("channel",), f"no provider is configured for {clip(channel)!r}", fix)
        return False
    known = declared[channel]
    otherwise = f"{channel} has {listed(sorted(known))}" if known else "configure it"
    for number, name in enumerate(one.step.providers):
        if name not in known:
            what = f"{channel} has no provider {clip(name)!r}"
            one.error(("providers", number), what, suggestion(name, known, otherwise))
    return True


def lint_waits(one: CheckedStep) -> None:
    """
    Report states that none of the step's providers can ever report.

    A delivery proves `sent`. That a click proves `read` does not help: who waits for `read` means
    those who don't click.
    """
    states = (one.installation.reports(provider) for provider in one.providers)
    possible = frozenset[str]().union(*states)
    waitable = [known for known in WAITABLE if known in possible]
    otherwise = f"wait for {listed(waitable)}" if possible else "remove the wait"
    names = listed([provider.provider for provider in one.providers])
    for state, _ in one.step.wait:
        if state not in possible and not (state == "sent" and "delivered" in possible):
            what = f"{names} never reports `{state}`, so this wait always runs out"
            one.error(("wait", state), what, how_to_report(state, one.providers) or otherwise)


def how_to_report(state: str, providers: tuple[ProviderSettings, ...]) -> str | None:
    """The switch of a provider's settings that makes it report a state, if its adapter can."""
    for provider in providers:
        own = provider.adapter_settings
        switches = [
            name
            for name in type(own).model_fields
            if getattr(own, name) is False and name != "allow_unsigned"
        ]
        if switches and state in provider.adapter_type.supports.receipts:
            switch = f"set {listed(switches)}: true on {provider.provider}"
            return f"{switch}, or wait for something else"
    return None


def lint_costs_and_repeats(one: CheckedStep) -> None:
    """Warn of limits on unknown costs, and of repeats that a provider does not recognise."""
    if one.step.max_cost is not None and not any(provider.cost for provider in one.providers):
        what = "`max_cost` limits nothing, because no provider of this step has a `cost`"
        one.warn(("max_cost",), what, "give the provider a cost")
    careless = [
        provider.provider
        for provider in one.providers
        if not provider.adapter_type.supports.idempotent_seconds
    ]
    if one.step.on_unknown == "resend" and careless:
        why = f"because {listed(careless)} does not recognise a repeat"
        fix = "write on_unknown: wait, or accept it knowingly"
        one.warn(("on_unknown",), f"`on_unknown: resend` may send twice, {why}", fix)


def lint_templates(one: CheckedStep) -> None:
    """Report templates, channels and parts that are missing."""
    templates, name = one.installation.templates, one.file.policy.template
    channel, root = one.step.channel, one.file.root
    if templates is None:
        return
    if name not in templates.names:
        key = "template" if find(root, "template") is not None else "policy"
        fix = suggestion(name, [*templates.names], f"write templates/{name}/")
        what = f"there is no template {name!r}"
        one.installation.report.error(place(root, key), what, fix)
        return
    if channel not in templates.channels(name):
        fix = f"write {name}/{channel}.…j2, or remove the step"
        one.error(("channel",), f"the template {name!r} has nothing for {channel}", fix)
        return
    written = locales(one.installation.settings.templates / name, channel)
    if DEFAULT_LOCALE not in written:
        only = f"the template {name!r} has {channel} only in {' and '.join(written)}"
        fix = f"add files without a locale, such as {name}/{channel}.text.j2"
        one.warn(("channel",), f"{only}, so nobody else gets this step", fix)
    for locale in written:
        lint_parts(one, locale, templates.parts(name, channel, locale or None))


def locales(folder: Path, channel: str) -> list[str]:
    """The locales that a template has for a channel; "" is the default one."""
    names = (path.name.removesuffix(".j2").split(".") for path in folder.glob(f"{channel}.*.j2"))
    return sorted({name[1] if len(name) == 3 else DEFAULT_LOCALE for name in names})


def lint_parts(one: CheckedStep, locale: str, present: frozenset[str]) -> None:
    """Report parts that an adapter of the step needs and the template lacks in a locale."""
    template = one.file.policy.template
    stem = f"{one.step.channel}.{locale}" if locale else one.step.channel
    reported: set[str] = set()
    for provider in one.providers:
        for part in provider.adapter_type.supports.parts:
            choices = (part,) if isinstance(part, str) else part
            words = listed(choices)
            if present.intersection(choices) or words in reported:
                continue
            reported.add(words)
            lacks = f"the template {template!r} has no {stem}.{words}"
            fix = f"write {template}/{stem}.{choices[0]}.j2"
            one.error(("channel",), f"{lacks}, which {provider.adapter} needs", fix)


def lint_order(cascade: list[CheckedStep], file: PolicyFile, installation: Installation) -> None:
    """Warn of steps that the ones before them keep from ever being sent."""
    cheapest = file.policy.order == "cheapest"
    for one in cascade if len(cascade) > 1 else ():
        if not one.step.wait and (cheapest or one is not cascade[-1]):
            what = "the step has no `wait` and is not the last"
            what += ": what follows is only sent where it fails at once"
            one.warn((), what, "add wait: {delivered: 10m}")
    costs = [
        provider.cost
        for one in cascade
        for provider in installation.settings.channels.get(one.step.channel, ())
    ]
    if cheapest and costs and not any(costs):
        what = "`order: cheapest` knows no costs, so the order is as written"
        installation.report.warn(place(file.root, "order"), what, "give the providers a cost")


def lint_deadline(cascade: list[CheckedStep], file: PolicyFile) -> None:
    """
    Report steps that the deadline comes before.

    If even the shortest waits before a step take as long as the deadline, it is never reached in
    time (an error); if only the longest ones do, it is reached when an earlier step fails early (a
    warning).
    """
    deadline_ms = file.policy.deadline_ms
    than = f"longer than the deadline of {duration_text(deadline_ms)}"
    if file.policy.order != "fixed" or not cascade:
        return
    shortest = longest = 0
    for one in cascade:
        before = "the steps before this one"
        if shortest >= deadline_ms:
            one.error((), f"{before} wait {duration_text(shortest)}, {than}", WAITS_FIX)
            return
        if longest >= deadline_ms:
            one.warn((), f"{before} may wait {duration_text(longest)}, {than}", WAITS_FIX)
            return
        waits = [wait_ms for _, wait_ms in one.step.wait]
        shortest += min(waits, default=0)
        longest += max(waits, default=0)
    last = cascade[-1].step.longest_wait_ms or 0
    if last > deadline_ms:
        cascade[-1].warn(("wait",), f"the step waits {duration_text(last)}, {than}", "shorten it")


def lint_last_step(last: CheckedStep) -> None:
    """
    Warn if nothing can end an unknown outcome of the last step: no receipt and no safe repeat.
    """
    for provider in last.providers:
        idempotent = provider.adapter_type.supports.idempotent_seconds
        if not idempotent and not last.installation.reports(provider):
            why = f"because {provider.provider} has neither receipts nor idempotency"
            what = f"nothing ever confirms the last step, {why}"
            last.warn((), what, "end with a channel that confirms")
