"""What ``mobile_push.yaml`` may say, and what devices of a profile look like."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.channels.address_kinds import DEVICES_MAX, Misshapen, devices
from orchestrator.channels.mobile_push import MOBILE_PUSH


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"url": "https://shop.example.com/cart", "image": "https://shop.example.com/a.jpg"},
        {"url": "shop://cart/17", "sound": "none", "badge": 0, "collapse": "cart"},
        {"badge": "3", "data": {"cart_id": "17", "vip": True, "total": 12.5}},
        {"android": {"channel": "carts", "priority": "normal"}},
        {"ios": {"category": "CART", "interruption": "time-sensitive"}},
    ],
)
def test_what_a_notification_may_say(found: dict[str, Any]) -> None:
    assert MOBILE_PUSH.structure_problem(found) is None


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"link": "x"}, "mobile_push.yaml has no key 'link'"),
        ({"url": "cart"}, "url must be a URL, or a link into the app"),
        ({"url": "javascript:alert(1)"}, "url must be a URL"),
        ({"url": "shop://a b"}, "url must be a URL"),
        ({"image": "http://shop.example.com/a.jpg"}, "image must be an https URL"),
        ({"badge": -1}, "badge must be a whole number"),
        ({"badge": "many"}, "badge must be a whole number"),
        ({"sound": ""}, "sound must be a text"),
        ({"collapse": 7}, "collapse must be a text"),
        ({"data": ["x"]}, "data must be a mapping"),
        ({"data": {"rt": "x"}}, "data cannot have a key 'rt'"),
        ({"data": {"sound": "x"}}, "data cannot have a key 'sound'"),
        ({"data": {"google.x": "x"}}, "data cannot have a key 'google.x'"),
        ({"data": {"list": [1]}}, "data.list must be a text"),
        ({"android": {"priority": "urgent"}}, "android.priority must be one of high, normal"),
        ({"android": {"sound": "x"}}, "android must be a mapping with channel and priority"),
        ({"ios": {"interruption": "loud"}}, "ios.interruption must be one of passive"),
        ({"ios": "x"}, "ios must be a mapping"),
    ],
)
def test_what_is_wrong_with_a_notification_is_said(found: dict[str, Any], said: str) -> None:
    problem = MOBILE_PUSH.structure_problem(found)
    assert problem is not None and problem.startswith(said)


def test_devices_are_kept_once_and_without_what_nobody_knows() -> None:
    phone = {"platform": "fcm", "token": " t1 ", "app": "com.example.shop", "os": "14"}
    assert devices([phone, phone, {"platform": "apns", "token": "t1"}], "devices") == [
        {"platform": "fcm", "token": "t1", "app": "com.example.shop"},
        {"platform": "apns", "token": "t1"},
    ]


@pytest.mark.parametrize(
    "found",
    [
        "t1",
        [{"platform": "palm", "token": "t"}],
        [{"platform": "fcm", "token": ""}],
        [{"platform": "fcm", "token": "a\x00b"}],
        [{"platform": "fcm", "token": "x" * 5_000}],
        [{"platform": "fcm", "token": "t", "app": 7}],
        [{"platform": "fcm", "token": str(number)} for number in range(DEVICES_MAX + 1)],
    ],
)
def test_what_is_no_device_is_refused(found: Any) -> None:
    with pytest.raises(Misshapen):
        devices(found, "devices")


def test_each_platform_has_its_own_addresses() -> None:
    google, apple = MOBILE_PUSH.addresses
    field = [{"platform": "fcm", "token": "g"}, {"platform": "apns", "token": "a", "app": "x"}]
    assert list(google.entries(field)) == [("g", ())]
    assert list(apple.entries(field)) == [("a", (("app", "x"),))]
    assert {one.written_as for one in MOBILE_PUSH.addresses} == {"devices"}
