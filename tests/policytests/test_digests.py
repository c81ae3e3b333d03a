"""Digests as their authors try them: `kaskad check`, `test`, `render` and `simulate`."""

from __future__ import annotations

import json

import pytest

from tests.simulate.place import POLICY, Place

DIGEST = POLICY.replace("goal: {event: over}", 'digest: {key: "event.topic", window: 30m, max: 3}')
TEXT = "{{ events | map(attribute='n') | join(',') }}{% if more %} +{{ more }}{% endif %}"


@pytest.fixture
def digest(place: Place) -> Place:
    place.write("policies/tale.yaml", DIGEST)
    for channel in ("viber", "sms"):
        place.write(f"templates/tale/{channel}.text.j2", TEXT)
    return place


TESTS = """\
  - name: five of a topic are one message, and two are only counted
    given:
      event: {topic: sport}
      then:
        - {at: 1m, event: {data: {n: 2}}}
        - {at: 2m, event: {data: {n: 3}}}
        - {at: 3m, event: {data: {n: 4}}}
        - {at: 29m, event: {data: {n: 5}}}
      providers: {viber: {delivered: 2s, read: 5m}}
    expect:
      steps: [30m send viber]
      outcome: succeeded by viber
      text: {viber: "is 1,2,3 +2"}
"""


def test_a_policy_test_gathers(digest: Place) -> None:
    (verdict,) = digest.verdicts(TESTS)
    assert verdict.passed, verdict.differences


def test_a_simulation_gathers(digest: Place) -> None:
    events = digest.events(
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "shop",
            "type": "tale",
            "time": f"2026-11-21T10:{number:02d}:00Z",
            "data": {
                "n": number + 1,
                "topic": "sport",
                "recipient": {"id": "olena", "phone": "+380501234567"},
            },
        }
        for number in range(40)
    )
    done = digest.kaskad("simulate", "--events", events, "--runs", "1", "-o", "json")
    assert done.exit_code == 0, done.output
    (version,) = json.loads(done.stdout)["versions"]
    assert version["all"]["total"]["messages"]["median"] == 2


def test_render_shows_all_of_them(digest: Place) -> None:
    one, two = (digest.write(f"{n}.json", json.dumps({"n": n})) for n in (7, 8))
    done = digest.kaskad(
        "render", "tale", "--channel", "sms", "--event", str(one), "--digest", str(two)
    )
    assert "7,8" in done.stdout, done.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window: 30m, ": ""}, "say how long it gathers"),
        ({"window: 30m": 'window: 30m, at: "18:00"'}, "has `window` and `at`"),
        ({"window: 30m": 'at: "25:00"'}, "is no time of day"),
        ({"max: 3": "max: 1"}, "max"),
        ({"event.topic": "event.topic =="}, "cannot be read"),
        ({"event.topic": "now"}, "there is no 'now' in a key"),
        ({"window: 30m": "window: 2h"}, "is the deadline meant?"),
        ({"class: transactional": "class: otp"}, "a one-time code would wait"),
        (
            {"cascade:": 'dedupe: {key: "event.topic", window: 1h}\ncascade:'},
            "each event but the first is a duplicate",
        ),
    ],
)
def test_check_says_what_is_wrong(digest: Place, change: dict[str, str], said: str) -> None:
    text = DIGEST
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    digest.write("policies/tale.yaml", text)
    assert said in digest.kaskad("check", "--no-secrets").output


def test_check_knows_which_templates_are_those_of_a_digest(digest: Place) -> None:
    assert "events" not in digest.kaskad("check", "--no-secrets").output
    digest.write("policies/tale.yaml", POLICY)
    assert (
        "in the templates of a policy without a digest"
        in digest.kaskad("check", "--no-secrets").output
    )
    digest.write("policies/tale.yaml", DIGEST)
    for channel in ("viber", "sms"):
        digest.write(f"templates/tale/{channel}.text.j2", "{{ event.n }}")
    assert "only the first one is told" in digest.kaskad("check", "--no-secrets").output
