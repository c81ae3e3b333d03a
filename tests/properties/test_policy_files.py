"""A policy is the same however it is written down, and its version says so."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orchestrator.configuration.policy_file import (
    load_policy,
    policy_from_document,
    policy_to_document,
)
from orchestrator.core.policy import CLASSES, Policy
from orchestrator.core.status import WAITABLE
from orchestrator.core.values import replace
from tests.properties.sizes import runs, sizes

NAMES = st.sampled_from(["cart", "order_shipped", "x1", "long_name-2"])
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATIONS = st.sampled_from([1_000, 60_000, 600_000, 3_600_000, 86_400_000, 7 * 86_400_000])
EXPRESSIONS = st.sampled_from(["event.total >= 300", "recipient.x != false", "event.a == 'б'"])


def spelled(ms: int, choice: int) -> str:
    """One of the ways to write a duration."""
    ways = [f"{ms // size}{unit}" for unit, size in UNITS.items() if ms % size == 0 and ms >= size]
    return ways[choice % len(ways)]


@st.composite
def steps(draw: st.DrawFn, companion: bool = False) -> dict[str, Any]:
    step: dict[str, Any] = {"channel": draw(st.sampled_from(["sms", "email", "viber", "web_push"]))}
    if not companion and draw(st.booleans()):
        times = sorted(draw(st.lists(DURATIONS, min_size=1, max_size=3, unique=True)))
        states = sorted(
            draw(st.lists(st.sampled_from(WAITABLE), min_size=1, max_size=len(times), unique=True)),
            key=WAITABLE.index,
        )
        step["wait"] = dict(zip(states, times, strict=False))
    for key, values in {
        "when": EXPRESSIONS,
        "ttl": DURATIONS,
        "max_cost": st.sampled_from(["0.45", "10"]),
        "providers": st.just(["a", "b"]),
        "retry": st.fixed_dictionaries({"max": st.integers(0, 9), "within": DURATIONS}),
    }.items():
        if draw(st.booleans()):
            step[key] = draw(values)
    if not companion and draw(st.booleans()):
        step["on_unknown"] = draw(st.sampled_from(["wait", "resend", "advance"]))
    if step["channel"] == "sms" and draw(st.booleans()):
        step["max_parts"] = draw(st.integers(1, 10))
    return step


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "policy": draw(NAMES),
        "trigger": {"event": "shop.event", "when": draw(EXPRESSIONS)},
        "cascade": draw(st.lists(steps(), min_size=1, max_size=5)),
    }
    for key, values in {
        "class": st.sampled_from(CLASSES),
        "topic": NAMES,
        "template": NAMES,
        "deadline": DURATIONS,
        "dedupe": st.fixed_dictionaries({"key": EXPRESSIONS, "window": DURATIONS}),
        "goal": st.fixed_dictionaries({"event": st.just("shop.order"), "match": EXPRESSIONS}),
        "also": st.lists(steps(companion=True), min_size=1, max_size=2),
        "order": st.sampled_from(["fixed", "cheapest"]),
        "late": st.sampled_from(["close", "ignore"]),
    }.items():
        if draw(st.booleans()):
            policy[key] = draw(values)
    return policy


DURATION_KEYS = ("deadline", "window", "ttl", "within", *WAITABLE)


def written(value: Any, rng: Random, key: str = "") -> Any:
    """The same with its durations in some spelling, and its keys in some order."""
    if isinstance(value, dict):
        items = list(value.items())
        if key != "wait":
            rng.shuffle(items)
        return {name: written(inner, rng, name) for name, inner in items}
    if isinstance(value, list):
        return [written(inner, rng) for inner in value]
    return (
        spelled(value, rng.randrange(5))
        if key in DURATION_KEYS and isinstance(value, int)
        else value
    )


def as_yaml(policy: dict[str, Any], rng: Random) -> str:
    """Block style with a comment, or flow style."""
    if rng.randrange(2):
        return json.dumps(written(policy, rng), ensure_ascii=False)
    out = io.StringIO()
    YAML().dump(written(policy, rng), out)
    return f"# a comment\n{out.getvalue()}\n"


@sizes(60, 3_000)
def test_policies_keep_their_meaning_and_one_version_through_files_and_the_store(
    size: int, tmp_path: Path
) -> None:
    path = tmp_path / "policy.yaml"

    def read(policy: dict[str, Any], rng: Random, template: str = "hash") -> Policy:
        path.write_text(as_yaml(policy, rng), "utf-8")
        return load_policy(path, templates=lambda name: template).policy

    @runs(size)
    @given(policies(), policies(), st.integers(0, 2**32))
    def holds(one: dict[str, Any], other: dict[str, Any], seed: int) -> None:
        rng = Random(seed)
        first, again, second = read(one, rng), read(one, rng), read(other, rng)
        assert first == again, "another spelling"
        for policy in (first, second):
            assert (
                policy_from_document(json.loads(json.dumps(policy_to_document(policy)))) == policy
            )
        same = replace(first, version="") == replace(second, version="")
        assert (first.version == second.version) is same
        assert read(other, rng, "other").version != second.version, "another template"

    holds()
