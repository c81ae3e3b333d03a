"""The keys of a policy, each declared once."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

from orchestrator.channels.registry import channels
from orchestrator.configuration.experiment_keys import CONVERT, experiment_kind
from orchestrator.configuration.keys import (
    Key,
    Kind,
    Schema,
    Table,
    array,
    describe,
    nested,
    obj,
    read,
    table,
)
from orchestrator.configuration.kinds import (
    AMOUNT,
    DURATION,
    EXPRESSION,
    NAME,
    NAMES,
    TEXT,
    whole,
    word,
    words,
)
from orchestrator.configuration.reading import Section
from orchestrator.configuration.scalars import clip, duration_of, listed, name_of, suggestion
from orchestrator.configuration.settings import RETRY, Defaults
from orchestrator.configuration.timing_keys import DIGEST, SEND_AT
from orchestrator.core.policy import (
    CLASSES,
    HOUR_MS,
    MINUTE_MS,
    OTP,
    TRANSACTIONAL,
    Dedupe,
    Goal,
    Policy,
    Step,
)
from orchestrator.core.status import WAITABLE
from orchestrator.core.values import Value

ORDERS = ("fixed", "cheapest", "most_engaged")
OTP_DEADLINE_MS = 10 * MINUTE_MS
DEADLINE_MS = 24 * HOUR_MS
PARTS_MAX = 10
STEPS_MAX = 20


class Trigger(Value):
    """The event type that starts a policy, and a condition on it."""

    event: str
    when: str | None = None


def read_channel(section: Section, key: str, default: str) -> str:
    """The step's channel; that a provider serves it is checked with the whole configuration."""
    return section.value(key, "", name_of)


def read_wait(section: Section, key: str, default: Any) -> tuple[tuple[str, int], ...]:
    """The states waited for, in their order; ``wait: 10m`` is short for ``{delivered: 10m}``."""
    node = section.get(key)
    if node is None:
        return ()
    if node.kind == "list":
        fix = "write wait: 10m, or wait: {delivered: 10m, read: 1h}"
        section.error(key, "`wait` is a list", fix)
        return ()
    if node.kind != "map":
        short = section.parse(node, "`wait`", duration_of, None)
        return (("delivered", short),) if short else ()
    if not node.value:
        fix = "write wait: {delivered: 10m}, or remove it"
        section.error(key, "`wait` names no state", fix)
    found: dict[str, int] = {}
    for state, inner in node.value.items():
        if state not in WAITABLE:
            fix = suggestion(state, WAITABLE, f"wait for {listed(WAITABLE)}")
            fix = "that is `read` here" if state == "seen" else fix
            what = f"nothing can wait for {clip(state)!r}"
            section.report.error(node.keys[state], what, fix)
            continue
        wait_ms = section.parse(inner, f"`wait.{state}`", duration_of, None)
        if wait_ms is not None:
            found[state] = wait_ms
    ordered = tuple((state, found[state]) for state in WAITABLE if state in found)
    for (before, before_ms), (after, after_ms) in pairwise(ordered):
        if after_ms < before_ms:  # the later state implies the earlier one
            what = f"`{after}` has less time than `{before}`, which comes before it"
            fix = f"give `{after}` at least as long, or remove `{before}`"
            section.report.error(node.value[after].position, what, fix)
    return ordered


CHANNEL: Kind[str] = Kind("channel", read_channel, NAME.schema)
WAIT: Kind[tuple[tuple[str, int], ...]] = Kind(
    "duration, or durations by state",
    read_wait,
    {
        "anyOf": [
            DURATION.describe(),
            obj(dict.fromkeys(WAITABLE, DURATION.describe())) | {"minProperties": 1},
        ]
    },
)
WAITING_KEYS = (
    Key("wait", WAIT, "How long a state is waited for before the next step.", otherwise="no wait"),
    Key(
        "on_unknown",
        word("wait", "resend", "advance"),
        "What follows an outcome that nobody knows.",
    ),
)
TRIGGER = table(
    Trigger,
    Key(
        "event",
        TEXT,
        "The CloudEvents type.",
        need="name the CloudEvents type: event: shop.cart.abandoned",
    ),
    Key("when", EXPRESSION, "A condition on the event."),
)
DEDUPE = table(
    Dedupe,
    Key(
        "key",
        EXPRESSION,
        "What makes two events the same.",
        need='write an expression: key: "event.cart_id"',
    ),
    Key(
        "window", DURATION, "How long a key counts.", need="say how long a key counts: window: 24h"
    ),
)
GOAL = table(
    Goal,
    Key(
        "event",
        TEXT,
        "The CloudEvents type.",
        need="name the CloudEvents type: event: shop.order.placed",
    ),
    Key("match", EXPRESSION, "A condition over `goal` and `event`."),
)


@cache
def step_keys(defaults: Defaults, companion: bool) -> Table[Step]:
    """The keys of a step, or of a companion, which has nothing to wait for."""
    return table(
        Step,
        Key("channel", CHANNEL, "The channel.", need="name the channel: channel: sms"),
        *(() if companion else WAITING_KEYS),
        Key("when", EXPRESSION, "The step is skipped unless this is true."),
        Key("providers", words("provider names"), "The providers to use.", otherwise="all"),
        Key("ttl", DURATION, "How long the provider may try.", otherwise="the longest wait"),
        Key("retry", nested(RETRY), "Further tries on one provider.", defaults.retry),
        Key("max_cost", AMOUNT, "The most that a message may cost.", otherwise="no limit"),
        Key("max_parts", whole(1, PARTS_MAX), "The most parts of an SMS.", otherwise="no limit"),
        make=make_step,
        elsewhere=("wait", "on_unknown") if companion else (),
    )


def make_step(step: Section, values: dict[str, Any]) -> Step:
    """One step. Companions never count for the cascade, so they have nothing to wait for."""
    for key in ("wait", "on_unknown"):
        if key not in step.known and step.has(key):
            what = f"a companion cannot have `{key}`: it never counts for the cascade"
            step.report.error(step.keys[key], what, "remove it, or make it a step of the cascade")
    cost = values.pop("max_cost")
    made = Step(max_cost=None if cost is None else str(cost), **values)
    channel = channels().get(made.channel)
    if made.max_parts is not None and channel is not None and not channel.counts_parts:
        counting = listed([name for name, one in channels().items() if one.counts_parts])
        what = f"`max_parts` means nothing on {made.channel}"
        step.report.error(step.keys["max_parts"], what, f"only {counting} is sent in parts")
    return made


def steps(inner: Table[Step], called: str) -> Kind[tuple[Step, ...]]:
    """A list of steps; that of a cascade is not empty."""
    cascade = called == "the step"

    def read_steps(section: Section, key: str, default: Any) -> tuple[Step, ...]:
        nodes = section.items(key, "steps")
        if cascade and not nodes and section.has(key) and section.nodes[key].kind == "list":
            fix = "write at least one: - channel: sms"
            section.error(key, "the cascade has no steps", fix)
        if len(nodes) > STEPS_MAX:
            section.error(key, f"`{key}` has more than {STEPS_MAX} steps", "shorten it")
        made = (read(inner, section.item(node, called, "channel")) for node in nodes)
        return tuple(one for one in made if one is not None)

    def schema() -> Schema:
        return array(describe(inner), 1 if cascade else 0)

    return Kind("list of steps", read_steps, schema, table=inner, path="[].")


@cache
def policy_keys(defaults: Defaults) -> Table[Policy]:
    """The keys of a policy; ``defaults`` are those of the installation."""
    return table(
        Policy,
        Key("policy", NAME, "Its name.", need="name it: policy: cart_abandoned"),
        Key(
            "trigger",
            nested(TRIGGER),
            "The event that starts it.",
            otherwise="only what names the policy starts it",
        ),
        Key(
            "class",
            word(*CLASSES),
            "What kind of message it is.",
            TRANSACTIONAL,
            field="message_class",
        ),
        Key("topic", NAME, "What recipients opt out of.", otherwise="its name"),
        Key("template", NAME, "The directory of its templates.", otherwise="its name"),
        Key(
            "deadline",
            DURATION,
            "How long after the event anything is sent.",
            otherwise="`10m` for `otp`, else `24h`",
        ),
        Key("dedupe", nested(DEDUPE), "Which events are the same one."),
        Key("digest", nested(DIGEST), "What is gathered and sent as one message."),
        Key("send_at", nested(SEND_AT), "The hours in which it starts."),
        Key("goal", nested(GOAL), "The later event that makes the message pointless."),
        Key(
            "cascade",
            steps(step_keys(defaults, False), "the step"),
            "The steps, until one reaches the recipient.",
            need="write at least one step: cascade: [{channel: sms}]",
        ),
        Key("also", steps(step_keys(defaults, True), "the companion"), "Steps beside the cascade."),
        Key("order", word(*ORDERS), "The order of the steps."),
        Key(
            "codes",
            NAMES,
            "Pools of which a message gets a code each, by the codes' names in templates.",
        ),
        Key(
            "convert",
            nested(CONVERT),
            "What counts as converted after a success.",
            otherwise="the goal within 3d",
        ),
        Key(
            "experiment",
            experiment_kind(steps(step_keys(defaults, False), "the step"), WAIT),
            "Arms that are compared.",
        ),
        Key("late", word("close", "ignore"), "What a receipt after the end does."),
        make=lambda section, values: make_policy(values, defaults),
    )


def make_policy(values: dict[str, Any], defaults: Defaults) -> Policy:
    """The policy without its version; what is wrong has been reported and has a default."""
    name = values.pop("policy") or "unnamed"
    trigger = values.pop("trigger") or Trigger("")
    is_otp = values["message_class"] == OTP
    values["topic"] = values["topic"] or name
    values["template"] = values["template"] or name
    values["deadline_ms"] = values["deadline_ms"] or (OTP_DEADLINE_MS if is_otp else DEADLINE_MS)
    return Policy(
        name=name,
        version="",
        event=trigger.event,
        when=trigger.when,
        default_wait_ms=defaults.wait_ms,
        **values,
    )
