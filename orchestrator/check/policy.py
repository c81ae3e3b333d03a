"""What is wrong with one policy among the providers, templates and conditions that there are."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from orchestrator.channels.registry import channels
from orchestrator.check.codes import lint_codes
from orchestrator.check.event_types import lint_event_type
from orchestrator.check.experiments import lint_experiment, variants
from orchestrator.check.installation import Installation, only_settings
from orchestrator.check.policy_expressions import ConditionLint
from orchestrator.check.timing import lint_digest, lint_send_at
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import Report, clip, find, listed, place, suggestion
from orchestrator.configuration.scalars import meant
from orchestrator.configuration.settings import ProviderSettings
from orchestrator.configuration.yaml_file import Position
from orchestrator.core.policy import OTP, Step
from orchestrator.core.status import WAITABLE
from orchestrator.primitives.durations import duration

DEFAULT_LOCALE = ""
OTP_MS_MAX = 3_600_000
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
    before = len(report.problems)
    ConditionLint(installation.conditions, installation.samples, report, file).run()
    lint_events(file, installation)
    cascade, also = (
        [CheckedStep(step, file, key, number, installation) for number, step in enumerate(steps)]
        for key, steps in (("cascade", policy.cascade), ("also", policy.also))
    )
    for one in (*cascade, *also):
        lint_step(one)
    lint_repeats(cascade, also)
    lint_order(cascade, file, installation)
    lint_deadline(cascade, file)
    lint_codes(file, installation)
    lint_digest(file, installation)
    lint_send_at(file, installation.report)
    lint_experiment(file, installation)
    for variant in variants(file):
        own = [
            CheckedStep(step, variant, "cascade", number, installation)
            for number, step in enumerate(variant.policy.cascade)
        ]
        for one in own:
            lint_step(one)
        lint_deadline(own, variant)
        lint_codes(variant, installation)
    if cascade:
        lint_last_step(cascade[-1])
    wrong = (one for one in report.problems if one.path == str(file.path))
    if installation.settings_have_errors or any(one.severity == "error" for one in wrong):
        # warnings may follow from the error; the others come back when it is fixed
        report.problems[before:] = [
            one for one in report.problems[before:] if one.severity == "error"
        ]


def lint_events(file: PolicyFile, installation: Installation) -> None:
    """Report a missing trigger, types that match nothing, and a goal that is the trigger."""
    policy, report = file.policy, installation.report
    without = not policy.event and find(file.root, "trigger") is None
    if without and policy.name not in installation.sent:
        fix = "say what starts it: trigger: {event: shop.cart.abandoned}; or let a journey send it"
        report.warn(file.root.position, "the policy has no trigger, so nothing starts it", fix)
    for key in ("trigger", "goal"):
        lint_event_type(find(file.root, key, "event"), report)
    goal = policy.goal
    if goal is None or not goal.event or goal.event != policy.event:
        return
    if goal.match is not None and policy.when is not None:
        return
    what = "the goal is the trigger itself, so every further one ends the message before"
    fix = "name another event, or tell them apart with `match`"
    add = report.error if goal.match is None else report.warn
    add(place(file.root, "goal", "event"), what, fix)


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
    if not declared:
        return False
    if channel not in declared:
        if channel not in channels() and meant(channel, declared) is None:
            there = f"`channels` in kaskad.yaml has {', '.join(sorted(declared))}"
            one.error(("channel",), f"there is no channel {clip(channel)!r}", there)
            return False
        fix = suggestion(channel, declared, "add it under `channels`")
        if channel in channels():
            fix = f"add a provider under channels.{channel}, or remove the step"
        one.error(("channel",), f"no provider is configured for {clip(channel)!r}", fix)
        return False
    known = declared[channel]
    sound = one.installation.settings.channels.get(channel, ())
    broken = len(sound) < len(known)
    otherwise = f"{channel} has {listed(sorted(known))}" if known else "configure it"
    for number, name in enumerate(one.step.providers):
        if name not in known and not broken:
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
    """The setting of a provider that makes it report a state, if one does."""
    for provider in providers:
        own = provider.adapter_settings
        for name in type(own).model_fields:
            proof = name == "allow_unsigned"
            if getattr(own, name) is not False or (proof and not own.proofs):
                continue
            switched = only_settings(provider, own.model_copy(update={name: True}))
            if state in switched.reports():
                switch = f"set {name}: true on {provider.provider}"
                return f"{give_proof(provider) if proof else switch}, or wait for something else"
    return None


def give_proof(provider: ProviderSettings) -> str:
    proofs = " or ".join(f"`{name}`" for name in provider.adapter_settings.proofs)
    return f"give {provider.provider} {proofs}, without which its webhooks are refused"


def lint_costs_and_repeats(one: CheckedStep) -> None:
    """Warn of limits on unknown costs, and of repeats that a provider does not recognise."""
    most, costs = one.step.max_cost, [provider.cost for provider in one.providers]
    if most is not None and all(cost and cost.amount > Decimal(most) for cost in costs):
        what = "every provider of this step costs more than `max_cost`, so it is never sent"
        one.warn(("max_cost",), what, "write a larger max_cost, or remove the step")
    elif most is not None and not any(costs):
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
        fix = f"write {name}/{channel}.{first_part(channel)}.j2, or remove the step"
        one.error(("channel",), f"the template {name!r} has nothing for {channel}", fix)
        return
    written = locales(one.installation.settings.templates / name, channel)
    if DEFAULT_LOCALE not in written:
        only = f"the template {name!r} has {channel} only in {' and '.join(written)}"
        fix = f"add files without a locale, such as {name}/{channel}.text.j2"
        one.warn(("channel",), f"{only}, so nobody else gets this step", fix)
    report = one.installation.report
    before = len(report.problems)
    for locale in written:
        lint_parts(one, locale, templates.parts(name, channel, locale or None))
    lint = one.installation.template_lint
    if lint is not None and len(report.problems) == before:
        policy = one.file.policy
        samples = one.installation.samples.of(policy.name, policy.event)
        lint.run(name, channel, samples, policy.digest is not None)


def first_part(channel: str) -> str:
    """The part that a channel's templates begin with."""
    kind = channels().get(channel)
    return kind.needed[0][0] if kind is not None and kind.needed else "text"


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


def lint_repeats(cascade: list[CheckedStep], also: list[CheckedStep]) -> None:
    """
    Report a companion beside its own channel, and warn of a channel that comes twice: the person
    would get the same text twice.
    """
    seen: dict[tuple[str, frozenset[str]], int] = {}
    for one in cascade:
        if not one.step.channel:
            continue
        same = (one.step.channel, frozenset(provider.provider for provider in one.providers))
        if same in seen and one.step.when is None:
            what = f"{one.step.channel} is also step {seen[same]}, with the same text"
            one.warn(("channel",), what, "remove one, or give it `when` or other `providers`")
        seen.setdefault(same, one.number + 1)
    for one in also:
        first = cascade[0].step if cascade else None
        if first is not None and one.step.channel == first.channel != "":
            what = f"the companion and the first step are both {first.channel}, at the same time"
            add = one.error if one.step.when is None and first.when is None else one.warn
            add(("channel",), what, "use another channel, or remove it")
            continue
        later = [two for two in cascade[1:] if two.step.channel == one.step.channel != ""]
        apart = one.step.when is not None and all(two.step.when is not None for two in later)
        if later and not apart:
            what = f"the companion is {one.step.channel}, and so is step {later[0].number + 1}"
            one.warn(("channel",), f"{what}: people get the same text twice", "remove one of them")


def lint_order(cascade: list[CheckedStep], file: PolicyFile, installation: Installation) -> None:
    """Warn of steps that the ones before them keep from ever being sent."""
    cheapest = file.policy.order == "cheapest"
    any_order = file.policy.order != "fixed"
    for one in cascade if len(cascade) > 1 else ():
        if not one.step.wait and (any_order or one is not cascade[-1]):
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
    if file.policy.message_class == OTP and deadline_ms > OTP_MS_MAX:
        what = (
            f"a one-time code that may come {duration(deadline_ms, units=4)} after it was asked for"
        )
        report = cascade[0].installation.report if cascade else Report()
        report.warn(place(file.root, "deadline"), what, "write deadline: 10m or so")
    than = f"longer than the deadline of {duration(deadline_ms, units=4)}"
    if file.policy.order != "fixed" or not cascade:
        return
    shortest = longest = 0
    for one in cascade:
        before = "the steps before this one"
        if shortest >= deadline_ms:
            one.error((), f"{before} wait {duration(shortest, units=4)}, {than}", WAITS_FIX)
            return
        if longest >= deadline_ms:
            one.warn((), f"{before} may wait {duration(longest, units=4)}, {than}", WAITS_FIX)
            return
        waits = [wait_ms for _, wait_ms in one.step.wait]
        shortest += min(waits, default=0)
        longest += max(waits, default=0)
    last = cascade[-1].step.longest_wait_ms or 0
    if last > deadline_ms:
        cascade[-1].warn(
            ("wait",), f"the step waits {duration(last, units=4)}, {than}", "shorten it"
        )


def lint_last_step(last: CheckedStep) -> None:
    """
    Warn if nothing can end an unknown outcome of the last step: no receipt and no safe repeat.
    """
    for provider in last.providers:
        idempotent = provider.adapter_type.supports.idempotent_seconds
        if not idempotent and not last.installation.reports(provider):
            why = f"because {provider.provider} has neither receipts nor idempotency"
            what = f"nothing ever confirms the last step, {why}"
            unproven = not provider.adapter_settings.believes_webhooks
            fix = "end with a channel that confirms"
            last.warn((), what, give_proof(provider) if unproven else fix)
