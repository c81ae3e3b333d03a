"""The answer table: every row does in the code what it says, and the documentation shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from orchestrator.channels import Adapter
from orchestrator.core.effects import BounceRecorded, RecordOptOut, ShutProvider
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, OutcomeKind, Refused, Unknown
from orchestrator.core.policy import Step
from orchestrator.core.reasons import REFUSALS, Reason
from orchestrator.dispatch.answers import (
    ANSWERS,
    AnswerRule,
    OnAttempt,
    OnBreaker,
    OnBucket,
    rule_for,
)
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.telemetry.metrics import Metrics
from tests.core.tale import PROVIDERS, Tale

ROOT = Path(__file__).parents[2]
NOW = 1_795_000_000_000
OTHER = {OutcomeKind.NOT_SENT: Reason.NOT_TAKEN, OutcomeKind.UNKNOWN: Reason.RESPONSE_UNREADABLE}


def outcome_of(rule: AnswerRule) -> Outcome:
    reason = rule.reason or OTHER.get(rule.kind, Reason.NOT_TAKEN)
    match rule.kind:
        case OutcomeKind.NOT_SENT:
            return NotSent(reason, retry_after_ms=5_000)
        case OutcomeKind.REFUSED:
            return Refused(reason, "17")
        case OutcomeKind.UNKNOWN:
            return Unknown(reason)
    return Accepted("id")


def word(rule: AnswerRule) -> str:
    return f"{rule.kind}-{rule.reason or 'other'}"


every_row = pytest.mark.parametrize("rule", ANSWERS, ids=word)


class Bucket:
    """Notes the pauses that it is asked for."""

    token_seconds = 0.5

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def take(self, wanted: int, urgent: bool = False) -> int:
        return wanted

    def next_in(self) -> float:
        return 0.0

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def paused_for(self) -> float:
        return 0.0


def provider(breaker: Breaker, bucket: Bucket | None = None) -> ActiveProvider:
    return ActiveProvider(PROVIDERS["texts"], Adapter, bucket, breaker, slots=2)  # type: ignore[arg-type]


def test_there_is_one_row_for_every_answer() -> None:
    assert len({(rule.kind, rule.reason) for rule in ANSWERS}) == len(ANSWERS)
    assert {rule.reason for rule in ANSWERS if rule.kind is OutcomeKind.REFUSED} == set(REFUSALS)
    for kind in (OutcomeKind.ACCEPTED, OutcomeKind.NOT_SENT, OutcomeKind.UNKNOWN):
        assert any(rule.kind is kind and rule.reason is None for rule in ANSWERS)


@every_row
def test_an_outcome_finds_its_row(rule: AnswerRule) -> None:
    assert rule_for(outcome_of(rule)) is rule


# ---- the attempt


@every_row
def test_the_core_does_with_the_attempt_what_the_row_says(rule: AnswerRule) -> None:
    tale = Tale(Step("sms"), Step("email"))
    tale.send(1, outcome_of(rule))
    run, effects = tale.message.runs[0], {type(effect) for effect in tale.last.effects}
    left = run.ended is not None
    retried = run.held_for is not None or tale.ready == [(0, "texts")]
    match rule.attempt:
        case OnAttempt.TAKEN | OnAttempt.DOUBT:
            assert (left, retried, run.handed_off_at is not None) == (False, False, True)
        case OnAttempt.RETRY:
            assert (left, run.held_for, run.tries) == (False, tale.message.attempts[0].reason, 1)
        case OnAttempt.AT_ONCE:
            assert (left, tale.ready, run.tries) == (False, [(0, "texts")], 0)
        case _:
            assert (left, tale.ready) == (True, [(1, "mail")])
    recorded = {BounceRecorded, RecordOptOut, ShutProvider} & effects
    assert recorded == {
        OnAttempt.BOUNCE: {BounceRecorded},
        OnAttempt.OPT_OUT: {RecordOptOut},
        OnAttempt.SWITCH: {ShutProvider},
    }.get(rule.attempt, set())


@every_row
def test_only_what_may_be_sent_elsewhere_gives_the_step_s_next_provider_a_turn(
    rule: AnswerRule,
) -> None:
    tale = Tale(Step("viber"), Step("email"))
    tale.send(1, outcome_of(rule))
    switched = tale.ready == [(0, "viber_b")]
    assert switched == (rule.attempt is OnAttempt.SWITCH)


# ---- the provider


@every_row
async def test_the_bucket_is_paused_as_the_row_says(rule: AnswerRule) -> None:
    bucket = Bucket()
    one = provider(Breaker.never(), bucket)
    for _ in range(2):
        await one.apply(NotSent(Reason.THROTTLED, 5_000), NOW)
    assert bucket.pauses == []
    await one.apply(outcome_of(rule), NOW)
    assert bucket.pauses == ([5.0] if rule.bucket is OnBucket.THROTTLED else [])
    assert (
        one.throttled_in_a_row
        == {
            OnBucket.THROTTLED: 3,
            OnBucket.RESET: 0,
            OnBucket.NOTHING: 2,
        }[rule.bucket]
    )


@every_row
async def test_the_breaker_counts_as_the_row_says(rule: AnswerRule) -> None:
    half_of_two = provider(Breaker(0.5, 2, 30_000, 30_000))
    await half_of_two.apply(Unknown(Reason.TIMED_OUT), NOW)
    await half_of_two.apply(outcome_of(rule), NOW)
    counted = rule.breaker is not OnBreaker.IGNORED
    assert (half_of_two.breaker.shut_until(NOW) is not None) == counted
    two_of_three = provider(Breaker(0.6, 3, 30_000, 30_000))
    await two_of_three.apply(Unknown(Reason.TIMED_OUT), NOW)
    await two_of_three.apply(Accepted(), NOW)
    await two_of_three.apply(outcome_of(rule), NOW)
    opens = rule.breaker in (OnBreaker.FAILURE, OnBreaker.OPENS)
    assert (two_of_three.breaker.shut_until(NOW) is not None) == opens


# ---- what is seen


@every_row
def test_the_counters_of_the_row_count_it(rule: AnswerRule) -> None:
    metrics = Metrics()
    metrics.answered("sms", "texts", outcome_of(rule), rule.counters, 0.1)
    counted = {
        sample.name.removeprefix("kaskad_").removesuffix("_total")
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels.get("provider") == "texts"
    }
    assert counted == {"send_attempts", *rule.counters}


@every_row
def test_the_alert_of_the_row_is_one_and_looks_at_what_the_row_moves(rule: AnswerRule) -> None:
    text = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text()
    alerts = {
        one["alert"]: one["expr"]
        for group in yaml.safe_load(text)["groups"]
        for one in group["rules"]
    }
    if rule.alert:
        moved = [
            *rule.counters,
            *(["circuit_open"] if rule.breaker is not OnBreaker.IGNORED else []),
        ]
        assert any(f"kaskad_{name}" in alerts[rule.alert] for name in moved)


def documented(rule: AnswerRule) -> str:
    """The row of a rule in docs/operations.md."""
    others = ", ".join(f"`{name}`" for name in rule.counters) or "–"
    answer = f"`{rule.kind}`" + (
        f" `{rule.reason}`"
        if rule.reason
        else ""
        if rule.kind is OutcomeKind.ACCEPTED
        else ", any other reason"
    )
    alert = f"`{rule.alert}`" if rule.alert else "–"
    cells = (answer, rule.attempt.value, rule.bucket.value, rule.breaker.value, others, alert)
    return f"| {' | '.join(cells)} |"


def test_the_documentation_shows_the_table() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    shown = re.search(r"^\| answer \|.*\n\|[-| ]+\n((?:\|.*\n)+)", text, re.M)
    assert shown is not None
    assert shown[1].splitlines() == [documented(rule) for rule in ANSWERS]
