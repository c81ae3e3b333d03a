"""
`kaskad simulate`: the same decisions as the service's, the same chances for every version, and
figures that add up.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.check.judge import load_configuration
from orchestrator.demo.people import Customers
from orchestrator.engine import engine
from orchestrator.simulate.behaviour import (
    Behaviour,
    ChannelBehaviour,
    Lag,
    Share,
    assumed,
)
from orchestrator.simulate.event_file import EventFile, read_event_file
from orchestrator.simulate.findings import altogether
from orchestrator.simulate.simulation import SimulationPlan, Version, simulate
from orchestrator.simulate.statistics import Interval
from orchestrator.simulate.version_run import RunSpec, VersionRun
from tests.simulate.full_version_run import FullVersionRun, whole_story
from tests.simulate.place import POLICY, Place, event

ROOT = Path(__file__).parents[2]
SURE = Behaviour(
    {"viber": ChannelBehaviour(delivered=Share(1, Lag(1_000)), read=Share(1, Lag(60_000)))}, "sure"
)


def shop_traffic(
    place: Place, count: int, seconds_apart: int = 97, later: bool = False
) -> EventFile:
    """
    Events of the demonstration's shop, one after the other over some days; ``later``: their
    messages start on another day.
    """
    found = []
    for number, one in enumerate(Customers(5, 40).events(count)):
        seconds = number * seconds_apart
        one["time"] = (
            f"2026-11-{21 + seconds // 86_400}T"
            f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"
        )
        if later:
            one["kaskadnotbefore"] = f"2026-11-24T09:{number % 60:02}:00Z"
        found.append(one)
    return read_event_file(place.events(found))


def test_both_runners_start_messages_at_the_time_that_their_events_give(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GATHER_SECONDS", 0.0)
    configuration = load_configuration(ROOT / "config" / "kaskad.yaml", {}, secrets=False)
    event_file = shop_traffic(place, 40, later=True)
    policies = configuration.rules.policies
    play = RunSpec(
        configuration, policies, frozenset(policies), event_file, assumed(), seed=11, run=0
    )
    quick = VersionRun(play).run()
    assert sorted(map(whole_story, quick)) == sorted(map(whole_story, FullVersionRun(play).run()))
    assert sum(len(one.sends) for one in quick) > 40
    assert min(at for one in quick for _, at in one.sends) == 0, "counted from the start"


def test_the_fast_runner_does_what_the_whole_service_would(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        engine, "GATHER_SECONDS", 0.0
    )  # a busy engine gathers for a while; in virtual time that shows
    configuration = load_configuration(ROOT / "config" / "kaskad.yaml", {}, secrets=False)
    event_file = shop_traffic(place, 250, 601)
    policies = configuration.rules.policies
    play = RunSpec(
        configuration, policies, frozenset(policies), event_file, assumed(), seed=11, run=0
    )
    quick = VersionRun(play).run()
    whole = FullVersionRun(play).run()
    assert len(quick) > 200
    assert sorted(map(whole_story, quick)) == sorted(map(whole_story, whole))
    assert len({outcome.status for outcome in quick}) > 3


def plan_for(
    place: Place,
    events: list[dict[str, Any]],
    behaviour: Behaviour = SURE,
    runs: int = 2,
    **more: Any,
) -> SimulationPlan:
    configuration = place.load()
    base = Version("as it is", configuration, configuration.rules.policies)
    others = more.pop("versions", ())
    return SimulationPlan(
        (base, *others),
        read_event_file(place.events(events)),
        behaviour,
        frozenset({"tale"}),
        runs=runs,
        **more,
    )


def test_figures_add_up_to_what_was_played(place: Place) -> None:
    events = [event(number) for number in range(10)] + [event(99, type="elsewhere")]
    findings = simulate(plan_for(place, events), processes=1)
    found = findings.figures[0][("all", "")]
    assert found["total", "messages"].median == 10
    assert found["total", "reach"].median == 1
    assert found["total", "median_ms"].median == 61_000
    assert found["total", "cost"].median == pytest.approx(7.0)
    assert (found["sends", "viber"].median, found["reached_by", "viber"].median) == (10, 10)
    assert findings.figures[0][("locale", "en")]["total", "messages"].median == 5
    assert findings.figures[0][("class", "transactional")]["total", "messages"].median == 10


def test_goals_and_rules_of_the_governance_are_counted(place: Place) -> None:
    place.write(
        "policies/tale.yaml", POLICY.replace("transactional", "promotional").replace("1h", "20h")
    )
    consented = {"consents": [{"state": "in"}]}
    events = []
    for number in range(4):
        one = event(number, at="2026-11-21T20:00:00Z")
        one["data"]["recipient"] |= consented if number else {}
        events.append(one)
    events.append(event(1, at="2026-11-21T21:00:00Z", type="over"))
    found = simulate(plan_for(place, events), processes=1).figures[0][("all", "")]
    assert found["rules", "quiet_hours night"].median == 3
    assert found["ended", "suppressed no_consent"].median == 1
    assert found["ended", "cancelled goal_met"].median == 1
    assert found["total", "reached"].median == 2


def test_the_same_seed_gives_the_same_result_in_one_process_and_in_several(place: Place) -> None:
    events = [event(number) for number in range(40)]
    one = simulate(plan_for(place, events, assumed(), runs=3), processes=1)
    assert simulate(plan_for(place, events, assumed(), runs=3), processes=2) == one
    assert simulate(plan_for(place, events, assumed(), runs=3, seed=2), processes=1) != one


def test_people_are_the_same_under_both_versions(place: Place) -> None:
    """
    A version that changes no behaviour changes no result, for any probabilities.
    """
    events = [event(number) for number in range(60)]
    configuration = place.load()
    same = Version("same", configuration, configuration.rules.policies)
    findings = simulate(plan_for(place, events, assumed(), versions=(same,)), processes=1)
    assert findings.changes == ()


def test_what_another_policy_changes_is_counted_and_priced(place: Place) -> None:
    other = place.write(
        "b.yaml",
        POLICY.replace(
            "{delivered: 1m, read: 10m}", "{delivered: 1m, read: 30s}".replace("1m", "20s")
        ),
    )
    file = place.events([event(number) for number in range(6)])
    behaviour = place.write(
        "behaviour.yaml",
        "viber: {delivered: {share: 1, median: 1s}, read: {share: 1, median: 1m}}\n",
    )
    done = place.kaskad(
        "simulate",
        "--events",
        file,
        "--against",
        str(other),
        "--providers",
        str(behaviour),
        "--runs",
        "2",
        "-o",
        "json",
    )
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    (change,) = found["changes"]
    assert change["kind"] == "reached by sms instead of reached by viber"
    assert change["count"] == {"low": 6, "median": 6, "high": 6}
    assert change["cost"]["median"] == pytest.approx(7.2)
    assert change["examples"][0] == "user-0"
    assert [version["all"]["sends"]["viber"]["median"] for version in found["versions"]] == [6, 6]
    text = place.kaskad(
        "simulate",
        "--events",
        file,
        "--against",
        str(other),
        "--providers",
        str(behaviour),
        "--runs",
        "2",
    )
    assert "Altogether it costs 7.20 UAH." in text.stdout
    lines = [" ".join(line.split()) for line in text.stdout.splitlines()]
    assert "reached by viber 6 0 −6" in lines
    assert "reached by sms 0 6 +6" in lines
    assert "share reached 100.0% 100.0% =" in lines
    assert found["differences"]["all"]["total"]["cost"]["median"] == pytest.approx(7.2)
    assert found["costs_more"] == {"low": 7.2, "median": 7.2, "high": 7.2}


def test_somebody_who_writes_stop_is_left_alone_on_that_channel(place: Place) -> None:
    events = [event(1), event(1, at="2026-11-21T12:00:00Z")]
    events[1]["id"] = "tale-again"
    stops = Share(1, Lag(5_000))
    behaviour = Behaviour({"viber": ChannelBehaviour(delivered=stops, unsubscribed=stops)})
    found = simulate(plan_for(place, events, behaviour), processes=1).figures[0]["all", ""]
    assert found["sends", "viber"].median == 1
    assert found["skipped", "viber opted_out"].median == 1


def test_a_difference_is_known_better_than_what_it_is_between(place: Place) -> None:
    """
    Every run compares the same people, so the spread from run to run falls out of the difference.
    """
    file = place.events([event(number) for number in range(40)])
    other = place.write("b.yaml", POLICY.replace("  - {channel: sms}\n", ""))
    done = place.kaskad(
        "simulate", "--events", file, "--against", str(other), "--runs", "6", "-o", "json"
    )
    found = json.loads(done.stdout)
    reached = [version["all"]["total"]["reached"] for version in found["versions"]]
    lost = found["differences"]["all"]["reached_by"]["sms"]
    assert reached[0]["low"] > reached[1]["high"]
    assert lost["high"] < 0
    viber = found["differences"]["all"]["reached_by"].get("viber", {"low": 0, "high": 0})
    assert viber["high"] - viber["low"] < reached[1]["high"] - reached[1]["low"]


def test_what_a_change_costs_is_said_with_its_interval() -> None:
    assert altogether(Interval(2.1, 2.8, 4.2), "UAH") == "Altogether it costs 2.80 (2.10–4.20) UAH"
    assert (
        altogether(Interval(-4.2, -2.8, -2.1), "UAH") == "Altogether it saves 2.80 (2.10–4.20) UAH"
    )
    assert altogether(Interval(0, 0, 0), "UAH") == "Altogether it costs as much as before"
    assert altogether(Interval(-1, 0.5, 2), "UAH").startswith(
        "Altogether it may cost more or less, +0.50 (-1.00–+2.00) UAH"
    )


def test_a_channel_that_nobody_has_is_no_version_to_compare_with(place: Place) -> None:
    file = place.events([event(1)])
    other = place.write("b.yaml", POLICY.replace("channel: viber", "channel: vibre"))
    done = place.kaskad("simulate", "--events", file, "--against", str(other))
    assert (
        done.exit_code,
        "no provider is configured for 'vibre'; did you mean 'viber'?" in done.stderr,
    ) == (2, True)
    tests = place.write("b.test.yaml", "policy: tale\ntests: []\n")
    done = place.kaskad("simulate", "--events", file, "--against", str(tests))
    assert (done.exit_code, "these are tests; name the policy to compare with" in done.stderr) == (
        2,
        True,
    )


def test_content_that_could_not_be_made_is_reported_with_its_template(place: Place) -> None:
    place.write("templates/tale/viber.text.j2", "Hello {{ event.name }}")
    file = place.events([event(number) for number in range(3)])
    done = place.kaskad("simulate", "--events", file, "--runs", "1")
    assert "3  tale, viber: event.name is absent in tale/viber.text.j2" in done.stdout
    assert "step skipped: viber missing_variable" in done.stdout


def git(place: Place, *arguments: str) -> None:
    who = (
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "init.defaultBranch=trunk",
        "-c",
        "commit.gpgsign=false",
    )
    subprocess.run(["git", *who, *arguments], cwd=place.folder, check=True, capture_output=True)


def test_a_git_revision_can_be_compared_with(place: Place) -> None:
    file = place.events([event(number) for number in range(3)])
    outside = place.kaskad("simulate", "--events", file, "--against", "HEAD")
    assert (outside.exit_code, "is in no git repository" in outside.stderr) == (2, True)
    git(place, "init")
    git(place, "add", "kaskad.yaml", "governance.yaml", "policies", "templates")
    git(place, "commit", "-m", "one")
    place.write("policies/tale.yaml", POLICY.replace("event.n > 0", "event.n > 5"))
    done = place.kaskad(
        "simulate", "--events", file, "--against", "HEAD", "--policy", "tale", "-o", "json"
    )
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(change["count"]["median"] for change in found["changes"]) == 3
    assert [version["label"] for version in found["versions"]] == ["HEAD", "as it is"]
    assert [change["kind"] for change in found["changes"]] == ["no message any more"]
    unknown = place.kaskad("simulate", "--events", file, "--against", "no-such-branch")
    assert (
        unknown.exit_code,
        "no file, folder or git revision 'no-such-branch'" in unknown.stderr,
    ) == (2, True)


def test_another_configuration_can_be_compared_with(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other")
    other.write("policies/tale.yaml", POLICY.replace("  - {channel: sms}\n", ""))
    file = place.events([event(number) for number in range(3)])
    done = place.kaskad(
        "simulate", "--events", file, "--against", str(other.folder), "--runs", "1", "-o", "json"
    )
    assert done.exit_code == 0, done.stderr
    assert len(json.loads(done.stdout)["versions"]) == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = place.kaskad("simulate", "--events", file, "--against", str(empty))
    assert (refused.exit_code, "there is no kaskad.yaml in this folder" in refused.stderr) == (
        2,
        True,
    )


BAD = [
    (["--events", "no-such-file"], "no-such-file: it cannot be read: no such file or directory"),
    (["--events", "{broken}"], "broken.jsonl:2: "),
    (["--events", "{timeless}"], "timeless.jsonl:1: the event has no time"),
    (["--events", "{empty}"], "empty.jsonl: there is no event in it"),
    (["--events", "{strange}"], "none of these events triggers a policy; there are: elsewhere (1)"),
    (
        ["--events", "{strange}", "--policy", "tale"],
        (
            "no event of the file is of the type 'tale', which tale waits for; there are:"
            " elsewhere (1)"
        ),
    ),
    (["--events", "{good}", "--policy", "tail"], "there is no policy 'tail'; did you mean 'tale'?"),
    (["--events", "{good}", "--fit"], "there is no such database"),
    (
        ["--events", "{good}", "--fit", "--providers", "x.yaml"],
        "--providers and --fit exclude each other",
    ),
    (
        ["--events", "{good}", "--providers", "{behaviour}"],
        "behaviour.yaml:1:17: the shares of `viber` add up to 1.4",
    ),
    (
        ["--events", "{good}", "--providers", "{behaviour}"],
        "behaviour.yaml:2:1: there is no channel or provider 'vibre'; did you mean 'viber'?",
    ),
    (["--events", "{good}", "-o", "xml"], "-o takes text, json or html"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_what_cannot_be_simulated_is_reported_with_its_place(
    place: Place, arguments: list[str], said: str
) -> None:
    good, timeless = event(1), event(2)
    del timeless["time"]
    files = {
        "good": place.events([good], "good.jsonl"),
        "broken": str(place.write("broken.jsonl", json.dumps(good) + "\n{not json\n")),
        "timeless": place.events([timeless], "timeless.jsonl"),
        "empty": str(place.write("empty.jsonl", "\n")),
        "strange": place.events([event(1, type="elsewhere")], "strange.jsonl"),
        "behaviour": str(
            place.write(
                "behaviour.yaml", "viber: {refused: {recipient: 0.9}, unknown: 0.5}\nvibre: {}\n"
            )
        ),
    }
    files["behaviour"] = str(
        place.write(
            "behaviour.yaml",
            "viber:          {refused: {recipient: 0.9}, unknown: 0.5}\nvibre: {}\n",
        )
    )
    done = place.kaskad("simulate", *(argument.format(**files) for argument in arguments))
    assert done.exit_code == 2
    assert said in done.stderr


def test_events_may_come_from_standard_input(place: Place) -> None:
    from typer.testing import CliRunner

    from orchestrator.cli import app

    lines = "".join(json.dumps(event(number)) + "\n" for number in range(2))
    words = f"simulate --config {place.config} --events - --runs 1 -o json"
    done = CliRunner().invoke(app, words.split(), input=lines)
    assert json.loads(done.stdout)["events"] == 2
