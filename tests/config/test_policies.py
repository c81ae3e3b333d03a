"""Policies are read whole, refused with places and cures, and written back for the store without loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.policy import CLASSES, DAY_MS, HOUR_MS, MINUTE_MS, Dedupe, Goal, Policy, Retry, Step
from orchestrator.core.status import WAITABLE
from orchestrator.policyfile import (
    Defaults,
    hash_templates,
    load_policies,
    load_policy,
    policy_from_document,
    policy_to_document,
)
from orchestrator.yamlfile import ConfigError

ROOT = Path(__file__).parents[2]
HEAD = "policy: p\ntrigger: {event: e}\n"
STEPS = HEAD + "cascade:\n"


def no_templates(template: str) -> str:
    return ""


def read(tmp_path: Path, text: str, name: str = "p.yaml") -> Policy:
    path = tmp_path / name
    path.write_text(text)
    return load_policy(path, templates=no_templates).policy


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in refused.value.problems]


BAD = [
    ("", ["p.yaml:1:1: the file holds no policy; write `policy:`, `trigger:` and `cascade:`"]),
    ("- a", ["p.yaml:1:1: the policy is a list; write `policy:`, `trigger:` and `cascade:`"]),
    (
        "policy: p",
        [
            "p.yaml:1:1: the policy has no `trigger`; say what starts it: trigger: {event: shop.cart.abandoned}",
            "p.yaml:1:1: the policy has no `cascade`; write at least one step: cascade: [{channel: sms}]",
        ],
    ),
    (
        "trigger: {event: e}\ncascade: [{channel: sms}]",
        ["p.yaml:1:1: the policy has no `policy`; name it: policy: cart_abandoned"],
    ),
    (
        "policy: Cart!\ntrigger: {event: e}\ncascade: [{channel: sms}]",
        [
            "p.yaml:1:9: `policy` 'Cart!' is not a name; use lower-case letters, digits, _ and -, "
            "beginning with a letter, at most 64 characters"
        ],
    ),
    (HEAD + "cascade: []", ["p.yaml:3:10: the cascade has no steps; write at least one: - channel: sms"]),
    (HEAD + "cascade: sms", ["p.yaml:3:10: `cascade` is a text; write a list of steps: [ … ]"]),
    (STEPS + "  - sms", ["p.yaml:4:5: the step is a text; write a mapping: key: value"]),
    (STEPS + "  - {wait: 10m}", ["p.yaml:4:5: the step has no `channel`; name the channel: channel: sms"]),
    (STEPS + "  - {chanel: sms}", None),
    (STEPS + "  - {channel: in_app}", ["p.yaml:4:15: the channel 'in_app' is reserved, not available yet; use another"]),
    (
        STEPS + "  - {channel: mobile_push}",
        ["p.yaml:4:15: the channel 'mobile_push' is reserved, not available yet; use another"],
    ),
    (STEPS + "  - {channel: sms, wiat: 10m}", ["p.yaml:4:20: the step has no key 'wiat'; did you mean 'wait'?"]),
    (
        STEPS + "  - {channel: sms, wait: 10}",
        ["p.yaml:4:26: `wait` 10 has no unit; write the unit: 10s, 10m or so"],
    ),
    (
        STEPS + "  - {channel: sms, wait: soon}",
        ["p.yaml:4:26: `wait` 'soon' is not a duration; write a whole number and a unit: 250ms 30s 10m 24h 7d"],
    ),
    (STEPS + "  - {channel: sms, wait: 0s}", ["p.yaml:4:26: `wait` is zero; write a duration longer than 0"]),
    (STEPS + "  - {channel: sms, wait: 9999d}", ["p.yaml:4:26: `wait` is longer than ten years; write at most 3650d"]),
    (
        STEPS + "  - {channel: sms, wait: [10m]}",
        ["p.yaml:4:26: `wait` is a list; write wait: 10m, or wait: {delivered: 10m, read: 1h}"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {}}",
        ["p.yaml:4:26: `wait` names no state; write wait: {delivered: 10m}, or remove it"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {seen: 1h}}",
        ["p.yaml:4:27: nothing can wait for 'seen'; that is `read` here"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {deliverd: 1h}}",
        ["p.yaml:4:27: nothing can wait for 'deliverd'; did you mean 'delivered'?"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {bounced: 1h}}",
        ["p.yaml:4:27: nothing can wait for 'bounced'; wait for sent, delivered, read, clicked or replied"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {read: 5m, delivered: 10m}}",
        [
            "p.yaml:4:33: `read` has less time than `delivered`, which comes before it; "
            "give `read` at least as long, or remove `delivered`"
        ],
    ),
    (
        STEPS + "  - {channel: sms, on_unknown: retry}",
        ["p.yaml:4:32: `on_unknown` cannot be 'retry'; write wait, resend or advance"],
    ),
    (
        STEPS + "  - {channel: email, max_parts: 2}",
        ["p.yaml:4:22: `max_parts` means nothing on email; only sms is sent in parts"],
    ),
    (
        STEPS + "  - {channel: sms, max_parts: 0}",
        ["p.yaml:4:31: `max_parts` cannot be 0; write a number from 1 to 10"],
    ),
    (STEPS + "  - {channel: sms, max_parts: two}", ["p.yaml:4:31: `max_parts` is a text (two); write a whole number"]),
    (
        STEPS + "  - {channel: sms, when: false}",
        ['p.yaml:4:26: `when` is true or false (false); write an expression in quotes, such as "event.total >= 300"'],
    ),
    (STEPS + "  - {channel: sms, providers: twilio}", None),
    (
        STEPS + "  - {channel: sms, providers: [a, a]}",
        ["p.yaml:4:35: `providers` names 'a' twice; remove one"],
    ),
    (
        STEPS + "  - {channel: sms, max_cost: cheap}",
        ['p.yaml:4:30: `max_cost` is not an amount of money (cheap); write an amount such as "1.20"'],
    ),
    (STEPS + "  - {channel: sms, max_cost: -1}", None),
    (
        STEPS + "  - {channel: sms, retry: {max: 3, witin: 1m}}",
        ["p.yaml:4:36: `retry` has no key 'witin'; did you mean 'within'?"],
    ),
    (
        HEAD + "also: [{channel: email, wait: 1h}]\ncascade: [{channel: sms}]",
        [
            "p.yaml:3:25: a companion cannot have `wait`: it never counts for the cascade; "
            "remove it, or make it a step of the cascade"
        ],
    ),
    (
        HEAD + "order: most_engaged\ncascade: [{channel: sms}]",
        ["p.yaml:3:8: `order: most_engaged` is reserved, not available yet; write fixed or cheapest"],
    ),
    (
        HEAD + "order: random\ncascade: [{channel: sms}]",
        ["p.yaml:3:8: `order` cannot be 'random'; write fixed or cheapest"],
    ),
    (HEAD + "late: NO\ncascade: [{channel: sms}]", ["p.yaml:3:7: `late` cannot be 'NO'; write close or ignore"]),
    (
        HEAD + "class: promotion\ncascade: [{channel: sms}]",
        ["p.yaml:3:8: `class` cannot be 'promotion'; did you mean 'promotional'?"],
    ),
    (
        HEAD + "deadline: 24\ncascade: [{channel: sms}]",
        ["p.yaml:3:11: `deadline` 24 has no unit; write the unit: 24s, 24m or so"],
    ),
    (
        HEAD + "dedupe: {key: event.id}\ncascade: [{channel: sms}]",
        ["p.yaml:3:9: `dedupe` has no `window`; say how long a key counts: window: 24h"],
    ),
    (
        HEAD + "goal: {match: x}\ncascade: [{channel: sms}]",
        ["p.yaml:3:7: `goal` has no `event`; name the CloudEvents type: event: shop.order.placed"],
    ),
    (
        "policy: p\ntrigger: shop.cart\ncascade: [{channel: sms}]",
        ["p.yaml:2:10: `trigger` is a text; write a mapping: key: value"],
    ),
    (HEAD + "template: ../etc\ncascade: [{channel: sms}]", None),
    (
        HEAD + "cascad: []\ncascade: [{channel: sms}]",
        ["p.yaml:3:1: the policy has no key 'cascad'; did you mean 'cascade'?"],
    ),
    (
        HEAD + "deadline: 1x\nclass: spam\ncascade: [{channel: sms}]",
        [
            "p.yaml:4:8: `class` cannot be 'spam'; write otp, transactional, service or promotional",
            "p.yaml:3:11: `deadline` '1x' is not a duration; write a whole number and a unit: 250ms 30s 10m 24h 7d",
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), [(text, expected) for text, expected in BAD if expected is not None])
def test_a_bad_policy_is_refused_with_place_and_cure(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert problems(tmp_path, text) == expected


@pytest.mark.parametrize("text", [text for text, expected in BAD if expected is None])
def test_a_bad_policy_is_refused_on_the_line_of_its_mistake(tmp_path: Path, text: str) -> None:
    line = 4 if "\ncascade:\n" in text else 3
    found = problems(tmp_path, text)
    assert found
    assert all(one.startswith(f"p.yaml:{line}:") for one in found)


def test_a_minimal_policy_gets_every_default(tmp_path: Path) -> None:
    policy = read(tmp_path, HEAD + "cascade: [{channel: sms}]")
    assert policy == Policy(
        name="p",
        version=policy.version,
        event="e",
        cascade=(Step("sms", retry=Retry(3, 60_000)),),
        klass="transactional",
        topic="p",
        template="p",
        deadline_ms=24 * HOUR_MS,
        order="fixed",
        late="close",
        default_wait_ms=10 * MINUTE_MS,
    )


def test_a_one_time_code_is_worthless_after_ten_minutes(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "class: otp\ncascade: [{channel: sms}]").deadline_ms == 10 * MINUTE_MS


def test_every_key_of_a_policy_is_read(tmp_path: Path) -> None:
    policy = read(
        tmp_path,
        """
policy: p
trigger: {event: e, when: "event.a"}
class: service
topic: t
template: other
deadline: 2d
dedupe: {key: "event.k", window: 1h}
goal: {event: g, match: "goal.k == event.k"}
also: [{channel: email, when: "x", providers: [relay], ttl: 1h, retry: {max: 1}, max_cost: 2}]
order: cheapest
late: ignore
cascade:
  - channel: sms
    wait: {clicked: 1h, sent: 250ms}
    when: "event.b"
    providers: [b, a]
    ttl: 30s
    on_unknown: resend
    retry: {max: 0, within: 5s}
    max_cost: "1.20"
    max_parts: 3
""",
    )
    step = Step(
        "sms", (("sent", 250), ("clicked", HOUR_MS)), "event.b", ("b", "a"), 30_000, "resend", Retry(0, 5_000), "1.20", 3
    )
    companion = Step("email", when="x", providers=("relay",), ttl_ms=HOUR_MS, retry=Retry(1, 60_000), max_cost="2")
    assert policy == Policy(
        "p",
        policy.version,
        "e",
        (step,),
        "event.a",
        "service",
        "t",
        "other",
        2 * DAY_MS,
        Dedupe("event.k", HOUR_MS),
        Goal("g", "goal.k == event.k"),
        (companion,),
        "cheapest",
        "ignore",
    )


def test_a_bare_wait_is_short_for_delivered(tmp_path: Path) -> None:
    policy = read(tmp_path, STEPS + "  - {channel: viber, wait: 10m}\n  - {channel: sms}")
    assert policy.cascade[0].wait == (("delivered", 10 * MINUTE_MS),)


def test_the_installations_defaults_reach_every_step(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + "cascade: [{channel: sms, retry: {max: 9}}, {channel: email}]")
    policy = load_policy(path, templates=no_templates, defaults=Defaults(1_000, Retry(7, 2_000))).policy
    assert policy.default_wait_ms == 1_000
    assert [step.retry for step in policy.cascade] == [Retry(9, 2_000), Retry(7, 2_000)]


def test_the_version_is_of_the_meaning_and_not_of_the_spelling(tmp_path: Path) -> None:
    one = read(tmp_path, HEAD + "cascade: [{channel: sms, wait: 1m}]")
    same = read(tmp_path, "# remark\n" + HEAD + "late: close\ncascade:\n  - wait: {delivered: 60s}\n    channel: sms\n")
    other = read(tmp_path, HEAD + "cascade: [{channel: sms, wait: 61s}]")
    assert one.version == same.version != other.version
    assert len(one.version) == 12


def test_the_version_changes_with_the_templates(tmp_path: Path) -> None:
    folder = tmp_path / "templates" / "p"
    folder.mkdir(parents=True)
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + "cascade: [{channel: sms}]")

    def version() -> str:
        return load_policy(path, templates=hash_templates(tmp_path / "templates")).policy.version

    versions = [version()]
    (folder / "sms.text.j2").write_text("hello")
    versions.append(version())
    (folder / "sms.text.j2").write_text("hello!")
    versions.append(version())
    (folder / "sms.text.j2").rename(folder / "sms.uk.text.j2")
    versions.append(version())
    assert len(set(versions)) == 4


def test_a_policy_keeps_the_text_it_was_read_from(tmp_path: Path) -> None:
    text = "# why\n" + HEAD + "cascade: [{channel: sms}]\n"
    (tmp_path / "p.yaml").write_text(text)
    assert load_policy(tmp_path / "p.yaml", templates=no_templates).raw == text


def test_tests_of_policies_are_never_loaded_as_policies(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(HEAD + "cascade: [{channel: sms}]")
    (tmp_path / "p.test.yaml").write_text("tests: []")
    policies, files = load_policies(tmp_path, templates=no_templates)
    assert list(policies) == ["p"]
    assert files["p"].path.name == "p.yaml"


def test_two_policies_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(HEAD + "cascade: [{channel: sms}]")
    with pytest.raises(ConfigError, match=r"b\.yaml:1:9: the policy 'p' is also in a\.yaml; give one of them another name"):
        load_policies(tmp_path, templates=no_templates)


def test_every_bad_policy_of_a_directory_is_told_at_once(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("policy: x")
    with pytest.raises(ConfigError) as refused:
        load_policies(tmp_path, templates=no_templates)
    assert {Path(problem.path).name for problem in refused.value.problems} == {"a.yaml", "b.yaml"}


def test_a_directory_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such directory of policies"):
        load_policies(tmp_path / "none", templates=no_templates)


def test_the_worked_policies_are_well() -> None:
    policies, _ = load_policies(ROOT / "config" / "policies", templates=no_templates)
    assert {policy.klass for policy in policies.values()} == set(CLASSES)
    assert list(policies) == ["cart_abandoned", "order_shipped", "otp_code", "price_drop", "survey"]


TEXTS = st.text(min_size=1, max_size=20)
WAITS_MS = st.integers(1, 3650 * DAY_MS)
STEP = st.builds(
    Step,
    channel=TEXTS,
    wait=st.lists(st.tuples(st.sampled_from(WAITABLE), WAITS_MS), max_size=5).map(tuple),
    when=st.none() | TEXTS,
    providers=st.lists(TEXTS, max_size=3).map(tuple),
    ttl_ms=st.none() | WAITS_MS,
    on_unknown=st.sampled_from(["wait", "resend", "advance"]),
    retry=st.builds(Retry, st.integers(0, 100), WAITS_MS),
    max_cost=st.none() | st.decimals(0, 1000, places=2).map(str),
    max_parts=st.none() | st.integers(1, 10),
)
POLICIES = st.builds(
    Policy,
    name=TEXTS,
    version=TEXTS,
    event=TEXTS,
    cascade=st.lists(STEP, min_size=1, max_size=4).map(tuple),
    when=st.none() | TEXTS,
    klass=st.sampled_from(CLASSES),
    topic=TEXTS,
    template=TEXTS,
    deadline_ms=WAITS_MS,
    dedupe=st.none() | st.builds(Dedupe, TEXTS, WAITS_MS),
    goal=st.none() | st.builds(Goal, TEXTS, st.none() | TEXTS),
    also=st.lists(STEP, max_size=2).map(tuple),
    order=st.sampled_from(["fixed", "cheapest"]),
    late=st.sampled_from(["close", "ignore"]),
    default_wait_ms=WAITS_MS,
)


@given(POLICIES)
def test_a_policy_survives_the_store(policy: Policy) -> None:
    document = json.loads(json.dumps(policy_to_document(policy)))
    assert policy_from_document(document) == policy


def test_a_policy_stored_before_a_field_existed_gets_its_default() -> None:
    document = policy_to_document(Policy("p", "v", "e", (Step("sms"),)))
    del document["late"]
    assert policy_from_document(document).late == "close"
