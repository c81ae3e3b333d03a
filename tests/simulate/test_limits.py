"""`kaskad simulate` in CI: what fails it, two revisions, and a part of the events or the people."""

from __future__ import annotations

import json

import pytest

from orchestrator.simulate.event_file import BadEventFile, read_event_file
from orchestrator.simulate.limits import BadLimit, read_limits
from orchestrator.simulate.statistics import Interval
from orchestrator.simulate.thinning import thinned
from tests.simulate.place import POLICY, Place, event
from tests.simulate.test_simulation import git

CHANNELS = ["viber", "sms"]


@pytest.mark.parametrize(
    ("text", "before", "after", "shown"),
    [
        ("reach < -1pp", 0.50, 0.48, "-2.00pp"),
        ("reach < -1pp", 0.50, 0.495, None),
        ("reach < -1pp", 0.50, 0.60, None),
        ("reach < -3%", 0.50, 0.48, "-4.00%"),
        ("reach < 40%", 0.50, 0.39, "39.00%"),
        ("reach < 40%", 0.10, 0.41, None),
        ("cost > +5%", 100, 106, "+6.00%"),
        ("cost > +5%", 100, 104, None),
        ("cost > +5%", 0, 1, "+inf%"),
        ("cost > +5%", 0, 0, None),
        ("cost > +50", 100, 151, "+51.00"),
        ("cost > 150", 100, 151, "151.00"),
        ("median > +10m", 60_000, 720_000, "+11m"),
        ("p95 > 2h", 0, 7_200_001, "2h"),
        ("sms > +10%", 10, 12, "+20.00%"),
    ],
)
def test_a_limit_is_crossed_by_a_change_or_by_the_figure_itself(
    text: str, before: float, after: float, shown: str | None
) -> None:
    (limit,) = read_limits(text, CHANNELS, compared=True)
    found = limit.crossed(Interval(0, before, 9e9), Interval(0, after, 9e9))
    assert (limit.shown(found) if found is not None else None) == shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reach", "'reach' is no condition; write --fail-if"),
        ("reach < -1pp or", "'' is no condition"),
        ("reech < -1pp", "there is no figure 'reech'; did you mean 'reach'?"),
        ("reach < 1pp", "'1pp' is no value of this figure; write 40%, -1pp or -5%"),
        ("reach < 0.4", "'0.4' is no value"),
        ("cost > 5%", "'5%' is no value of this figure; write 500, +50 or +5%"),
        ("cost > +5pp", "'+5pp' is no value"),
        ("median > 10", "'10' is no value of this figure; write 2h, +10m or +5%"),
    ],
)
def test_a_limit_that_cannot_be_read_says_how_to_write_it(text: str, said: str) -> None:
    with pytest.raises(BadLimit, match="--fail-if: ") as refused:
        read_limits(text, CHANNELS, compared=True)
    assert said in str(refused.value)


def test_a_change_needs_something_to_compare_with() -> None:
    with pytest.raises(BadLimit, match="nothing is compared; add --against"):
        read_limits("cost > +5%", CHANNELS, compared=False)


def test_ci_fails_where_a_change_costs_reach_and_says_by_how_much(place: Place) -> None:
    file = place.events([event(number) for number in range(20)])
    other = place.write("other.yaml", POLICY.replace("  - {channel: sms}\n", ""))
    words = ("simulate", "--events", file, "--against", str(other), "--runs", "1")
    held = place.kaskad(*words, "--fail-if", "cost > +5%, messages > 20")
    assert (held.exit_code, "FAILED" in held.stdout) == (0, False)
    failed = place.kaskad(*words, "--fail-if", "cost > +5% or reach < -1pp")
    assert failed.exit_code == 1
    assert "FAILED reach < -1pp: it changes by -" in failed.stdout.splitlines()[-1]
    found = json.loads(place.kaskad(*words, "--fail-if", "reach < -1pp", "-o", "json").stdout)
    assert [line.split(":")[0] for line in found["crossed"]] == ["reach < -1pp"]
    wrong = place.kaskad(*words, "--fail-if", "costs > +5%")
    assert (wrong.exit_code, "did you mean 'cost'?" in wrong.stderr) == (2, True)


def test_two_revisions_are_compared_whatever_the_files_are_now(place: Place) -> None:
    file = place.events([event(number) for number in range(3)])
    git(place, "init")
    git(place, "add", "kaskad.yaml", "governance.yaml", "policies", "templates")
    git(place, "commit", "-m", "one")
    place.write("policies/tale.yaml", POLICY.replace("event.n > 0", "event.n > 5"))
    git(place, "commit", "-am", "two")
    place.write("policies/tale.yaml", POLICY.replace("  - {channel: sms}\n", ""))

    def kinds(span: str) -> tuple[list[str], list[str]]:
        done = place.kaskad("simulate", span, "--events", file, "--runs", "1", "-o", "json")
        assert done.exit_code == 0, done.stderr
        found = json.loads(done.stdout)
        labels = [version["label"] for version in found["versions"]]
        return labels, [change["kind"] for change in found["changes"]]

    assert kinds("HEAD~1..HEAD") == (["HEAD~1", "HEAD"], ["no message any more"])
    labels, changes = kinds("HEAD~1..")
    assert (labels, "no message any more" in changes) == (["HEAD~1", "as it is"], False)
    for span in ("..", "HEAD", "HEAD...HEAD~1"):
        bad = place.kaskad("simulate", span, "--events", file)
        assert (bad.exit_code, "is not two revisions; write main..HEAD" in bad.stderr) == (2, True)
    twice = place.kaskad("simulate", "HEAD~1..HEAD", "--events", file, "--against", "HEAD")
    assert (twice.exit_code, "exclude each other" in twice.stderr) == (2, True)


def test_events_since_a_span_before_the_last_or_an_instant(place: Place) -> None:
    days = [event(day, at=f"2026-11-{day:02}T10:00:00Z") for day in range(1, 21)]
    file = read_event_file(place.events(days))
    assert len(thinned(file, "5d", "", 1).lines) == 6
    found = thinned(file, "2026-11-18T10:00:00Z", "", 1)
    assert (len(found.lines), found.types["tale"], len(found.ids)) == (3, 3, 3)
    assert thinned(file, "", "", 1) is file
    for since in ("soon", "2027-01-01T00:00:00Z"):
        with pytest.raises(BadEventFile, match="--since"):
            thinned(file, since, "", 1)


def test_a_sample_is_of_people_with_all_of_their_events(place: Place) -> None:
    events = [event(number) for number in range(200)]
    events += [event(number, type="over") for number in range(200)]
    file = read_event_file(place.events(events))
    found = thinned(file, "", "25%", 1)
    people = {one.recipients[0]["id"] for _, one in found.events()}
    assert 30 <= len(people) <= 70
    assert len(found.lines) == 2 * len(people)
    assert [line for _, line in thinned(file, "", "0.25", 1).lines] == [
        line for _, line in found.lines
    ]
    assert len(thinned(file, "", "100%", 1).lines) == 400
    for share in ("0", "ten", "101%"):
        with pytest.raises(BadEventFile, match=r"write 10% or 0\.1"):
            thinned(file, "", share, 1)


def test_a_sample_takes_the_others_out_of_an_event_for_many(place: Place) -> None:
    many = event(1)
    del many["data"]["recipient"]
    many["data"]["recipients"] = [
        {"id": f"user-{number}", "phone": f"+38050{1_000_000 + number}"} for number in range(100)
    ]
    ((_, one),) = thinned(read_event_file(place.events([many])), "", "20%", 1).events()
    assert 8 <= len(one.recipients) <= 35
