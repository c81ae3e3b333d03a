"""
Events as strangers send them: what is read, what is refused, and that a refusal says where, what
and how to fix it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.events.cloudevents import (
    BATCH_EVENTS_MAX,
    EVENT_BYTES_MAX,
    parse_batch,
    parse_binary,
    parse_kafka,
    parse_structured,
)
from orchestrator.events.data import RECIPIENTS_MAX
from orchestrator.events.event import Event
from orchestrator.events.malformed import Malformed
from orchestrator.primitives import strict_json as strictjson
from orchestrator.recipients.fields import CHECKS

CART: dict[str, Any] = {
    "specversion": "1.0",
    "id": "c-981",
    "source": "shop/cart",
    "type": "shop.cart.abandoned",
    "subject": "user-42",
    "time": "2026-11-21T10:00:00Z",
    "data": {
        "cart_id": "981",
        "total": 3601.5,
        "recipient": {"id": "olena", "phone": "+380 50 123-45-67"},
    },
}


def body(**changes: Any) -> bytes:
    """The cart event with some attributes changed; ``...`` removes one."""
    return json.dumps(
        {name: value for name, value in {**CART, **changes}.items() if value is not ...}
    ).encode()


def person(**fields: Any) -> bytes:
    return body(data={"recipient": {"id": "olena", **fields}})


def refusal(sent: bytes) -> Malformed:
    with pytest.raises(Malformed) as caught:
        parse_structured(sent)
    return caught.value


def test_a_structured_event_is_taken_apart() -> None:
    event = parse_structured(body(traceparent="00-1", priority=3, urgent=True))
    assert (event.id, event.source, event.type) == ("c-981", "shop/cart", "shop.cart.abandoned")
    assert event.time == 1_795_255_200_000
    assert event.data == {"cart_id": "981", "total": 3601.5}
    assert event.recipients == [{"id": "olena", "phone": "+380501234567"}]
    assert event.attributes["priority"] == 3 and event.attributes["urgent"] is True
    assert "data" not in event.attributes


def test_the_subject_is_the_recipient_where_the_data_name_nobody() -> None:
    assert parse_structured(body(data={"n": 1})).recipients == [{"id": "user-42"}]
    assert parse_structured(body(data=...)).recipients == [{"id": "user-42"}]
    assert (
        parse_structured(body(data={"recipient": {"first_name": "Олена"}})).recipients[0]["id"]
        == "user-42"
    )


def test_an_event_that_names_nobody_is_refused() -> None:
    assert refusal(body(subject=..., data={})).code == "no_recipient"
    assert refusal(body(subject=None, data={})).code == "no_recipient"


def test_a_fan_out_has_each_recipient_once() -> None:
    many = [{"id": "a", "first_name": "1"}, {"id": "b"}, {"id": "a", "first_name": "2"}]
    event = parse_structured(body(data={"recipients": many, "n": 1}))
    assert event.recipients == [{"id": "a", "first_name": "2"}, {"id": "b"}]
    assert event.data == {"n": 1}


def test_a_thousand_recipients_are_taken_and_one_more_is_not() -> None:
    most = [{"id": f"u{number}"} for number in range(RECIPIENTS_MAX)]
    assert len(parse_structured(body(data={"recipients": most})).recipients) == RECIPIENTS_MAX
    assert parse_structured(body(data={"recipients": [*most, most[0]]})).recipients[0] == {
        "id": "u0"
    }
    assert refusal(body(data={"recipients": [*most, {"id": "x"}]})).code == "too_large"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ...}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"source": "  "}, "source"),
        ({"type": None}, "type"),
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1.0}, "specversion"),
        ({"subject": 5}, "subject"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-11-21"}, "time"),
        ({"time": "2026-11-21T10:00:00"}, "time"),
        ({"time": "2026-02-30T10:00:00Z"}, "time"),
        ({"time": "٢٠٢٦-11-21T10:00:00Z"}, "time"),
        ({"time": 1795255200}, "time"),
        ({"time": "0001-01-01T00:00:00+05:00"}, "time"),
        ({"time": "1969-12-31T23:59:59Z"}, "time"),
        ({"time": "9999-12-31T23:59:59-01:00"}, "time"),
        ({"time": "9999-12-31T23:59:60Z"}, "time"),
        ({"traceParent": "x"}, "traceParent"),
        ({"trace_parent": "x"}, "trace_parent"),
        ({"ext": 1.5}, "ext"),
        ({"ext": {}}, "ext"),
        ({"ext": 2**31}, "ext"),
        ({"ext": "a\nb"}, "ext"),
        ({"ext": "x" * 1025}, "ext"),
        ({"data": "text"}, "data"),
        ({"data": [1]}, "data"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"data_base64": "e30="}, "data"),
        ({"data": ..., "data_base64": "!"}, "data_base64"),
        ({"data": ..., "data_base64": 5}, "data_base64"),
        ({"data": {"recipient": "olena"}}, "data.recipient"),
        ({"data": {"recipients": []}}, "data.recipients"),
        ({"data": {"recipients": [{}]}}, "data.recipients[0].id"),
        ({"data": {"recipients": [{"id": "a"}], "recipient": {"id": "b"}}}, "data.recipient"),
    ],
)
def test_a_wrong_attribute_is_named(changes: dict[str, Any], field: str) -> None:
    problem = refusal(body(**changes))
    assert problem.field == field
    assert ";" in problem.what, "it says how to fix it, too"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"phone": "0671112233"}, "phone"),
        ({"phone": "+38067111"}, "phone"),
        ({"phone": "+999501234567"}, "phone"),
        ({"phone": 380501234567}, "phone"),
        ({"phone": "+" + "1" * 5000}, "phone"),
        ({"email": "petrenko"}, "email"),
        ({"email": "petrenko@"}, "email"),
        ({"email": "a..b@example.com"}, "email"),
        ({"email": "a@b.com\nBcc: x@y.com"}, "email"),
        ({"email": "x" * 65 + "@example.com"}, "email"),
        ({"gender": "f"}, "gender"),
        ({"gender": []}, "gender"),
        ({"locale": "Ukrainian language"}, "locale"),
        ({"time_zone": "Kyiv City"}, "time_zone"),
        ({"time_zone": ["Europe/Kyiv"]}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"first_name": 5}, "first_name"),
        ({"viber_bot_id": ""}, "viber_bot_id"),
        ({"web_push": {}}, "web_push"),
        ({"web_push": ["x"]}, "web_push[0]"),
        (
            {"web_push": [{"endpoint": "https://[", "keys": {"p256dh": "", "auth": ""}}]},
            "web_push[0].endpoint",
        ),
        (
            {"web_push": [{"endpoint": "ftp://a/b", "keys": {"p256dh": "", "auth": ""}}]},
            "web_push[0].endpoint",
        ),
        (
            {"web_push": [{"endpoint": "https://a.example/b", "keys": {"auth": ""}}]},
            "web_push[0].keys.p256dh",
        ),
        ({"devices": [{"platform": "palm", "token": "t"}]}, "devices[0].platform"),
        ({"devices": [{"platform": "fcm"}]}, "devices[0].token"),
        ({"consents": [{"state": "maybe"}]}, "consents[0].state"),
        ({"consents": [{"state": "in", "channel": "fax"}]}, "consents[0].channel"),
        ({"consents": [{"state": "in", "chanel": "sms"}]}, "consents[0].chanel"),
        ({"consents": [{"state": "in", "at": "soon"}]}, "consents[0].at"),
        ({"consents": [{"state": "in", "topic": ""}]}, "consents[0].topic"),
        ({"attributes": []}, "attributes"),
    ],
)
def test_a_wrong_field_of_a_recipient_is_left_out_named_and_never_repeated(
    fields: dict[str, Any], field: str
) -> None:
    event = parse_structured(person(**{"first_name": "Олена", **fields}))
    [warning] = event.warnings
    assert (warning.recipient, warning.field) == ("olena", f"data.recipient.{field}")
    assert warning.what and warning.fix
    kept = {} if "first_name" in fields else {"first_name": "Олена"}
    assert event.recipients == [{"id": "olena", **kept}]
    for value in fields.values():
        if isinstance(value, str) and len(value) > 3:
            assert value not in str(warning)


@pytest.mark.parametrize("id", ["", " ", "a\x00b", "x" * 257, True, 1.5, [], {}])
def test_a_recipient_whose_id_cannot_be_used_is_refused(id: Any) -> None:
    assert refusal(person(id=id)).field == "data.recipient.id"


def test_recipient_fields_take_one_form() -> None:
    subscription = {
        "endpoint": "https://push.example/1",
        "keys": {"p256dh": "B", "auth": "a", "x": 1},
        "expirationTime": None,
    }
    [olena] = parse_structured(
        person(
            id=42,
            phone="+380 (50) 123-45-67",
            email="Olena@EXAMPLE.com",
            locale="uk_UA",
            web_push=[subscription, subscription],
            consents=[{"state": "in", "at": "2026-11-21T12:00:00+02:00"}],
            viber_bot_id=None,
            attributes=None,
            shoe_size=38,
        )
    ).recipients
    assert olena == {
        "id": "42",
        "phone": "+380501234567",
        "email": "Olena@example.com",
        "locale": "uk-UA",
        "web_push": [{"endpoint": "https://push.example/1", "keys": {"p256dh": "B", "auth": "a"}}],
        "consents": [
            {"channel": "*", "topic": "*", "state": "in", "source": "", "at": 1_795_255_200_000}
        ],
        "viber_bot_id": None,
        "shoe_size": 38,
    }


@pytest.mark.parametrize(
    "address",
    ["о@приклад.укр", "x@shop.test", "a+b@mail.example.com", '"q q"@example.com'.replace(" ", "")],
)
def test_unusual_mail_addresses_are_taken_as_far_as_the_standards_go(address: str) -> None:
    [found] = parse_structured(person(email=address)).recipients
    assert "@" in found["email"]


def test_times_of_every_zone_and_fraction_are_read() -> None:
    for stamp in (
        "2026-11-21T12:00:00+02:00",
        "2026-11-21t10:00:00z",
        "2026-11-21T10:00:00.0000000001Z",
    ):
        assert parse_structured(body(time=stamp)).time == 1_795_255_200_000, stamp
    assert parse_structured(body(time="2016-12-31T23:59:60Z")).time == 1_483_228_800_000
    assert parse_structured(body(time="1970-01-01T00:00:00Z")).time == 0


# ---- sameness


def test_key_order_white_space_and_the_form_of_numbers_make_no_other_event() -> None:
    first = parse_structured(
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u","data":{"a":1,"b":[2.0,1e3]}}'
    )
    again = parse_structured(
        b'{ "data": {"b": [2, 1000.0], "a": 1.0}, "subject": "u", "type":"t", "source":"s",'
        b' "id":"1", "specversion":"1.0", "datacontenttype": "application/json"}'
    )
    other = parse_structured(
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u","data":{"a":"1","b":[2,1000]}}'
    )
    assert first.digest == again.digest != other.digest


def test_an_event_is_the_same_in_every_content_mode() -> None:
    data = json.dumps(CART["data"]).encode()
    attributes = {name: value for name, value in CART.items() if name != "data"}
    http = parse_binary(
        {f"Ce-{name.title()}": value for name, value in attributes.items()}
        | {"Content-Type": "application/json"},
        data,
    )
    kafka = parse_kafka(data, {f"ce_{name}": value for name, value in attributes.items()})
    encoded = parse_structured(body(data=..., data_base64=base64.b64encode(data).decode()))
    assert http.digest == kafka.digest == encoded.digest == parse_structured(body()).digest
    assert http.recipients == kafka.recipients == encoded.recipients


@pytest.mark.parametrize(
    ("structured", "header"),
    [
        (5, "5"),
        (-5, "-5"),
        (0, "0"),
        (True, "true"),
        (False, "false"),
        ("5", "5"),
        ("true", "true"),
        ("a b", "a%20b"),
        ("Київ", "%D0%9A%D0%B8%D1%97%D0%B2"),
    ],
)
def test_an_extension_is_the_same_as_json_type_and_as_header(structured: Any, header: str) -> None:
    attributes = {name: value for name, value in CART.items() if name != "data"}
    data = json.dumps(CART["data"]).encode()
    whole = parse_structured(body(sequence=structured))
    headers = {f"ce-{name}": str(value) for name, value in attributes.items()}
    assert parse_binary({**headers, "ce-sequence": header}, data).digest == whole.digest
    plain = {f"ce_{name}": str(value) for name, value in attributes.items()}
    in_kafka = str(structured).lower() if isinstance(structured, bool) else str(structured)
    assert parse_kafka(data, {**plain, "ce_sequence": in_kafka}).digest == whole.digest
    assert parse_structured(body(sequence=6)).digest != whole.digest


def test_a_time_is_the_instant_that_it_names() -> None:
    same = ("2026-11-21T10:00:00Z", "2026-11-21T12:00:00+02:00", "2026-11-21t10:00:00.000z")
    assert len({parse_structured(body(time=time)).digest for time in same}) == 1
    assert parse_structured(body(time="2026-11-21T10:00:01Z")).digest not in {
        parse_structured(body(time=same[0])).digest
    }


@pytest.mark.parametrize(
    ("header", "type"),
    [
        ('"shop.cart"', "shop.cart"),
        ('  "shop.cart"\t', "shop.cart"),
        (r'"shop \"cart\""', 'shop "cart"'),
        (r'"a\\b"', r"a\b"),
        (r'"a\b"', "ab"),
        ('"%22quoted%22"', '"quoted"'),
        ("%22quoted%22", '"quoted"'),
        ('a"b', 'a"b'),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ('"Euro%20€"', "Euro €"),
    ],
)
def test_a_header_is_unquoted_first_and_percent_decoded_then(header: str, type: str) -> None:
    headers = {"ce-specversion": '"1.0"', "ce-id": "1", "ce-source": "s", "ce-subject": "olena"}
    assert parse_binary({**headers, "ce-type": header}, b"").type == type


@pytest.mark.parametrize("header", ['"shop', '"', r'"shop\"', '"a"b"', '"a" "b"'])
def test_quotes_that_are_not_balanced_are_refused(header: str) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-subject": "olena"}
    with pytest.raises(Malformed, match="quotes"):
        parse_binary({**headers, "ce-type": header}, b"")


# ---- binary, Kafka, batch


def test_http_headers_are_percent_decoded_and_kafka_headers_are_not() -> None:
    attributes = {
        "specversion": "1.0",
        "id": "%D0%90%20%25",
        "source": "s",
        "type": "t",
        "subject": "u",
    }
    assert (
        parse_binary({f"ce-{name}": value for name, value in attributes.items()}, b"").id == "А %"
    )
    assert (
        parse_kafka(None, {f"ce_{name}": value for name, value in attributes.items()}).id
        == "%D0%90%20%25"
    )


@pytest.mark.parametrize("value", ["100%", "%zz", "%ff", "\udcff"])
def test_a_header_that_is_no_percent_encoded_text_is_refused(value: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_binary(
            {
                "ce-specversion": "1.0",
                "ce-id": value,
                "ce-source": "s",
                "ce-type": "t",
                "ce-subject": "u",
            },
            b"{}",
        )
    assert caught.value.field == "id"


def test_data_cannot_come_in_through_a_header() -> None:
    for name in ("ce-data", "ce-data_base64"):
        with pytest.raises(Malformed):
            parse_binary(
                {
                    "ce-specversion": "1.0",
                    "ce-id": "1",
                    "ce-source": "s",
                    "ce-type": "t",
                    name: "{}",
                },
                b"",
            )


def test_a_kafka_record_is_structured_by_its_type_or_by_having_no_headers() -> None:
    for headers in (
        {},
        {"content-type": "text/plain"},
        {"content-type": "Application/CloudEvents+JSON", "ce_id": "x"},
    ):
        assert parse_kafka(body(), headers).id == "c-981"
    with pytest.raises(Malformed, match="no value"):
        parse_kafka(None, {})
    with pytest.raises(Malformed, match="no batches"):
        parse_kafka(b"[]", {"content-type": "application/cloudevents-batch+json"})


def test_what_is_wrong_with_one_event_of_a_batch_does_not_refuse_the_others() -> None:
    doubled = body(id="2").replace(b'"subject"', b'"id": "3", "subject"')
    large = body(id="4", data={"x": "y" * EVENT_BYTES_MAX})
    number = body(id="5", data={"n": 1}).replace(b'{"n": 1}', b'{"n": 99999999999999999999}')
    found = parse_batch(
        b"[" + b",".join([body(id="1"), doubled, b"7", large, number, body(id="6")]) + b"]"
    )
    codes = [one.code if isinstance(one, Malformed) else one.id for one in found]
    assert codes == ["1", "duplicate_key", "not_an_event", "too_large", "number_too_large", "6"]


def test_a_batch_has_limits_of_its_own() -> None:
    assert (
        len(parse_batch(b"[" + b",".join([body()] * BATCH_EVENTS_MAX) + b"]")) == BATCH_EVENTS_MAX
    )
    for sent in (
        b"[" + b",".join([b"1"] * (BATCH_EVENTS_MAX + 1)) + b"]",
        b" " * (4 * 1024 * 1024 + 1),
    ):
        with pytest.raises(Malformed) as caught:
            parse_batch(sent)
        assert caught.value.code == "too_large"
    with pytest.raises(Malformed, match="array"):
        parse_batch(body())


def test_an_event_up_to_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    room = EVENT_BYTES_MAX - len(body(data={"x": ""}))
    assert parse_structured(body(data={"x": "y" * room})).id == "c-981"
    assert refusal(body(data={"x": "y" * (room + 1)})).code == "too_large"


def test_plain_json_is_answered_with_the_event_it_could_be() -> None:
    problem = refusal(b'{"order": 7, "id": "o-7", "note": "secret words"}')
    assert problem.code == "not_a_cloudevent"
    assert "secret words" not in str(problem) + problem.what
    assert problem.example is not None
    event = parse_structured(json.dumps(problem.example).encode())
    assert (event.id, event.data) == ("o-7", {"order": 7, "note": "secret words"})


def test_nesting_up_to_the_limit_is_taken_alone_and_in_a_batch() -> None:
    deep: Any = 1
    for _ in range(strictjson.DEPTH_MAX - 2):
        deep = [deep]
    assert parse_structured(body(data={"deep": deep})).data == {"deep": deep}
    assert isinstance(parse_batch(b"[" + body(data={"deep": deep}) + b"]")[0], Event)
    assert refusal(body(data={"deep": [deep]})).code == "too_deep"


# ---- hostile

HOSTILE: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    "",
    "\x00",
    "x" * 2000,
    "\u202e",
    [],
    [[]],
    {},
    {"id": {}},
    "https://[",
]
ANYTHING = st.recursive(
    st.sampled_from(HOSTILE) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(CHECKS)) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from([*CART, "data_base64", "ext", "X"]), ANYTHING, max_size=4),
    st.dictionaries(st.sampled_from([*CHECKS, "id", "other"]), ANYTHING, max_size=4),
    st.sampled_from(["recipient", "recipients", "other"]),
)
@example({"time": "0000-01-01T00:00:00Z"}, {}, "other")
def test_a_hostile_event_is_taken_or_malformed_and_nothing_else(
    changes: dict[str, Any], fields: dict[str, Any], place: str
) -> None:
    given_person: Any = [fields] if place == "recipients" else fields
    sent = json.dumps({**CART, "data": {place: given_person}, **changes}).encode()
    for parse in (parse_structured, lambda raw: parse_batch(b"[" + raw + b"]")):
        try:
            parse(sent)
        except Malformed as problem:
            assert problem.code and problem.what


@given(
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["ce_id", "ce_data", "content-type"]), st.text(max_size=9)),
)
def test_any_bytes_at_all_are_taken_or_malformed(raw: bytes, headers: dict[str, str]) -> None:
    try:
        parse_kafka(raw, headers)
    except Malformed as problem:
        assert problem.code and problem.what
