"""
Policies are read whole, refused with positions and fixes, and written back to the store without
loss.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.configuration.policy_file import (
    PolicyFile,
    hash_templates,
    load_policy,
    policy_from_document,
    policy_to_document,
    read_policies,
)
from orchestrator.configuration.reading import Report
from orchestrator.configuration.settings import Defaults
from orchestrator.configuration.yaml_file import ConfigError
from orchestrator.core.policy import (
    CLASSES,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Dedupe,
    Goal,
    Policy,
    Retry,
    Step,
)
from orchestrator.core.status import WAITABLE
from tests.configuration.bad_policies import BAD, HEAD, STEPS

ROOT = Path(__file__).parents[2]


def no_templates(template: str) -> str:
    return ""


def load_policies(directory: Path) -> tuple[dict[str, Policy], dict[str, PolicyFile]]:
    report = Report()
    files = read_policies(directory, report, templates=no_templates)
    report.refuse()
    return {name: file.policy for name, file in files.items()}, files


def read(tmp_path: Path, text: str, name: str = "p.yaml") -> Policy:
    path = tmp_path / name
    path.write_text(text)
    return load_policy(path, templates=no_templates).policy


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"), [(text, expected) for text, expected in BAD if expected is not None]
)
def test_a_bad_policy_is_refused_with_place_and_fix(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
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
        message_class="transactional",
        topic="p",
        template="p",
        deadline_ms=24 * HOUR_MS,
        order="fixed",
        late="close",
        default_wait_ms=10 * MINUTE_MS,
    )


def test_a_one_time_code_is_worthless_after_ten_minutes(tmp_path: Path) -> None:
    assert (
        read(tmp_path, HEAD + "class: otp\ncascade: [{channel: sms}]").deadline_ms == 10 * MINUTE_MS
    )


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
        "sms",
        (("sent", 250), ("clicked", HOUR_MS)),
        "event.b",
        ("b", "a"),
        30_000,
        "resend",
        Retry(0, 5_000),
        "1.20",
        3,
    )
    companion = Step(
        "email",
        when="x",
        providers=("relay",),
        ttl_ms=HOUR_MS,
        retry=Retry(1, 60_000),
        max_cost="2",
    )
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
    policy = load_policy(
        path, templates=no_templates, defaults=Defaults(1_000, Retry(7, 2_000))
    ).policy
    assert policy.default_wait_ms == 1_000
    assert [step.retry for step in policy.cascade] == [Retry(9, 2_000), Retry(7, 2_000)]


def test_the_version_is_of_the_meaning_and_not_of_the_spelling(tmp_path: Path) -> None:
    one = read(tmp_path, HEAD + "cascade: [{channel: sms, wait: 1m}]")
    same = read(
        tmp_path,
        "# remark\n"
        + HEAD
        + "late: close\ncascade:\n  - wait: {delivered: 60s}\n    channel: sms\n",
    )
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
    policies, files = load_policies(tmp_path)
    assert list(policies) == ["p"]
    assert files["p"].path.name == "p.yaml"


def test_two_policies_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(HEAD + "cascade: [{channel: sms}]")
    with pytest.raises(
        ConfigError,
        match=r"b\.yaml:1:9: the policy 'p' is also in a\.yaml; give one of them another name",
    ):
        load_policies(tmp_path)


def test_every_bad_policy_of_a_directory_is_reported_at_once(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("policy: x")
    with pytest.raises(ConfigError) as refused:
        load_policies(tmp_path)
    assert {Path(problem.path).name for problem in refused.value.problems} == {"a.yaml", "b.yaml"}


def test_a_directory_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such directory of policies"):
        load_policies(tmp_path / "none")


def test_the_worked_policies_are_well() -> None:
    policies, _ = load_policies(ROOT / "config" / "policies")
    assert {policy.message_class for policy in policies.values()} == set(CLASSES)
    assert [name for name, policy in policies.items() if policy.event] == [
        "cart_abandoned",
        "nps",
        "nps_why",
        "order_question",
        "order_shipped",
        "order_unreached",
        "otp_code",
        "price_drop",
        "survey",
        "wishlist_news",
    ]


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
    message_class=st.sampled_from(CLASSES),
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


def test_a_policy_whose_arms_and_conversion_leave_keys_out_survives_the_store(
    tmp_path: Path,
) -> None:
    policy = read(
        tmp_path,
        "policy: p\ntrigger: {event: e}\ncascade: [{channel: sms}]\n"
        "goal: {event: g}\nconvert: {within: 2d}\n"
        "experiment: {name: x, arms: {a: {weight: 1}, b: {weight: 1, hold_out: true}}}\n",
    )
    assert policy_from_document(json.loads(json.dumps(policy_to_document(policy)))) == policy


def test_a_policy_stored_before_a_field_existed_gets_its_default() -> None:
    document = policy_to_document(Policy("p", "v", "e", (Step("sms"),)))
    del document["late"]
    assert policy_from_document(document).late == "close"
