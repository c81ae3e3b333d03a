"""What is wrong with one policy among the providers, templates and conditions that there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jinja2

from orchestrator.channels.registry import channels
from orchestrator.configuration.lint_installation import Installation
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import clip, find, listed, place, suggestion
from orchestrator.configuration.scalars import duration_text as duration
from orchestrator.configuration.settings import ProviderSettings
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.policy import Step
from orchestrator.core.status import WAITABLE

DEFAULT_LOCALE = ""


def lint_policy(file: PolicyFile, installation: Installation) -> None:
    """Report everything about one policy that only shows when the whole installation is known."""
    policy, report = file.policy, installation.report
    if file.path.stem != policy.name and find(file.root, "policy") is not None:
        what = f"the policy {policy.name!r} is in a file named {file.path.name}"
        report.warn(place(file.root, "policy"), what, f"rename the file to {policy.name}.yaml")
    for node in expressions(file.root):
        lint_expression(node, installation)
    for number, step in enumerate(policy.cascade):
        lint_step(step, file, ("cascade", number), installation)
    for number, step in enumerate(policy.also):
        lint_step(step, file, ("also", number), installation)
    lint_order(file, installation)
    lint_deadline(file, installation)
    lint_last_step(file, installation)


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
    """Syntax errors, and conditions that are never true."""
    try:
        installation.conditions.compile(node.value)
    except ValueError as error:
        what = f"the expression {clip(node.value)!r} cannot be read: {error}"
        installation.report.error(
            node.position, what, "write a Jinja expression such as event.total >= 300"
        )
        return
    if never_true(node.value):
        what = f"the condition {clip(node.value)!r} is never true"
        installation.report.warn(
            node.position, what, "remove what depends on it, or fix the condition"
        )


def never_true(expression: str) -> bool:
    """Whether an expression is constant and false."""
    try:
        output = next(
            jinja2.Environment().parse("{{ (" + expression + ") }}").find_all(jinja2.nodes.Output)
        )
        return not output.nodes[0].as_const()
    except (jinja2.nodes.Impossible, jinja2.TemplateError, StopIteration):
        return False


Place = tuple[str, int]


def lint_step(step: Step, file: PolicyFile, at: Place, installation: Installation) -> None:
    """One step: its channel, providers, waits, money and templates."""
    if not step.channel:
        return  # it has been reported
    if not lint_channel(step, file, at, installation):
        return
    providers = providers_of(step, installation)
    if providers:
        lint_waits(step, file, at, providers, installation)
        lint_money_and_repeats(step, file, at, providers, installation)
        lint_templates(step, file, at, providers, installation)


def lint_channel(step: Step, file: PolicyFile, at: Place, installation: Installation) -> bool:
    """A step's channel and the providers it names; False where the channel has none at all."""
    report, root = installation.report, file.root
    if step.channel not in installation.declared:
        known = {*installation.declared}
        fix = suggestion(step.channel, known, "add it under `channels`")
        if step.channel in channels():
            fix = f"add a provider under channels.{step.channel}, or remove the step"
        report.error(
            place(root, *at, "channel"),
            f"no provider is configured for {clip(step.channel)!r}",
            fix,
        )
        return False
    for number, name in enumerate(step.providers):
        if name not in installation.declared[step.channel]:
            known = installation.declared[step.channel]
            fix = suggestion(
                name,
                known,
                f"{step.channel} has {listed(sorted(known))}" if known else "configure it",
            )
            what = f"{step.channel} has no provider {clip(name)!r}"
            report.error(place(root, *at, "providers", number), what, fix)
    return True


def providers_of(step: Step, installation: Installation) -> tuple[ProviderSettings, ...]:
    """The providers that a step may use, those of them that are well configured."""
    providers = installation.settings.channels.get(step.channel, ())
    if not step.providers:
        return providers
    return tuple(provider for provider in providers if provider.provider in step.providers)


def lint_waits(
    step: Step,
    file: PolicyFile,
    at: Place,
    providers: tuple[ProviderSettings, ...],
    installation: Installation,
) -> None:
    """
    States that none of the step's providers can ever report.

    A delivery proves `sent`. That a click proves `read` does not help: who waits for `read` means
    those who don't click.
    """
    possible = frozenset[str]().union(*(installation.reports(provider) for provider in providers))
    for state, _ in step.wait:
        if state in possible or (state == "sent" and "delivered" in possible):
            continue
        names = listed([provider.provider for provider in providers])
        fix = how_to_report(state, providers) or (
            f"wait for {listed([known for known in WAITABLE if known in possible])}"
            if possible
            else "remove the wait"
        )
        what = f"{names} never reports `{state}`, so this wait always runs out"
        installation.report.error(place(file.root, *at, "wait", state), what, fix)


def how_to_report(state: str, providers: tuple[ProviderSettings, ...]) -> str | None:
    """Which switch of a provider's settings makes it report a state, where its adapter can."""
    for provider in providers:
        if state not in provider.adapter_type.supports.receipts:
            continue
        own = provider.adapter_settings
        switches = [
            name
            for name in type(own).model_fields
            if getattr(own, name) is False and name != "allow_unsigned"
        ]
        if switches:
            return (
                f"set {listed(switches)}: true on {provider.provider}, or wait for something else"
            )
    return None


def lint_money_and_repeats(
    step: Step,
    file: PolicyFile,
    at: Place,
    providers: tuple[ProviderSettings, ...],
    installation: Installation,
) -> None:
    """Limits on costs that nobody knows, and repeats that a provider does not recognise."""
    report = installation.report
    if step.max_cost is not None and not any(provider.cost for provider in providers):
        what = "`max_cost` limits nothing, because no provider of this step has a `cost`"
        report.warn(place(file.root, *at, "max_cost"), what, "give the provider a cost")
    careless = [
        one.provider for one in providers if not one.adapter_type.supports.idempotent_seconds
    ]
    if step.on_unknown == "resend" and careless:
        what = (
            f"`on_unknown: resend` may send twice, because {listed(careless)} does not recognise a"
            " repeat"
        )
        report.warn(
            place(file.root, *at, "on_unknown"),
            what,
            "write on_unknown: wait, or accept it knowingly",
        )


def lint_templates(
    step: Step,
    file: PolicyFile,
    at: Place,
    providers: tuple[ProviderSettings, ...],
    installation: Installation,
) -> None:
    """Templates, channels and parts that are missing."""
    templates, name = installation.templates, file.policy.template
    if templates is None:
        return
    report = installation.report
    if name not in templates.names:
        key = "template" if find(file.root, "template") is not None else "policy"
        fix = suggestion(name, [*templates.names], f"write templates/{name}/")
        report.error(place(file.root, key), f"there is no template {name!r}", fix)
        return
    position = place(file.root, *at, "channel")
    if step.channel not in templates.channels(name):
        fix = f"write {name}/{step.channel}.…j2, or remove the step"
        report.error(position, f"the template {name!r} has nothing for {step.channel}", fix)
        return
    written = locales(installation.settings.templates / name, step.channel)
    if DEFAULT_LOCALE not in written:
        what = (
            f"the template {name!r} has {step.channel} only in {' and '.join(written)}, so nobody"
            " else gets this step"
        )
        report.warn(
            position, what, f"add files without a locale, such as {name}/{step.channel}.text.j2"
        )
    for locale in written:
        present = templates.parts(name, step.channel, locale or None)
        lint_parts(step, name, locale, present, position, providers, installation)


def locales(folder: Path, channel: str) -> list[str]:
    """The locales that a template has for a channel; "" is the default one."""
    names = (path.name.removesuffix(".j2").split(".") for path in folder.glob(f"{channel}.*.j2"))
    return sorted({name[1] if len(name) == 3 else DEFAULT_LOCALE for name in names})


def lint_parts(
    step: Step,
    template: str,
    locale: str,
    present: frozenset[str],
    position: Position,
    providers: tuple[ProviderSettings, ...],
    installation: Installation,
) -> None:
    """Parts that an adapter of the step needs and the template does not have in a locale."""
    told: set[str] = set()
    for provider in providers:
        for part in provider.adapter_type.supports.parts:
            choices = (part,) if isinstance(part, str) else part
            words = listed(choices)
            if present.intersection(choices) or words in told:
                continue
            told.add(words)
            stem = f"{step.channel}.{locale}" if locale else step.channel
            what = (
                f"the template {template!r} has no {stem}.{words}, which {provider.adapter} needs"
            )
            installation.report.error(position, what, f"write {template}/{stem}.{choices[0]}.j2")


def lint_order(file: PolicyFile, installation: Installation) -> None:
    """Steps that the ones before them keep from ever being sent."""
    policy, report = file.policy, installation.report
    cheapest = policy.order == "cheapest"
    for number, step in enumerate(policy.cascade):
        is_last = number == len(policy.cascade) - 1
        if step.wait or len(policy.cascade) == 1 or (is_last and not cheapest):
            continue
        what = (
            "the step has no `wait` and is not the last: what follows is only sent where it fails"
            " at once"
        )
        report.warn(place(file.root, "cascade", number), what, "add wait: {delivered: 10m}")
    if cheapest:
        providers = [
            one
            for step in policy.cascade
            for one in installation.settings.channels.get(step.channel, ())
        ]
        if providers and not any(one.cost for one in providers):
            what = "`order: cheapest` knows no costs, so the order is as written"
            report.warn(place(file.root, "order"), what, "give the providers a cost")


def lint_deadline(file: PolicyFile, installation: Installation) -> None:
    """
    Steps that the deadline comes before.

    Where even the shortest waits before a step take as long as the deadline, it is never reached in
    time (an error); where only the longest ones do, it is reached when an earlier step fails early
    (a warning).
    """
    policy, report = file.policy, installation.report
    if policy.order != "fixed":
        return
    shortest = longest = 0
    for number, step in enumerate(policy.cascade):
        position = place(file.root, "cascade", number)
        deadline = duration(policy.deadline_ms)
        if shortest >= policy.deadline_ms:
            what = (
                f"the steps before this one wait {duration(shortest)}, longer than the deadline of"
                f" {deadline}"
            )
            report.error(position, what, "shorten their waits, or lengthen the deadline")
            break
        if longest >= policy.deadline_ms:
            what = (
                f"the steps before this one may wait {duration(longest)}, longer than the deadline"
                f" of {deadline}"
            )
            report.warn(position, what, "shorten their waits, or lengthen the deadline")
            break
        waits = [wait_ms for _, wait_ms in step.wait]
        shortest += min(waits, default=0)
        longest += max(waits, default=0)
    else:
        last = policy.cascade[-1].longest_wait_ms if policy.cascade else None
        if last is not None and last > policy.deadline_ms:
            what = (
                f"the step waits {duration(last)}, longer than the deadline of"
                f" {duration(policy.deadline_ms)}"
            )
            report.warn(
                place(file.root, "cascade", len(policy.cascade) - 1, "wait"), what, "shorten it"
            )


def lint_last_step(file: PolicyFile, installation: Installation) -> None:
    """
    After an unknown outcome on the last step nothing but a receipt or a repeat can tell whether it
    arrived.
    """
    policy = file.policy
    if not policy.cascade:
        return
    number = len(policy.cascade) - 1
    for provider in providers_of(policy.cascade[number], installation):
        supports = provider.adapter_type.supports
        if supports.idempotent_seconds or installation.reports(provider):
            continue
        what = (
            f"nothing ever confirms the last step, because {provider.provider} has neither receipts"
            " nor idempotency"
        )
        installation.report.warn(
            place(file.root, "cascade", number), what, "end with a channel that confirms"
        )
