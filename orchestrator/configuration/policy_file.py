"""
Policies from YAML: one cascade per file, checked, versioned, and written back as JSON for the
store.

    config/policies/cart_abandoned.yaml ──► PolicyFile(policy, path, raw, root)

A policy's ``version`` is the first 12 hex characters of a SHA-256 over its canonical data (defaults
filled in, so that comments and spelling don't count) and the sources of its templates.
``*.test.yaml`` beside a policy holds its tests and is never loaded as one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.configuration.governance_file import (
    governance_from_document,
    governance_to_document,
    load_governance,
)
from orchestrator.configuration.reading import Report, Section, clip, listed, suggestion
from orchestrator.configuration.yaml_file import (
    ConfigError,
    Node,
    Position,
    Problem,
    loads,
    read_text,
)
from orchestrator.core.policy import (
    CLASSES,
    HOUR_MS,
    MINUTE_MS,
    OTP,
    TRANSACTIONAL,
    Dedupe,
    Goal,
    Policy,
    Retry,
    Step,
)
from orchestrator.core.status import WAITABLE
from orchestrator.core.values import replace

__all__ = [
    "Defaults",
    "PolicyFile",
    "TemplateHash",
    "governance_from_document",
    "governance_to_document",
    "hash_templates",
    "load_governance",
    "load_policies",
    "load_policy",
    "parse_policy",
    "policy_files",
    "policy_from_document",
    "policy_to_document",
]

RESERVED_CHANNELS = ("in_app", "mobile_push")
RESERVED_ORDERS = ("most_engaged",)
ORDERS = ("fixed", "cheapest")
ON_UNKNOWN = ("wait", "resend", "advance")
LATE = ("close", "ignore")
OTP_DEADLINE_MS = 10 * MINUTE_MS
DEADLINE_MS = 24 * HOUR_MS
PARTS_MAX = 10
STEPS_MAX = 20
TEST_SUFFIX = ".test.yaml"

TemplateHash = Callable[[str], str]
"""
The content hash of a template's sources, by the template's name; "" where there is no such
template.
"""


@dataclass(frozen=True, slots=True)
class Defaults:
    """
    What a step gets that says nothing: ``wait_ms`` for outcomes nobody confirms, and ``retry``.
    """

    wait_ms: int = 10 * MINUTE_MS
    retry: Retry = field(default_factory=Retry)


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy with the text it was read from; ``root`` knows the place of every key."""

    policy: Policy
    path: Path
    raw: str
    root: Node


def hash_templates(directory: Path) -> TemplateHash:
    """
    Hashes of everything in ``directory/<template>/`` by name and content; each template is read
    once.
    """
    known: dict[str, str] = {}

    def of(template: str) -> str:
        if template not in known:
            digest = hashlib.sha256()
            folder = directory / template
            files = (
                sorted(path for path in folder.glob("*.j2") if path.is_file())
                if folder.is_dir()
                else []
            )
            for path in files:
                content = path.read_bytes()
                digest.update(f"{path.name}\0{len(content)}\0".encode())
                digest.update(content)
            known[template] = digest.hexdigest() if files else ""
        return known[template]

    return of


def policy_files(directory: Path) -> list[Path]:
    """
    The policy files of a directory, by name; tests of policies are none. Raises ``ConfigError``
    without one.
    """
    if not directory.is_dir():
        fix = "make it, or say under `policies` where they are"
        raise ConfigError(
            [Problem(str(directory), 1, 1, "there is no such directory of policies", fix)]
        )
    return sorted(path for path in directory.glob("*.yaml") if not path.name.endswith(TEST_SUFFIX))


def load_policy(
    path: Path, *, templates: TemplateHash, defaults: Defaults | None = None
) -> PolicyFile:
    """One policy file. Raises ``ConfigError`` with everything that is wrong in it."""
    report = Report()
    found = parse_policy(path, report, templates=templates, defaults=defaults)
    report.refuse()
    if found is None:
        raise ConfigError(report.problems)
    return found


def load_policies(
    directory: Path, *, templates: TemplateHash, defaults: Defaults | None = None
) -> tuple[dict[str, Policy], dict[str, PolicyFile]]:
    """
    Every policy of a directory, by name, and the files they came from.

    Raises ``ConfigError`` with everything that is wrong in any of them, two policies of one name
    included.
    """
    report = Report()
    files = read_policies(directory, report, templates=templates, defaults=defaults)
    report.refuse()
    return {name: file.policy for name, file in files.items()}, files


def read_policies(
    directory: Path, report: Report, *, templates: TemplateHash, defaults: Defaults | None = None
) -> dict[str, PolicyFile]:
    """Every policy of a directory that could be read; all problems go to ``report``."""
    files: dict[str, PolicyFile] = {}
    try:
        paths = policy_files(directory)
    except ConfigError as error:
        report.problems.extend(error.problems)
        return files
    for path in paths:
        file = parse_policy(path, report, templates=templates, defaults=defaults)
        if file is None:
            continue
        name = file.policy.name
        if name in files:
            position = (
                file.root.value["policy"].position
                if "policy" in file.root.value
                else file.root.position
            )
            other = files[name].path.name
            report.error(
                position, f"the policy {name!r} is also in {other}", "give one of them another name"
            )
            continue
        files[name] = file
    return files


def parse_policy(
    path: Path, report: Report, *, templates: TemplateHash, defaults: Defaults | None = None
) -> PolicyFile | None:
    """
    One policy file as far as it can be read; None where it is not even a mapping. Problems go to
    ``report``.
    """
    try:
        raw = read_text(path)
        root = loads(raw, str(path))
    except ConfigError as error:
        report.problems.extend(error.problems)
        return None
    if root.kind != "map":
        what = (
            "the file holds no policy" if root.kind == "null" else f"the policy is {root.kind_name}"
        )
        report.error(root.position, what, "write `policy:`, `trigger:` and `cascade:`")
        return None
    policy = read_policy(Section(root, report, "the policy"), defaults or Defaults())
    return PolicyFile(replace(policy, version=version_of(policy, templates)), path, raw, root)


def version_of(policy: Policy, templates: TemplateHash) -> str:
    """The content hash (12 hex characters) of a policy and its templates."""
    document = policy_to_document(replace(policy, version=""))
    canonical = json.dumps(
        [document, templates(policy.template)], sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def read_policy(section: Section, defaults: Defaults) -> Policy:
    """
    The policy of a file, without its version; what is wrong is reported and replaced by a default.
    """
    name_node = section.need("policy", "name it: policy: cart_abandoned")
    name = (section.identifier("policy") if name_node is not None else None) or "unnamed"
    event, when = read_trigger(section)
    message_class = section.word("class", CLASSES, TRANSACTIONAL)
    policy = Policy(
        name=name,
        version="",
        event=event,
        when=when,
        message_class=message_class,
        topic=section.identifier("topic", name),
        template=section.identifier("template", name),
        deadline_ms=section.duration(
            "deadline", OTP_DEADLINE_MS if message_class == OTP else DEADLINE_MS
        ),
        dedupe=read_dedupe(section),
        goal=read_goal(section),
        cascade=read_steps(section, "cascade", defaults),
        also=read_steps(section, "also", defaults),
        order=read_order(section),
        late=section.word("late", LATE, "close"),
        default_wait_ms=defaults.wait_ms,
    )
    section.done()
    return policy


def read_trigger(section: Section) -> tuple[str, str | None]:
    """The event type that starts the policy, and its condition."""
    section.need("trigger", "say what starts it: trigger: {event: shop.cart.abandoned}")
    trigger = section.section("trigger")
    if not section.has("trigger"):
        return "", None
    trigger.need("event", "name the CloudEvents type: event: shop.cart.abandoned")
    event = trigger.text("event") or ""
    when = expression(trigger, "when")
    trigger.done()
    return event, when


def expression(section: Section, key: str) -> str | None:
    """The text of an expression; a bare true or number is told to stand in quotes."""
    fix = 'write an expression in quotes, such as "event.total >= 300"'
    return section.text(key, None, fix)


def read_dedupe(section: Section) -> Dedupe | None:
    """The dedupe key and window, None where there is none."""
    if section.get("dedupe") is None:
        return None
    dedupe = section.section("dedupe")
    dedupe.need("key", 'write an expression: key: "event.cart_id"')
    key = expression(dedupe, "key")
    dedupe.need("window", "say how long a key counts: window: 24h")
    window_ms = dedupe.duration("window")
    dedupe.done()
    return Dedupe(key, window_ms) if key and window_ms else None


def read_goal(section: Section) -> Goal | None:
    """The event that makes a message pointless, None where there is none."""
    if section.get("goal") is None:
        return None
    goal = section.section("goal")
    goal.need("event", "name the CloudEvents type: event: shop.order.placed")
    event = goal.text("event")
    match = expression(goal, "match")
    goal.done()
    return Goal(event, match) if event else None


def read_order(section: Section) -> str:
    """The order of the steps."""
    node = section.get("order")
    if node is not None and node.text in RESERVED_ORDERS:
        fix = f"write {listed(ORDERS)}"
        section.report.error(
            node.position, f"`order: {node.text}` is reserved, not available yet", fix
        )
        return "fixed"
    return section.word("order", ORDERS, "fixed")


def read_steps(section: Section, key: str, defaults: Defaults) -> tuple[Step, ...]:
    """The steps of a cascade, or its companions."""
    if key == "cascade":
        section.need("cascade", "write at least one step: cascade: [{channel: sms}]")
    nodes = section.items(key, "steps")
    if (
        key == "cascade"
        and section.get(key) is not None
        and not nodes
        and section.nodes[key].kind == "list"
    ):
        section.report.error(
            section.at(key), "the cascade has no steps", "write at least one: - channel: sms"
        )
    if len(nodes) > STEPS_MAX:
        section.report.error(
            section.at(key), f"`{key}` has more than {STEPS_MAX} steps", "shorten it"
        )
    called = "the step" if key == "cascade" else "the companion"
    return tuple(
        read_step(Section(node, section.report, called), key == "also", defaults) for node in nodes
    )


def read_step(step: Section, companion: bool, defaults: Defaults) -> Step:
    """One step. Companions never count for the cascade, so they have nothing to wait for."""
    channel = read_channel(step)
    wait: tuple[tuple[str, int], ...] = ()
    on_unknown = "wait"
    if not companion:
        wait = read_wait(step)
        on_unknown = step.word("on_unknown", ON_UNKNOWN, "wait")
    else:
        for key in ("wait", "on_unknown"):
            if step.has(key):
                step.known.add(key)
                what = f"a companion cannot have `{key}`: it never counts for the cascade"
                step.report.error(
                    step.keys[key], what, "remove it, or make it a step of the cascade"
                )
    cost = step.amount("max_cost")
    made = Step(
        channel=channel,
        wait=wait,
        when=expression(step, "when"),
        providers=step.words("providers", "provider names"),
        ttl_ms=step.duration("ttl"),
        on_unknown=on_unknown,
        retry=read_retry(step, defaults.retry),
        max_cost=None if cost is None else str(cost),
        max_parts=step.integer("max_parts", None, 1, PARTS_MAX),
    )
    if made.max_parts is not None and channel not in ("sms", ""):
        step.report.error(
            step.keys["max_parts"],
            f"`max_parts` means nothing on {channel}",
            "only sms is sent in parts",
        )
    step.done()
    return made


def read_channel(step: Section) -> str:
    """
    The step's channel; whether anything serves it is looked at where the whole configuration is
    known.
    """
    if step.need("channel", "name the channel: channel: sms") is None:
        return ""
    channel = step.identifier("channel", "")
    if channel in RESERVED_CHANNELS:
        step.report.error(
            step.at("channel"),
            f"the channel {channel!r} is reserved, not available yet",
            "use another",
        )
        return ""
    return channel


def read_retry(section: Section, default: Retry) -> Retry:
    """How often a step is tried again after it provably did not leave."""
    retry = section.section("retry")
    made = Retry(
        retry.integer("max", default.max, 0, 100), retry.duration("within", default.within_ms)
    )
    retry.done()
    return made


def read_wait(step: Section) -> tuple[tuple[str, int], ...]:
    """The states waited for, in their order; ``wait: 10m`` is short for ``{delivered: 10m}``."""
    node = step.get("wait")
    if node is None:
        return ()
    if node.kind != "map":
        if node.kind == "list":
            step.report.error(
                node.position,
                "`wait` is a list",
                "write wait: 10m, or wait: {delivered: 10m, read: 1h}",
            )
            return ()
        short = step.duration_of(node, "`wait`")
        return (("delivered", short),) if short else ()
    if not node.value:
        step.report.error(
            node.position, "`wait` names no state", "write wait: {delivered: 10m}, or remove it"
        )
        return ()
    found: dict[str, int] = {}
    for state, inner in node.value.items():
        if state not in WAITABLE:
            fix = (
                "that is `read` here"
                if state == "seen"
                else suggestion(state, WAITABLE, f"wait for {listed(WAITABLE)}")
            )
            step.report.error(node.keys[state], f"nothing can wait for {clip(state)!r}", fix)
            continue
        wait_ms = step.duration_of(inner, f"`wait.{state}`")
        if wait_ms is not None:
            found[state] = wait_ms
    ordered = tuple((state, found[state]) for state in WAITABLE if state in found)
    for problem in contradictions(ordered, node):
        step.report.problems.append(problem)
    return ordered


def contradictions(wait: tuple[tuple[str, int], ...], node: Node) -> Iterator[Problem]:
    """A later state that has less time than an earlier one, which it implies."""
    for (before, before_ms), (after, after_ms) in pairwise(wait):
        if after_ms < before_ms:
            position: Position = node.value[after].position
            what = f"`{after}` has less time than `{before}`, which comes before it"
            yield position.problem(what, f"give `{after}` at least as long, or remove `{before}`")


def policy_to_document(policy: Policy) -> dict[str, Any]:
    """The policy as JSON types, for the store; ``policy_from_document`` reads it back."""
    document: dict[str, Any] = msgspec.to_builtins(policy)
    return document


def policy_from_document(document: dict[str, Any]) -> Policy:
    """
    The policy that ``policy_to_document`` wrote; fields that an older version did not write get
    their defaults.
    """
    return msgspec.convert(document, Policy)
