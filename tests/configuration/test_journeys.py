"""
Journeys are read whole, refused with positions and fixes, and written back to the store without
loss.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.configuration.journey_file import (
    journey_from_document,
    journey_to_document,
    read_journeys,
)
from orchestrator.configuration.reading import Report
from orchestrator.core.journey.journey import (
    BranchArm,
    BranchStep,
    Entrance,
    Journey,
    JourneyEnd,
    PublishStep,
    RepeatStep,
    SendStep,
    SetStep,
    SplitArm,
    SplitStep,
    UntilEventStep,
    UntilTimeStep,
    WaitStep,
    event_of,
    same_place,
    step_at,
    walk,
)
from orchestrator.core.policy import DAY_MS
from tests.configuration.bad_journeys import BAD_JOURNEYS, STEPS
from tests.configuration.place import Place

WHOLE = """\
journey: trek
archetype: trek
stage: retention
enter: {event: app.started, when: "event.km >= 5", key: "event.goal_id", again: never}
exit: [{event: app.left, match: "exit.goal_id == event.goal_id"}]
goal: {event: app.reached}
deadline: 60d
steps:
  - send: welcome
  - send: hint
    then: at_once
  - wait: 3d
  - until: "09:00"
  - until: {weekday: fri, at: "18:30"}
  - until: {event: app.milestone, match: "event.goal_id == journey.event.goal_id", within: 7d}
    then: [{send: praise}, {set: {milestones: "(recipient.milestones or 0) + 1", seen: true}}]
    else: [{send: nudge}]
  - split: {weights: {calm: 60, bold: 40}, calm: [{send: calm}], bold: []}
  - branch: [{when: "recipient.tier == 'vip'", steps: [{send: gift}]}, {steps: []}]
  - repeat: {times: 4, steps: [{wait: 7d}, {send: week}]}
  - publish: {type: crm.done, data: {goal: "journey.event.goal_id"}}
"""

READ = Journey(
    name="trek",
    version="",
    archetype="trek",
    stage="retention",
    enter=Entrance("app.started", "event.km >= 5", "event.goal_id", "never"),
    exits=(JourneyEnd("app.left", "exit.goal_id == event.goal_id"),),
    goal=JourneyEnd("app.reached"),
    deadline_ms=60 * DAY_MS,
    steps=(
        SendStep("welcome"),
        SendStep("hint", at_once=True),
        WaitStep(3 * DAY_MS),
        UntilTimeStep(9 * 60),
        UntilTimeStep(18 * 60 + 30, 4),
        UntilEventStep(
            "app.milestone",
            "event.goal_id == journey.event.goal_id",
            7 * DAY_MS,
            (
                SendStep("praise"),
                SetStep((("milestones", "(recipient.milestones or 0) + 1"), ("seen", "true"))),
            ),
            (SendStep("nudge"),),
        ),
        SplitStep((SplitArm("calm", 60, (SendStep("calm"),)), SplitArm("bold", 40, ()))),
        BranchStep((BranchArm((SendStep("gift"),), "recipient.tier == 'vip'"), BranchArm(()))),
        RepeatStep(4, (WaitStep(7 * DAY_MS), SendStep("week"))),
        PublishStep("crm.done", (("goal", "journey.event.goal_id"),)),
    ),
)


def read_one(folder: Path, text: str) -> tuple[Journey | None, list[str]]:
    (folder / "j.yaml").write_text(text)
    report = Report()
    files = read_journeys(folder, report)
    said = [str(one).removeprefix(f"{folder}/j.yaml:") for one in report.problems]
    return next((file.journey for file in files.values()), None), said


def test_a_journey_is_read_whole_and_comes_back_from_the_store(tmp_path: Path) -> None:
    journey, said = read_one(tmp_path, WHOLE)
    assert said == []
    assert journey is not None
    stored = json.loads(json.dumps(journey_to_document(journey)))
    assert journey_from_document(stored) == journey
    for name in READ.__struct_fields__:
        if name != "version":
            assert getattr(journey, name) == getattr(READ, name)


def test_the_version_is_that_of_what_is_said(tmp_path: Path) -> None:
    one, _ = read_one(tmp_path, WHOLE)
    same, _ = read_one(tmp_path, "# a comment\n" + WHOLE.replace("60d", "1440h"))
    other, _ = read_one(tmp_path, WHOLE.replace("60d", "61d"))
    assert one is not None and same is not None and other is not None
    assert len(one.version) == 12
    assert one.version == same.version != other.version


@pytest.mark.parametrize(("text", "expected"), BAD_JOURNEYS)
def test_what_is_wrong_is_said_with_its_place_and_its_fix(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    _, said = read_one(tmp_path, text)
    assert len(said) == len(expected), said
    for one, begin in zip(said, expected, strict=True):
        assert one.startswith(begin)


def test_paths_lead_to_steps() -> None:
    paths = dict(walk(READ.steps))
    assert all(step_at(READ, path) is step for path, step in paths.items())
    assert {"5.then.0", "5.else.0", "6.calm.0", "7.0.0", "8.steps.1"} < set(paths)
    for none in ("10", "5.then", "5.then.2", "6.shy.0", "0.then.0", "x", "5.then.x"):
        assert step_at(READ, none) is None
    assert event_of("5.then.1") == "5"
    assert event_of("5.else.0") is None
    assert event_of("2.then.0.1.0.else.4") == "2"


def test_both_versions_have_a_step_that_does_the_same() -> None:
    def with_first(*steps: SendStep | WaitStep) -> Journey:
        return Journey("j", "v", Entrance("e"), (*steps, *READ.steps))

    assert same_place(READ, READ, "5.then.0")
    longer = Journey("j", "v", Entrance("e"), (*READ.steps[:2], WaitStep(DAY_MS)))
    assert same_place(READ, longer, "2")
    assert not same_place(READ, longer, "3")
    assert not same_place(READ, with_first(WaitStep(1)), "2")
    assert not same_place(READ, with_first(SendStep("other")), "0")


def test_an_installation_needs_no_journeys(tmp_path: Path) -> None:
    assert Place(tmp_path).said() == []


def test_journeys_that_are_named_and_not_there_are_missed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write("config/kaskad.yaml", "journeys: jorneys\n" + _config(place))
    place.write("config/journeys/j.yaml", STEPS + "  - send: p\n")
    said = place.said()
    assert len(said) == 1
    assert said[0].startswith("kaskad.yaml:1:1: there is no such directory of journeys: ")
    assert said[0].endswith("did you mean 'journeys'?")


def _config(place: Place) -> str:
    return (place.folder / "config/kaskad.yaml").read_text()
