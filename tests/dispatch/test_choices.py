"""A question's choices, as each channel and each adapter shows them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.channels import Capabilities
from orchestrator.channels.registry import channels
from orchestrator.core.replies import Choice
from orchestrator.dispatch.choices import with_choices
from orchestrator.render import Rendered, count

MARKS = [{"id": "5", "title": "Чудово"}, {"id": "1", "title": "Погано & сумно"}]
NO_BUTTONS = Capabilities(channel="*")


def shown(channel: str, supports: Capabilities = NO_BUTTONS, **parts: Any) -> Rendered:
    counted = count(parts["text"]) if channel == "sms" else None
    rendered = Rendered(parts, "uk", "hash", counted)
    return with_choices(
        rendered, channels()[channel], supports, lambda one: f"https://shop.example/a/{one.id}"
    )


def test_an_sms_gets_numbered_lines_which_count() -> None:
    found = shown("sms", text="Як вам?", yaml={"choices": MARKS})
    assert found.parts == {"text": "Як вам?\n5 – Чудово\n1 – Погано & сумно"}
    assert found.count == count(found.parts["text"])
    assert found.content_hash != "hash"
    assert found.choices == (Choice("5", "Чудово"), Choice("1", "Погано & сумно"))


def test_an_adapter_that_draws_buttons_gets_the_choices() -> None:
    buttons = Capabilities(channel="viber", choices=3, choice_chars=20)
    found = shown("viber", buttons, text="Як вам?", yaml={"choices": MARKS})
    assert found.parts == {"text": "Як вам?", "yaml": {"choices": MARKS}}
    assert [one.id for one in found.choices] == ["5", "1"]


@pytest.mark.parametrize(("most", "chars"), [(1, 20), (3, 5)])
def test_what_does_not_fit_into_buttons_becomes_lines(most: int, chars: int) -> None:
    buttons = Capabilities(channel="viber", choices=most, choice_chars=chars)
    structure = {"choices": MARKS, "image": "https://shop.example/i.png"}
    found = shown("viber", buttons, text="Як вам?", yaml=structure)
    assert found.parts["text"].endswith("1 – Погано & сумно")
    assert found.parts["yaml"] == {"image": "https://shop.example/i.png"}


def test_a_mail_gets_a_link_for_each_choice_in_both_of_its_parts() -> None:
    body = "<html><body><p>Як вам?</p></body></html>"
    found = shown("email", subject="?", text="Як вам?\n", html=body, yaml={"choices": MARKS})
    assert "Чудово: https://shop.example/a/5\n" in found.parts["text"]
    assert (
        '<a href="https://shop.example/a/1">Погано &amp; сумно</a></p></body>'
        in (found.parts["html"])
    )
    assert "yaml" not in found.parts


@pytest.mark.parametrize("channel", ["web_push", "in_app"])
def test_a_notification_gets_actions(channel: str) -> None:
    found = shown(channel, title="?", text="Як вам?", yaml={"choices": MARKS})
    assert found.parts["yaml"]["actions"] == [
        {"action": "5", "title": "Чудово"},
        {"action": "1", "title": "Погано & сумно"},
    ]


@pytest.mark.parametrize(
    ("channel", "choices", "what"),
    [
        ("sms", [], "a list of 1 to 20"),
        ("sms", [{"id": "5"}], "a choice must be"),
        ("sms", [{"id": "a b", "title": "A"}], "a choice's id must be"),
        ("sms", [{"id": True, "title": "A"}], "a choice's id must be"),
        ("sms", [{"id": "5", "title": " "}], "a choice's title must be"),
        ("sms", [{"id": "5", "title": "A"}, {"id": "6", "title": "a!"}], "must differ"),
        ("sms", [{"id": "x", "title": "A"}, {"id": "X", "title": "B"}], "must differ"),
        ("web_push", [{"id": str(n), "title": str(n)} for n in range(5)], "a list of 1 to 4"),
        ("whatsapp", [{"id": "1", "title": "x" * 21}], "at most 20 characters"),
        ("whatsapp", [{"id": str(n), "title": str(n)} for n in range(11)], "1 to 10"),
    ],
)
def test_the_check_knows_what_a_channel_takes(channel: str, choices: Any, what: str) -> None:
    assert what in (channels()[channel].structure_problem({"choices": choices}) or "")


def test_numbers_may_be_written_without_quotes() -> None:
    assert channels()["sms"].structure_problem({"choices": [{"id": 5, "title": 5}]}) is None
