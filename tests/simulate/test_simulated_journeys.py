"""`kaskad simulate` plays journeys as the whole service would."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.check.judge import load_configuration
from orchestrator.engine import engine
from orchestrator.simulate.behaviour import assumed
from orchestrator.simulate.event_file import EventFile, read_event_file
from orchestrator.simulate.version_run import RunSpec, VersionRun
from tests.simulate.full_version_run import FullVersionRun, whole_story
from tests.simulate.place import Place

ROOT = Path(__file__).parents[2]


def treks(place: Place, people: int) -> EventFile:
    """Goals that people set themselves, and the milestones that some of them reach."""
    found = []
    for number in range(people):
        who = {"id": f"r{number}", "phone": f"+38050{number:07d}", "email": f"r{number}@x.ua"}
        consents = [{"channel": "*", "topic": "*", "state": "in", "source": "form"}]
        person = {**who, "first_name": "Олена", "locale": "uk", "consents": consents}
        goal = {"goal_id": f"g{number}", "weekly_km": 4 + number % 3, "title": "10 км"}
        days = [("app.goal.started", 2), *(("app.milestone", 4 + 5 * n) for n in range(number % 4))]
        for type, day in days:
            time = f"2026-11-{day:02}T{9 + number % 9:02}:00:00Z"
            ce = {"specversion": "1.0", "source": "app", "type": type, "time": time}
            data = {**goal, "recipient": person}
            found.append({**ce, "id": f"{type}-{number}-{day}", "data": data})
    return read_event_file(place.events(sorted(found, key=lambda one: str(one["time"]))))


def test_what_journeys_send_is_simulated_as_the_whole_service_would_send_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GATHER_SECONDS", 0.0)
    configuration = load_configuration(ROOT / "config" / "kaskad.yaml", {}, secrets=False)
    policies = configuration.rules.policies
    play = RunSpec(
        configuration, policies, frozenset(policies), treks(place, 12), assumed(), seed=3, run=0
    )
    quick = VersionRun(play).run()
    assert sorted(map(whole_story, quick)) == sorted(map(whole_story, FullVersionRun(play).run()))
    sent = {outcome.policy for outcome in quick}
    assert {"trek_welcome", "trek_praise", "trek_nudge"} <= sent
    assert len({outcome.key for outcome in quick}) == len(quick), "each is told from the others"
