"""What two-way adapters make of choices, and what they say of replies with media."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.gateways.infobip import inbound as infobip_inbound
from adapters.sms.twilio_sms import media_of
from adapters.telegram.telegram_bot import keyboard, written
from adapters.viber.viber_bot import content_of as viber_content
from adapters.viber.viber_bot import inbound as viber_inbound
from adapters.whatsapp.template import template_of
from adapters.whatsapp.whatsapp_cloud import content_of as whatsapp_content
from adapters.whatsapp.whatsapp_cloud import inbound as whatsapp_inbound
from kaskad_testing import hook, outgoing
from orchestrator import channels as ch
from orchestrator.channels import device_receipts

CHOICES = [{"id": "5", "title": "Чудово"}, {"id": "1", "title": "Погано"}]
MARKS = [(str(mark), str(mark)) for mark in range(11)]
PHONE = "380501234567"


def whatsapp(choices: list[dict[str, str]], text: str = "Як вам?", **more: Any) -> dict[str, Any]:
    content = {"text": text, "yaml": {"choices": choices}}
    return whatsapp_content(outgoing(content=content, in_session=True, locale="uk", **more))


def test_whatsapp_asks_with_buttons_and_with_a_list_if_there_are_more_than_three() -> None:
    buttons = whatsapp(CHOICES)["interactive"]
    assert buttons["type"] == "button"
    assert buttons["action"]["buttons"][0] == {
        "type": "reply",
        "reply": {"id": "5", "title": "Чудово"},
    }
    many = [*CHOICES, {"id": "2", "title": "Так собі"}, {"id": "3", "title": "Добре"}]
    listed = whatsapp(many)["interactive"]
    assert (listed["type"], listed["action"]["button"]) == ("list", "Обрати")
    assert [row["id"] for row in listed["action"]["sections"][0]["rows"]] == ["5", "1", "2", "3"]


def test_whatsapp_asks_by_the_buttons_of_a_template_outside_the_session() -> None:
    part = {"template": "nps", "language": "uk", "buttons": [{"url": "7"}], "choices": CHOICES}
    found = template_of(part, "uk")["components"]
    assert [(one["index"], one["sub_type"]) for one in found] == [
        ("0", "url"),
        ("1", "quick_reply"),
        ("2", "quick_reply"),
    ]
    assert found[1]["parameters"] == [{"type": "payload", "payload": "5"}]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("interactive", {"type": "button_reply", "button_reply": {"id": "5", "title": "Чудово"}}),
        ("interactive", {"type": "list_reply", "list_reply": {"id": "5", "title": "Чудово"}}),
        ("button", {"payload": "5", "text": "Чудово"}),
    ],
)
def test_whatsapp_brings_back_the_id_of_a_button(form: str, said: dict[str, Any]) -> None:
    (found,) = whatsapp_inbound({"type": form, "from": PHONE, "id": "w", form: said})
    assert (found.choice, found.text) == ("5", "Чудово")


def test_whatsapp_names_a_picture_by_its_id() -> None:
    said = {"id": "1234567890", "caption": "ось", "mime_type": "image/jpeg"}
    (found,) = whatsapp_inbound({"type": "image", "from": PHONE, "id": "w", "image": said})
    assert found.media == (ch.InboundMedia(kind="image", reference="1234567890"),)


def test_telegram_stands_marks_beside_each_other_and_words_below() -> None:
    assert [len(row) for row in keyboard(MARKS)] == [6, 5]
    assert keyboard([("5", "Чудово")]) == [[{"text": "Чудово", "callback_data": "5"}]]


def test_telegram_names_the_largest_size_of_a_photo() -> None:
    sizes = [{"file_id": "s", "file_size": 10}, {"file_id": "l", "file_size": 900}]
    said = {"message_id": 7, "chat": {"id": 7}, "photo": sizes, "voice": {"file_id": "v"}}
    (found,) = written(said, "7")
    assert isinstance(found, ch.Inbound)
    assert found.media == (
        ch.InboundMedia(kind="image", reference="l", bytes=900),
        ch.InboundMedia(kind="audio", reference="v"),
    )


def test_viber_asks_with_a_keyboard_whose_press_is_a_message() -> None:
    keyboard = viber_content({"text": "Як вам?", "yaml": {"choices": CHOICES}})["keyboard"]
    assert [(one["ActionType"], one["ActionBody"]) for one in keyboard["Buttons"]] == [
        ("reply", "5"),
        ("reply", "1"),
    ]
    said = {"type": "text", "text": "5", "tracking_data": "ref"}
    (found,) = viber_inbound({"sender": {"id": "u"}, "message": said, "message_token": 1})
    assert found.choice == "5"
    url = "https://dl-media.viber.com/x.jpg"
    media = {"type": "picture", "media": url, "size": 9}
    (sent,) = viber_inbound({"sender": {"id": "u"}, "message": media, "message_token": 2})
    assert sent.media == (ch.InboundMedia(kind="image", reference=url, bytes=9),)


def test_twilio_and_infobip_name_media_by_their_urls() -> None:
    url = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"
    assert list(media_of({"MediaUrl0": url, "MediaContentType0": "image/png"})) == [
        ch.InboundMedia(kind="image", reference=url)
    ]
    said = {"type": "IMAGE", "url": "https://api.infobip.com/m/1"}
    (found,) = infobip_inbound({"sender": PHONE, "message": said, "messageId": "i"})
    assert found.media == (ch.InboundMedia(kind="image", reference=said["url"]),)


def test_a_device_answers_with_the_action_that_was_pressed() -> None:
    report = {"mid": "m", "rt": "t" * 40, "ev": "clicked", "action": "5"}
    (found,) = device_receipts(hook(json_body=report))
    assert isinstance(found, ch.Inbound)
    assert (found.kind, found.choice, found.answers) == ("", "5", ("t" * 40,))
    (plain,) = device_receipts(hook(json_body={**report, "action": ""}))
    assert isinstance(plain, ch.Receipt)
