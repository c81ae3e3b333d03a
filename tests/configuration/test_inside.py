"""`kaskad check` knows what can happen inside, and which policies would start each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configuration.place import Place

FILE = """policy: {name}
trigger: {{event: {event}{when}}}
template: p
cascade: [{{channel: sms}}]
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def write(place: Place, name: str, event: str, when: str = "") -> None:
    condition = f', when: "{when}"' if when else ""
    text = FILE.format(name=name, event=event, when=condition)
    place.write(f"config/policies/{name}.yaml", text)


def test_a_type_that_nothing_inside_has_is_an_error_with_the_nearest(place: Place) -> None:
    write(place, "a", "kaskad.mesage.exhausted")
    write(place, "b", "kaskad.quite.another")
    assert place.said() == [
        "policies/a.yaml:2:18: nothing that happens inside is called 'kaskad.mesage.exhausted';"
        " did you mean 'kaskad.message.exhausted'?",
        "policies/b.yaml:2:18: nothing that happens inside is called 'kaskad.quite.another';"
        " docs/status-events.md lists them",
    ]


def test_a_goal_is_looked_at_as_well(place: Place) -> None:
    write(place, "a", "shop.x")
    text = (place.folder / "config/policies/a.yaml").read_text()
    place.write("config/policies/a.yaml", text + "goal: {event: kaskad.attempt.click}\n")
    [said] = place.said()
    assert "policies/a.yaml:5:15" in said and "'kaskad.attempt.clicked'" in said


ALONE = "a may be started by what becomes of its own messages"
CIRCLES: list[tuple[dict[str, tuple[str, str]], str | None]] = [
    ({"a": ("message.exhausted", "")}, ALONE),
    ({"a": ("attempt.clicked", "event.attempt == 0")}, ALONE),
    ({"a": ("message.exhausted", "event.policy != 'b'")}, ALONE),
    ({"a": ("message.exhausted", "event.policy != 'a'")}, None),
    ({"a": ("message.exhausted", "event.policy not in ['a', 'b']")}, None),
    ({"a": ("message.exhausted", "event.policy == 'b' or event.hops == 0")}, ALONE),
    ({"a": ("message.exhausted", "event.policy == 'b' and event.hops == 0")}, None),
    ({"a": ("message.exhausted", "event['policy'] == 'b'")}, None),
    ({"a": ("opt_out", "")}, None),
    (
        {
            "a": ("message.exhausted", "event.policy == 'c'"),
            "b": ("message.exhausted", "event.policy == 'a'"),
            "c": ("attempt.failed", "event.policy in ('b', 'd')"),
        },
        "a starts b starts c starts a, in a circle",
    ),
    (
        {
            "a": ("message.exhausted", "event.policy == 'p'"),
            "b": ("message.exhausted", "event.policy == 'a'"),
        },
        None,
    ),
]


@pytest.mark.parametrize(("policies", "circle"), CIRCLES)
def test_a_circle_is_warned_of_once(
    place: Place, policies: dict[str, tuple[str, str]], circle: str | None
) -> None:
    for name, (what, when) in policies.items():
        write(place, name, f"kaskad.{what}", when)
    warned = [one for one in place.said() if "8 hops" in one]
    assert [circle in one for one in warned if circle] == ([True] if circle else [])
    assert bool(warned) is bool(circle)
