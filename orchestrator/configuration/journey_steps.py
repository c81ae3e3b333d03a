"""The keys of a journey's steps, each declared once."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from orchestrator.channels.registry import address_fields
from orchestrator.configuration.governance_file import WEEKDAYS
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
    DURATION,
    EXPRESSION,
    NAME,
    NAME_SCHEMA,
    TEXT,
    scalar,
    whole,
)
from orchestrator.configuration.reading import Section
from orchestrator.configuration.scalars import (
    Invalid,
    clip,
    listed,
    name_fix,
    text_of,
    whole_of,
)
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.inside import is_inside
from orchestrator.core.journey.journey import (
    BranchArm,
    BranchStep,
    JourneyStep,
    PublishStep,
    RepeatStep,
    SendStep,
    SetStep,
    SplitArm,
    SplitStep,
    UntilEventStep,
    UntilTimeStep,
    WaitStep,
)
from orchestrator.recipients.document import FIELDS

AT_ONCE = "at_once"
WEIGHTS = "weights"
TIMES_MAX = 1_000
WEIGHT_MAX = 1_000_000
CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
CLOCK_SCHEMA: Schema = {"type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$"}
STEP_REFERENCE: Schema = {"$ref": "#/$defs/step"}
FIX_TIME = 'write the time of day: "09:00"'
FIX_TYPE = "name the CloudEvents type: type: crm.done"
VERBS = ("send", "wait", "until", "split", "branch", "repeat", "publish", "set")


def clock_of(node: Node, called: str) -> int:
    """``HH:MM`` as minutes from midnight."""
    found = CLOCK.fullmatch(text_of(node, called, FIX_TIME))
    if found is None:
        raise Invalid(f"{called} {clip(node.text)!r} is not a time of day", FIX_TIME)
    return int(found[1]) * 60 + int(found[2])


def read_steps(section: Section, key: str, default: Any) -> tuple[JourneyStep, ...]:
    """A list of steps; those that are wrong are left out."""
    nodes = section.items(key, "steps")
    made = (read(step_keys(), section.item(node, "the step", "send")) for node in nodes)
    return tuple(one for one in made if one is not None)


def read_then(section: Section, key: str, default: Any) -> Any:
    """``at_once`` after a send, a list of steps after `until`."""
    node = section.get(key)
    if node is None or node.kind == "list":
        return read_steps(section, key, default)
    if section.has("send"):
        section.word(key, (AT_ONCE,), None)
        return AT_ONCE
    return read_steps(section, key, default) if section.has("until") else ()


def read_until(section: Section, key: str, default: Any) -> JourneyStep | None:
    """A time of day, a weekday with one, or an event."""
    node = section.get(key)
    if node is None:
        return None
    if node.kind != "map":
        minute = section.parse(node, "`until`", clock_of, None)
        return None if minute is None else UntilTimeStep(minute)
    inner = section.section(key, first="event")
    if inner.has("at") or inner.has("weekday"):
        return read(UNTIL_TIME, inner)
    return read(UNTIL_EVENT, inner)


def read_split(section: Section, key: str, default: Any) -> SplitStep | None:
    """Weights by the names of arms, and beside them the steps of each."""
    if section.get(key) is None:
        return None
    inner = section.section(key, first=WEIGHTS)
    if inner.broken:
        return None
    if inner.need(WEIGHTS, "give each arm a weight: weights: {calm: 50, bold: 50}") is None:
        return None
    weights = inner.section(WEIGHTS, first="calm")
    arms = []
    for name in weights.nodes:
        if not re.fullmatch(NAME_SCHEMA["pattern"], name):
            what = f"the arm {clip(name)!r} is not a name"
            section.report.error(weights.keys[name], what, name_fix(name))
            continue
        weight = weights.value(name, None, weight_of)
        if not inner.has(name):
            fix = f"write {name}: [{{send: …}}], or {name}: [] for nothing"
            section.report.error(weights.keys[name], f"the arm {name!r} has no steps", fix)
        if weight is not None:
            arms.append(SplitArm(name, weight, read_steps(inner, name, ())))
    for name in inner.nodes:
        if name not in (WEIGHTS, *weights.nodes):
            inner.known.add(name)
            fix = f"write {name}: 50 under `weights`, or remove it"
            what = f"the arm {clip(name)!r} has no weight"
            section.report.error(inner.keys[name], what, fix)
    if len(weights.nodes) == 1:
        fix = "name another arm, or write its steps without a split"
        section.report.error(weights.position, "a split with one arm splits nobody", fix)
    return SplitStep(tuple(arms)) if len(arms) > 1 else None


def own_type_of(node: Node, called: str) -> str:
    """An event type that is not one of ours."""
    type = text_of(node, called)
    if is_inside(type):
        fix = "write a type of your own, such as crm.trek.done"
        raise Invalid(f"the event type {clip(type)!r} is one of ours", fix)
    return type


def weight_of(node: Node, called: str) -> int:
    """The weight of an arm; none has nobody."""
    return whole_of(node, called, 1, WEIGHT_MAX)


def read_expressions(section: Section, key: str, default: Any) -> tuple[tuple[str, str], ...]:
    """Names with expressions."""
    if section.get(key) is None:
        return ()
    inner = section.section(key, first="name")
    found = []
    for name in inner.nodes:
        written = inner.value(name, None, value_of)
        if written is not None:
            found.append((name, written))
    return tuple(found)


def value_of(node: Node, called: str) -> str:
    """An expression, or a number or truth value that stands for itself."""
    if node.kind in ("int", "float", "bool"):
        return node.text.lower()
    fix = f'write an expression in quotes: {clip(called)[1:-1]}: "event.total"'
    return text_of(node, called, fix)


def read_set(section: Section, key: str, default: Any) -> SetStep | None:
    values = read_expressions(section, key, default)
    for name, _ in values:
        if name == "id" or name in FIELDS or name in address_fields():
            what = f"`set` cannot set {name!r}: it is a field of the profile, not an attribute"
            fix = "send it with an event or over the API"
            section.report.error(section.nodes[key].keys[name], what, fix)
    if not values and section.get(key) is not None and section.nodes[key].kind == "map":
        section.error(key, "`set` sets nothing", "write set: {tier: \"'vip'\"}")
    return SetStep(values) if values else None


def read_branch(section: Section, key: str, default: Any) -> BranchStep | None:
    """Ways with conditions; the first that is true is gone."""
    if section.get(key) is None:
        return None
    nodes = section.items(key, "branches")
    if not nodes and section.nodes[key].kind == "list":
        fix = 'write branch: [{when: "event.total > 100", steps: […]}, {steps: […]}]'
        section.error(key, "`branch` has no branches", fix)
    read_arms = (read(BRANCH_ARM, section.item(node, "the branch", "when")) for node in nodes)
    arms = tuple(one for one in read_arms if one is not None)
    return BranchStep(arms) if arms else None


def make_repeat(section: Section, values: dict[str, Any]) -> RepeatStep | None:
    if not values["steps"]:
        fix = "write what is repeated: steps: [{send: a}]"
        section.report.error(section.position, "`repeat` repeats nothing", fix)
    return RepeatStep(**values) if values["steps"] and values["times"] else None


STEPS: Kind[tuple[JourneyStep, ...]] = Kind("list of steps", read_steps, array(STEP_REFERENCE))
OWN_TYPE = scalar("text", own_type_of, TEXT.describe())
CLOCK_TIME = scalar("time of day", clock_of, CLOCK_SCHEMA)
WEEKDAY: Kind[int] = Kind(
    listed([f"`{day}`" for day in WEEKDAYS]),
    lambda section, key, default: (
        default if (day := section.word(key, WEEKDAYS, None)) is None else WEEKDAYS.index(day)
    ),
    {"enum": list(WEEKDAYS)},
)
EXPRESSIONS: Kind[tuple[tuple[str, str], ...]] = Kind(
    "names with expressions",
    read_expressions,
    {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
)
UNTIL_TIME = table(
    UntilTimeStep,
    Key("at", CLOCK_TIME, "The time of day.", need=FIX_TIME, field="minute"),
    Key("weekday", WEEKDAY, "The day of the week.", otherwise="any"),
)
UNTIL_EVENT = table(
    UntilEventStep,
    Key("event", TEXT, "The CloudEvents type.", need="name the CloudEvents type"),
    Key("match", EXPRESSION, "A condition on the event that came."),
    Key("within", DURATION, "How long it is waited for.", otherwise="the journey's deadline"),
)
BRANCH_ARM = table(
    BranchArm,
    Key("when", EXPRESSION, "The condition.", otherwise="always"),
    Key("steps", STEPS, "What is done then.", (), need="write steps: [], or what is done"),
)
PUBLISH = table(
    PublishStep,
    Key("type", OWN_TYPE, "The CloudEvents type.", need=FIX_TYPE),
    Key("data", EXPRESSIONS, "Its data: names with expressions.", ()),
)
REPEAT = table(
    RepeatStep,
    Key("times", whole(1, TIMES_MAX), "How often.", need="say how often: times: 4"),
    Key("steps", STEPS, "What is repeated.", (), need="write what is repeated: steps: […]"),
    make=make_repeat,
)


def one_of(*kinds: Schema) -> Schema:
    return {"anyOf": list(kinds)}


def split_schema() -> Schema:
    weights = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
    return obj({WEIGHTS: weights}, WEIGHTS, extra=array(STEP_REFERENCE))


UNTIL: Kind[JourneyStep] = Kind(
    "time of day, weekday with one, or event",
    read_until,
    lambda: one_of(CLOCK_SCHEMA, describe(UNTIL_TIME), describe(UNTIL_EVENT)),
    table=UNTIL_EVENT,
)
SPLIT: Kind[SplitStep] = Kind("weights, and steps by arm", read_split, split_schema)
BRANCH: Kind[BranchStep] = Kind(
    "list of branches",
    read_branch,
    lambda: array(describe(BRANCH_ARM), 1),
    table=BRANCH_ARM,
    path="[].",
)
SET: Kind[SetStep] = Kind("names with expressions", read_set, EXPRESSIONS.schema)
THEN: Kind[Any] = Kind(
    "`at_once`, or list of steps",
    read_then,
    one_of({"enum": [AT_ONCE]}, array(STEP_REFERENCE)),
)


@cache
def step_keys() -> Table[JourneyStep]:
    """The keys of a step: it does one thing, and two of them say how it goes on."""
    return Table(
        (
            Key("send", NAME, "A policy whose message is sent.", field="send"),
            Key("wait", DURATION, "How long nothing is done.", field="wait"),
            Key("until", UNTIL, "What is waited for.", field="until"),
            Key("split", SPLIT, "Ways by share.", field="split"),
            Key("branch", BRANCH, "Ways by condition; the first that is true.", field="branch"),
            Key("repeat", nested(REPEAT), "What is done several times.", field="repeat"),
            Key("publish", nested(PUBLISH), "An event that is published.", field="publish"),
            Key("set", SET, "Attributes of the recipient that are set.", field="set"),
            Key(
                "then",
                THEN,
                "Of `send`: do not wait for its end; of `until`: what is done if it comes.",
                field="then",
            ),
            Key("else", STEPS, "Of `until`: what is done if it does not come.", field="otherwise"),
        ),
        make_step,
    )


def make_step(section: Section, values: dict[str, Any]) -> JourneyStep | None:
    """The one thing that a step does."""
    if section.broken:
        return None
    verbs = [verb for verb in VERBS if section.has(verb)]
    if len(verbs) != 1:
        what = (
            f"the step does {len(verbs)} things: {listed(verbs)}"
            if verbs
            else ("the step does nothing")
        )
        fix = "write each as a step of its own" if verbs else f"write one of {listed(VERBS)}"
        section.report.error(section.position, what, fix)
        return None
    verb, value = verbs[0], values[verbs[0]]
    if value is None:
        if section.get(verb) is None:
            section.report.error(section.keys[verb], f"`{verb}` is empty", f"write {verb}: …")
        return None
    refuse_ways(section, verb, value)
    match verb:
        case "send":
            return SendStep(value, at_once=values["then"] == AT_ONCE)
        case "wait":
            return WaitStep(value)
        case "until" if isinstance(value, UntilEventStep):
            then, otherwise = values["then"] or (), values["otherwise"] or ()
            return UntilEventStep(value.event, value.match, value.within_ms, then, otherwise)
    made: JourneyStep = value
    return made


def refuse_ways(section: Section, verb: str, value: Any) -> None:
    """Report `then` and `else` of a step that has only one way to go on."""
    event = isinstance(value, UntilEventStep)
    if section.has("else") and not event:
        fix = "write it after `until: {event: …}`, or as a branch"
        section.report.error(section.keys["else"], f"`{verb}` has no `else`", fix)
    if not section.has("then") or event:
        return
    if verb == "send":
        if section.nodes["then"].kind == "list":
            fix = "write them as the next steps: a send is waited for anyway"
            section.error("then", "`then` of a send is a list of steps", fix)
        return
    section.report.error(section.keys["then"], f"`{verb}` has no `then`", "write the next step")
