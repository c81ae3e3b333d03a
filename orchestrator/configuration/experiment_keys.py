"""The keys of an experiment, each declared once, and of what counts as converted."""

from __future__ import annotations

from typing import Any

from orchestrator.channels.registry import channels
from orchestrator.configuration.keys import Key, Kind, describe, nested, read, table
from orchestrator.configuration.kinds import BOOLEAN, DURATION, EXPRESSION, NAME, TEXT, whole, word
from orchestrator.configuration.reading import Section, clip, suggestion
from orchestrator.core.policy import Arm, Convert, Experiment, Step

WEIGHT_MAX = 1_000_000
ARMS_MAX = 20

CONVERT = table(
    Convert,
    Key("event", TEXT, "The CloudEvents type.", "", otherwise="that of the goal"),
    Key("match", EXPRESSION, "A condition over `goal` and `event`.", otherwise="that of the goal"),
    Key("within", DURATION, "How long after a success it counts."),
)


def waits_by_channel(wait: Kind[Any]) -> Kind[dict[str, Any]]:
    """Waits of an arm, by the channel whose steps they replace."""

    def read_waits(section: Section, key: str, default: Any) -> dict[str, Any]:
        inner = section.section(key) if section.get(key) is not None else None
        if inner is None or inner.broken:
            return {}
        found: dict[str, Any] = {}
        for channel in list(inner.nodes):
            inner.known.add(channel)
            if channel not in channels():
                fix = suggestion(channel, channels(), "write waits: {viber: 5m}")
                what = f"there is no channel {clip(channel)!r}"
                section.report.error(inner.keys[channel], what, fix)
                continue
            found[channel] = wait.read(inner, channel, ())
        return found

    return Kind(
        "waits by channel",
        read_waits,
        lambda: {"type": "object", "additionalProperties": wait.describe()},
    )


def experiment_kind(cascade: Kind[tuple[Step, ...]], wait: Kind[Any]) -> Kind[Experiment]:
    """An experiment whose arms may have a cascade, or waits, of their own."""
    arm = table(
        Arm,
        Key(
            "weight",
            whole(1, WEIGHT_MAX),
            "Its share of the people, as the others' weights say.",
            need="say how many people get it: weight: 50",
        ),
        Key("hold_out", BOOLEAN, "Its people get nothing, and are counted (`held_out`)."),
        Key("template", NAME, "Its own template.", "", otherwise="the policy's"),
        Key("cascade", cascade, "Its own steps.", otherwise="the policy's"),
        Key("waits", waits_by_channel(wait), "Its own waits.", otherwise="the policy's"),
    )

    def read_arms(section: Section, key: str, default: Any) -> tuple[Arm, ...]:
        return section.each(key, lambda name, inner: read(arm, inner, name=name))

    def schema() -> dict[str, Any]:
        return {"type": "object", "additionalProperties": describe(arm), "minProperties": 2}

    arms: Kind[tuple[Arm, ...]] = Kind(
        "named mappings", read_arms, schema, table=arm, path=".<arm>."
    )
    return nested(
        table(
            Experiment,
            Key(
                "name",
                NAME,
                "Its name: people keep their arm for as long as it is the same.",
                need="name it: name: reminder_tone",
            ),
            Key("arms", arms, "What is compared.", need="write arms: {control: {weight: 50}, …}"),
            Key("metric", word("goal", "clicked", "replied"), "What an arm succeeds by."),
            Key("within", DURATION, "How long after the first message of a person it counts."),
            Key(
                "allocate",
                word("fixed", "thompson"),
                "By the weights, or more to what works better as it shows.",
            ),
            make=make_experiment,
        )
    )


def make_experiment(section: Section, values: dict[str, Any]) -> Experiment | None:
    """An experiment with at least two arms, one of which sends something."""
    arms: tuple[Arm, ...] = values["arms"] or ()
    if not values["name"] or not arms:
        return None
    if len(arms) < 2 or len(arms) > ARMS_MAX:
        what = f"an experiment has 2 to {ARMS_MAX} arms, and this has {len(arms)}"
        section.error("arms", what, "write arms: {control: {weight: 50}, warm: {weight: 50, …}}")
    elif all(arm.hold_out for arm in arms):
        section.error("arms", "every arm holds its people out", "let one of them send")
    for arm in arms:
        own = [key for key in ("template", "cascade", "waits") if getattr(arm, key)]
        if arm.hold_out and own:
            what = f"the arm {arm.name!r} sends nothing, so `{own[0]}` changes nothing"
            section.error("arms", what, f"remove `{own[0]}`, or `hold_out`")
    sending = [arm for arm in arms if not arm.hold_out]
    if values["allocate"] == "thompson" and len(sending) < 2:
        what = "`allocate: thompson` has nothing to choose from: one arm sends"
        section.error("allocate", what, "write a second arm, or allocate: fixed")
    return Experiment(**values)
