"""A run of a journey, fact by fact."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.core.journey import facts
from orchestrator.core.journey.decide import STEPS_AT_ONCE_MAX, JourneyDecision, decide
from orchestrator.core.journey.effects import (
    EmitJourneyStatus,
    EndMessages,
    JourneyEffect,
    PublishEvent,
    SetAttributes,
    StartMessage,
)
from orchestrator.core.journey.facts import JourneyFact
from orchestrator.core.journey.inputs import RecordedInputs
from orchestrator.core.journey.journey import (
    BranchArm,
    BranchStep,
    Entrance,
    Journey,
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
from orchestrator.core.journey.state import JourneyReason, JourneyRun, JourneyStatus
from orchestrator.core.policy import DAY_MS, HOUR_MS
from orchestrator.core.reasons import Reason
from tests.core.clocks import at
from tests.core.journey.answers import Answers

BEGAN = at("2026-03-27T10:00:00+02:00")


class Trip:
    """One run, driven by facts; every decision is replayed from what it looked at."""

    def __init__(
        self, *steps: JourneyStep, answers: Answers | None = None, hops: int = 0, days: int = 60
    ) -> None:
        self.journey = Journey("trek", "v1", Entrance("started"), steps, deadline_ms=days * DAY_MS)
        self.answers = answers or Answers()
        self.now = BEGAN
        self.run = JourneyRun(
            id="j1",
            journey="trek",
            version="v1",
            recipient="r1",
            key="",
            event_source="app",
            event_id="e1",
            event_type="started",
            created_at=BEGAN,
            deadline_at=BEGAN + self.journey.deadline_ms,
            hops=hops,
        )
        self.effects: list[JourneyEffect] = []

    def happens(self, fact: JourneyFact, after_ms: int = 0) -> JourneyDecision:
        self.now += after_ms
        before = self.run.copy()
        decision = decide(self.journey, self.run, self.answers, fact, self.now)
        assert self.run == before
        again = decide(self.journey, before, RecordedInputs(decision.looked), fact, self.now)
        assert again == decision
        stored = msgspec.json.encode((decision.run, fact, decision.effects, decision.looked))
        read: Any = msgspec.json.decode(
            stored, type=tuple[JourneyRun, JourneyFact, tuple[JourneyEffect, ...], Any]
        )
        assert read[:3] == (decision.run, fact, decision.effects)
        self.run = decision.run
        self.effects += decision.effects
        return decision

    def begins(self) -> JourneyDecision:
        return self.happens(facts.Entered())

    def wakes(self) -> JourneyDecision:
        assert self.run.due_at is not None
        return self.happens(facts.WaitOver(self.run.due_at), self.run.due_at - self.now)

    def sent(self) -> list[str]:
        return [one.policy for one in self.effects if isinstance(one, StartMessage)]

    def statuses(self) -> list[str]:
        return [one.what for one in self.effects if isinstance(one, EmitJourneyStatus)]


def test_a_send_is_waited_for_until_its_message_has_ended() -> None:
    trip = Trip(SendStep("hello"), SendStep("bye"))
    trip.begins()
    assert (trip.run.place, trip.run.waiting_for, trip.run.open) == ("0", "message", ["m1"])
    trip.happens(facts.MessageEnded("m1", "succeeded", "sms"), HOUR_MS)
    assert trip.run.last is not None
    assert (trip.run.place, trip.run.last.message) == ("1", "m2")
    trip.happens(facts.MessageEnded("m2", "exhausted"), HOUR_MS)
    assert (trip.run.status, trip.run.open) == (JourneyStatus.COMPLETED, [])
    assert trip.statuses() == ["journey.running", "journey.completed"]
    assert trip.run.finished_at == BEGAN + 2 * HOUR_MS


def test_a_send_at_once_is_not_waited_for() -> None:
    trip = Trip(SendStep("hello", at_once=True), WaitStep(DAY_MS), SendStep("bye", at_once=True))
    trip.begins()
    assert (trip.run.place, trip.run.due_at) == ("1", BEGAN + DAY_MS)
    trip.happens(facts.MessageEnded("m1", "succeeded", "viber"), HOUR_MS)
    assert trip.run.last is not None
    assert (trip.run.place, trip.run.last.status) == ("1", "succeeded")
    trip.wakes()
    assert trip.run.status is JourneyStatus.COMPLETED
    assert trip.sent() == ["hello", "bye"]
    assert not any(isinstance(one, EndMessages) for one in trip.effects)


@pytest.mark.parametrize(
    ("minute", "weekday", "until"),
    [
        (9 * 60, None, "2026-03-28T09:00:00+02:00"),
        (18 * 60, 4, "2026-03-27T18:00:00+02:00"),
        (10 * 60, None, "2026-03-28T10:00:00+02:00"),  # it shows this minute now
        (9 * 60, 0, "2026-03-30T09:00:00+03:00"),  # beyond the night that loses an hour
        (3 * 60 + 30, 6, "2026-03-29T04:00:00+03:00"),  # a time that this night has not
    ],
)
def test_a_time_of_day_is_that_of_the_recipient(
    minute: int, weekday: int | None, until: str
) -> None:
    trip = Trip(UntilTimeStep(minute, weekday))
    trip.begins()
    assert trip.run.due_at == at(until)


def test_an_event_in_time_goes_one_way_and_its_absence_the_other() -> None:
    step = UntilEventStep(
        "milestone", None, 7 * DAY_MS, (SendStep("praise"),), (SendStep("nudge"),)
    )
    came, missed = Trip(step), Trip(step)
    came.begins()
    came.happens(facts.EventCame("0", "app", "e2"), DAY_MS)
    assert came.run.place == "0.then.0"
    missed.begins()
    missed.wakes()
    assert (missed.run.place, missed.now) == ("0.else.0", BEGAN + 7 * DAY_MS)


def test_an_event_that_comes_before_a_late_timer_but_out_of_time_did_not_come() -> None:
    trip = Trip(UntilEventStep("milestone", None, DAY_MS, (SendStep("praise"),)))
    trip.begins()
    trip.happens(facts.EventCame("0", "app", "e2"), DAY_MS)
    assert (trip.run.status, trip.sent()) == (JourneyStatus.COMPLETED, [])


def test_a_split_goes_by_the_weights() -> None:
    arms = tuple(SplitArm(name, 50, (SendStep(name),)) for name in ("calm", "bold"))
    for share, policy in ((0.0, "calm"), (0.499, "calm"), (0.5, "bold"), (0.999, "bold")):
        trip = Trip(SplitStep(arms), answers=Answers(share=share))
        trip.begins()
        assert trip.sent() == [policy]
        assert trip.run.place == f"0.{policy}.0"


def test_a_branch_goes_the_first_way_that_is_true() -> None:
    arms = (
        BranchArm((SendStep("gift"),), "vip"),
        BranchArm((SendStep("card"),), "regular"),
        BranchArm(()),
    )
    answers = Answers({"vip": ValueError("null cannot be compared"), "regular": 1})
    trip = Trip(BranchStep(arms), answers=answers)
    decision = trip.begins()
    assert trip.sent() == ["card"]
    assert "'vip' cannot be evaluated: null cannot be compared" in decision.said[1]
    nobody = Trip(BranchStep(arms))
    nobody.begins()
    assert (nobody.run.status, nobody.sent()) == (JourneyStatus.COMPLETED, [])


def test_steps_are_repeated_round_by_round() -> None:
    inner = RepeatStep(2, (SendStep("week", at_once=True),))
    trip = Trip(RepeatStep(3, (WaitStep(7 * DAY_MS), inner)), SendStep("end", at_once=True))
    trip.begins()
    for _ in range(3):
        trip.wakes()
    assert trip.sent() == ["week"] * 6 + ["end"]
    steps = [one.step for one in trip.effects if isinstance(one, StartMessage)]
    assert steps[:3] == ["0.steps.1.steps.0#1#1", "0.steps.1.steps.0#1#2", "0.steps.1.steps.0#2#1"]
    assert len(set(steps)) == 7
    assert (trip.run.status, trip.run.rounds) == (JourneyStatus.COMPLETED, {})


def test_what_was_set_is_seen_by_what_follows() -> None:
    step = SetStep((("milestones", "more"), ("broken", "bad")))
    answers = Answers({"more": 3, "bad": ValueError("no"), "goal": "g1"})
    trip = Trip(step, PublishStep("crm.done", (("goal", "goal"),)), answers=answers)
    trip.begins()
    assert trip.effects[1:3] == [
        SetAttributes({"milestones": 3}),
        PublishEvent("crm.done", {"goal": "g1"}, "1"),
    ]
    assert answers.seen[-1] == {"milestones": 3}


@pytest.mark.parametrize(
    ("fact", "status", "reason", "messages"),
    [
        (facts.GoalCame("app", "e9"), "goal_met", "goal_reached", Reason.GOAL_MET),
        (facts.ExitCame("app", "e9", "left"), "exited", "exit_event", Reason.CANCELLED),
        (facts.ExitAsked("anna"), "exited", "exit_asked", Reason.CANCELLED),
        (facts.PersonErased(), "exited", "erased", Reason.ERASED),
    ],
)
def test_what_ends_a_journey_ends_its_messages(
    fact: JourneyFact, status: str, reason: str, messages: Reason
) -> None:
    trip = Trip(SendStep("hello"), SendStep("bye"))
    trip.begins()
    trip.happens(fact, HOUR_MS)
    assert (trip.run.status, trip.run.reason) == (status, JourneyReason(reason))
    assert EndMessages(("m1",), messages) in trip.effects
    trip.happens(facts.MessageEnded("m1", "cancelled"))
    trip.happens(fact)
    assert (trip.sent(), trip.run.open, trip.run.due_at) == (["hello"], [], None)
    assert len(trip.statuses()) == 2


def test_the_deadline_ends_a_journey() -> None:
    trip = Trip(WaitStep(2 * DAY_MS), SendStep("late"), days=1)
    trip.begins()
    assert trip.run.due_at == BEGAN + DAY_MS
    trip.wakes()
    assert (trip.run.status, trip.run.reason) == ("expired", "deadline_passed")
    assert trip.sent() == []


def test_a_goal_after_the_deadline_comes_too_late() -> None:
    trip = Trip(WaitStep(2 * DAY_MS), days=1)
    trip.begins()
    trip.happens(facts.GoalCame("app", "e9"), DAY_MS)
    assert trip.run.status is JourneyStatus.EXPIRED


def test_a_policy_that_is_gone_fails_the_journey() -> None:
    trip = Trip(SendStep("hello"), answers=Answers(missing=("hello",)))
    trip.begins()
    assert (trip.run.status, trip.run.reason, trip.run.reason_detail) == (
        "failed",
        "policy_missing",
        "hello",
    )


def test_a_chain_of_more_than_eight_is_cut() -> None:
    trip = Trip(SendStep("hello"), hops=9)
    trip.begins()
    assert (trip.run.status, trip.run.reason, trip.sent()) == ("failed", "too_many_hops", [])


def test_an_old_timer_does_nothing() -> None:
    trip = Trip(WaitStep(DAY_MS), WaitStep(DAY_MS))
    trip.begins()
    first = trip.run.due_at
    assert first is not None
    trip.wakes()
    before = trip.run
    trip.happens(facts.WaitOver(first), DAY_MS)
    trip.happens(facts.EventCame("0", "app", "e3"))
    assert trip.run == before


def test_many_steps_take_several_turns() -> None:
    trip = Trip(RepeatStep(STEPS_AT_ONCE_MAX, (SendStep("flood", at_once=True),)))
    trip.begins()
    assert trip.run.waiting_for == "turn"
    assert len(trip.sent()) == STEPS_AT_ONCE_MAX - 1
    trip.wakes()
    assert trip.run.status is JourneyStatus.COMPLETED
    assert len(trip.sent()) == STEPS_AT_ONCE_MAX


def test_a_reply_is_noted_and_moves_nothing() -> None:
    trip = Trip(SendStep("question"), SendStep("thanks"))
    trip.begins()
    trip.happens(facts.MessageReplied("m1", "viber", "5"))
    assert trip.run.last is not None
    assert trip.run.last.view()["reply"] == {"choice": "5", "channel": "viber"}
    assert (trip.run.place, trip.sent()) == ("0", ["question"])


def test_another_version_counts_the_wait_from_its_beginning() -> None:
    trip = Trip(WaitStep(7 * DAY_MS), SendStep("old"))
    trip.begins()
    trip.journey = Journey("trek", "v2", Entrance("started"), (WaitStep(DAY_MS), SendStep("new")))
    trip.happens(facts.VersionMoved("v2"), 2 * DAY_MS)
    assert (trip.run.version, trip.sent()) == ("v2", ["new"])


def test_a_version_without_the_step_is_not_moved_to() -> None:
    trip = Trip(WaitStep(7 * DAY_MS), SendStep("old"))
    trip.begins()
    before = trip.run
    trip.journey = Journey("trek", "v2", Entrance("started"), (SendStep("new"),))
    trip.happens(facts.VersionMoved("v2"), DAY_MS)
    assert trip.run == before
