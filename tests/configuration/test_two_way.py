"""Policies that answer people: those of `replies`, and the one within a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configuration.place import GOVERNANCE, Place

REPLIES = GOVERNANCE + "replies: {help: helping}\n"
HELPING = "policy: helping\ncascade: [{channel: sms}]\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    for name in ("helping", "conversation"):
        place.write(f"templates/{name}/sms.text.j2", "Hello")
    return place


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("", "there is no policy 'helping'"),
        (HELPING, None),
        (HELPING + "trigger: {event: e}\n", "helping has a trigger; what answers HELP"),
        (HELPING + 'dedupe: {key: "recipient.id", window: 1d}\n', "helping has `dedupe`"),
        (HELPING + "digest: {window: 1h}\n", "helping has `dedupe` or `digest`"),
    ],
)
def test_what_answers_help_is_an_ordinary_policy_without_a_trigger(
    place: Place, policy: str, said: str | None
) -> None:
    place.write("config/governance.yaml", REPLIES)
    if policy:
        place.write("config/policies/helping.yaml", policy)
    found = [one for one in place.said() if "helping" in one]
    assert found == [] if said is None else any(said in one for one in found), found


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("class: conversational\n", None),
        ("class: service\n", "has another class; write class: conversational"),
        (
            'class: conversational\ndedupe: {key: "event.text", window: 1d}\n',
            "has `dedupe` or `digest`, but every answer is sent",
        ),
    ],
)
def test_a_policy_of_ones_own_for_answers_can_send_them(
    place: Place, more: str, said: str | None
) -> None:
    text = f"policy: conversation\n{more}cascade: [{{channel: sms}}]\n"
    place.write("config/policies/conversation.yaml", text)
    found = [one for one in place.said() if "conversation.yaml" in one]
    assert found == [] if said is None else any(said in one for one in found), found
