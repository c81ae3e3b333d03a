"""
The kinds of address: how a field of the recipient becomes addresses.

A channel names the kinds that it can use. A kind is named as the recipient's field is, and knows
how the field is checked, how an address is shown to people, and what a made-up one looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orchestrator.channels.mailboxes import (
    MAILBOX_BYTES_MAX,
    guessed_email,
    looks_like_email,
    mailbox_identity,
    normal_email,
)
from orchestrator.channels.phones import (
    country_of,
    guessed_phone,
    looks_like_phone,
    normal_phone,
)
from orchestrator.channels.unseen import WRITTEN_LENGTH_MAX, only_seen

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
PLAIN_URL = re.compile(r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[1-9][0-9]{0,4})?/[!-~]*")
CHAT_ID = re.compile(r"-?[1-9][0-9]{0,15}")
ID_LENGTH_MAX = 256
TEXT_LENGTH_MAX = 512
EMAIL_LENGTH_MAX = MAILBOX_BYTES_MAX
PHONE_LENGTH_MAX = 40
ENDPOINT_LENGTH_MAX = 2_048
SUBSCRIPTIONS_MAX = 20
DEVICES_MAX = 20
TOKEN_LENGTH_MAX = 2_048
PLATFORMS = ("fcm", "apns")

Keys = tuple[tuple[str, str], ...]


class Misshapen(ValueError):
    """``field`` is wrong: what, and how to fix it. The text never repeats the value."""

    def __init__(self, field: str, what: str, fix: str) -> None:
        super().__init__(f"{field}: {what}; {fix}" if field else f"{what}; {fix}")
        self.field = field
        self.what = what
        self.fix = fix


def one_value(value: Any) -> Iterable[tuple[str, Keys]]:
    """The entries of a field that holds one plain address."""
    return ((value, ()),) if value else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressKind:
    """One kind of address; what has no default is needed."""

    name: str
    """``Address.kind``."""
    label: str
    """For people, with its article: ``a phone number``."""
    read: Callable[[Any, str], Any]
    """``(value, field)`` → the field's one form. Raises ``Misshapen``."""
    schema: Mapping[str, Any]
    """The field's JSON Schema, without null."""
    sample: Callable[[int], Any]
    """The field with ``n`` made-up addresses, for tests of policies."""
    entries: Callable[[Any], Iterable[tuple[str, Keys]]] = one_value
    """The field's addresses: the value of each and its further keys."""
    field: str = ""
    """The recipient's field; empty: named as the kind. Kinds that share one read it alike."""
    aliases: tuple[str, ...] = ()
    """Names that other systems have for the field, in small letters only."""
    own_id: bool = False
    """It is the recipient's own id: everybody has one, and no field of the profile holds it."""
    several: bool = False
    """The field is a list, so that ``entries`` is needed."""
    masked: Callable[[str], str] | None = None
    """Enough of an address for people to recognise it; None: they see a part of its hash."""
    country: Callable[[str], str] | None = None
    """The ISO 3166 code of an address, "" if unknown."""
    identity: Callable[[str], str] | None = None
    """The same text for every spelling of one address; None: each has only one spelling."""
    guessed: Callable[[str, Sequence[str]], str | None] | None = None
    """The form that was probably meant by an unreadable text; and the likely countries."""
    looks_like: Callable[[str], bool] | None = None
    """Whether a bare text is of this kind; None: ids of different kinds look alike."""

    @property
    def written_as(self) -> str:
        """The recipient's field."""
        return self.field or self.name


def text(value: Any, field: str) -> str:
    """A short text."""
    if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX:
        what = f"it must be a string of at most {TEXT_LENGTH_MAX} characters"
        raise Misshapen(field, what, "send text, or null")
    return value


def identifier(value: Any, field: str) -> str:
    """A provider's id of a person."""
    if not isinstance(value, str) or not 0 < len(value) <= ID_LENGTH_MAX or CONTROL.search(value):
        what = f"it must be a string of 1 to {ID_LENGTH_MAX} characters"
        raise Misshapen(field, what, "send the id as the provider gave it, or null to remove it")
    return value


def chat_id(value: Any, field: str) -> str:
    """Telegram's id of a chat, which it writes as a whole number."""
    written = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not CHAT_ID.fullmatch(written):
        what = "it is not a chat id of Telegram, which is a whole number"
        raise Misshapen(field, what, 'write it like "712345678", or null to remove it')
    return written


def phone(value: Any, field: str) -> str:
    """E.164: a plus sign and digits, nothing else."""
    written = value if isinstance(value, str) and len(value) <= WRITTEN_LENGTH_MAX else ""
    if len(written) > PHONE_LENGTH_MAX:
        written = only_seen(written)
    number = normal_phone(written) if len(written) <= PHONE_LENGTH_MAX else None
    if number is None:
        raise Misshapen(field, "it is not a phone number in E.164", 'write it like "+380501234567"')
    return number


def email(value: Any, field: str) -> str:
    """A mail address, its domain as DNS has it."""
    address = normal_email(value) if isinstance(value, str) else None
    if address is None:
        raise Misshapen(field, "it is not a mail address", 'write it like "olena@example.com"')
    return address


def subscriptions(value: Any, field: str) -> list[dict[str, Any]]:
    """
    Push subscriptions as browsers hand them over, each endpoint once. Keys that we do not know are
    left out.
    """
    fix = (
        'send PushSubscription.toJSON(): [{"endpoint": "https://…", "keys": {"p256dh": "…", "auth":'
        ' "…"}}]'
    )
    if not isinstance(value, list) or len(value) > SUBSCRIPTIONS_MAX:
        what = f"it must be a list of at most {SUBSCRIPTIONS_MAX} subscriptions"
        raise Misshapen(field, what, fix)
    found: dict[str, dict[str, Any]] = {}
    for index, one in enumerate(value):
        place = f"{field}[{index}]"
        if not isinstance(one, Mapping) or not isinstance(one.get("keys"), Mapping):
            raise Misshapen(place, "it is not a subscription", fix)
        endpoint = one.get("endpoint")
        if not isinstance(endpoint, str) or not is_web_address(endpoint):
            raise Misshapen(f"{place}.endpoint", "it must be an https URL", fix)
        keys = {
            name: text(one["keys"].get(name), f"{place}.keys.{name}") for name in ("p256dh", "auth")
        }
        kept: dict[str, Any] = {"endpoint": endpoint, "keys": keys}
        if one.get("vapid_key_id") is not None:
            kept["vapid_key_id"] = text(one["vapid_key_id"], f"{place}.vapid_key_id")
        found[endpoint] = kept
    return list(found.values())


def endpoints(value: Any) -> Iterable[tuple[str, Keys]]:
    """The endpoint and keys of each subscription."""
    for one in value or ():
        keys = dict(one.get("keys") or {})
        if one.get("vapid_key_id"):
            keys["vapid_key_id"] = one["vapid_key_id"]
        yield one["endpoint"], tuple(sorted(keys.items()))


def devices(value: Any, field: str) -> list[dict[str, str]]:
    """Apps that can be pushed to, each token once. Keys that we do not know are left out."""
    fix = 'write [{"platform": "fcm", "token": "…"}]'
    if not isinstance(value, list) or len(value) > DEVICES_MAX:
        raise Misshapen(field, f"it must be a list of at most {DEVICES_MAX} devices", fix)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for index, one in enumerate(value):
        place = f"{field}[{index}]"
        if not isinstance(one, Mapping) or one.get("platform") not in PLATFORMS:
            raise Misshapen(f"{place}.platform", "it must be fcm or apns", fix)
        token = one.get("token")
        written = token.strip() if isinstance(token, str) else ""
        if not written or len(written) > TOKEN_LENGTH_MAX or CONTROL.search(written):
            what = f"it must be a string of 1 to {TOKEN_LENGTH_MAX} characters"
            raise Misshapen(f"{place}.token", what, fix)
        kept = {"platform": str(one["platform"]), "token": written}
        for name in ("app", "locale"):
            if one.get(name) is not None:
                kept[name] = text(one[name], f"{place}.{name}")
        found[kept["platform"], kept["token"]] = kept
    return list(found.values())


def made_up_devices(count: int) -> list[dict[str, str]]:
    """Devices that do not exist, of both platforms in turn."""
    return [
        {"platform": PLATFORMS[number % 2], "token": f"{number:064x}"}
        for number in range(min(count, DEVICES_MAX))
    ]


def device_kind(platform: str, label: str) -> AddressKind:
    """The devices of one platform; the field ``devices`` has those of all."""

    def tokens(value: Any) -> Iterable[tuple[str, Keys]]:
        for one in value or ():
            if one["platform"] == platform:
                yield one["token"], (("app", one["app"]),) if one.get("app") else ()

    return AddressKind(
        name=f"{platform}_device",
        label=label,
        field="devices",
        read=devices,
        schema={
            "type": "array",
            "maxItems": DEVICES_MAX,
            "items": {
                "type": "object",
                "required": ["platform", "token"],
                "properties": {
                    "platform": {"enum": list(PLATFORMS)},
                    "token": {"type": "string", "minLength": 1, "maxLength": TOKEN_LENGTH_MAX},
                    "app": {"type": "string", "description": "The app's bundle id or package."},
                    "locale": {"type": "string"},
                },
            },
        },
        sample=made_up_devices,
        aliases=("pushtokens", "devicetokens"),
        entries=tokens,
        several=True,
    )


def is_web_address(url: str) -> bool:
    """
    Whether it is an absolute http(s) URL. Dispatch decides whether it may be called: an
    installation may allow plain http for its own stand-in.
    """
    if len(url) > ENDPOINT_LENGTH_MAX or "//" not in url:
        return False
    if PLAIN_URL.fullmatch(url):
        return True
    if CONTROL.search(url) or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def masked_email(value: str) -> str:
    name, _, domain = value.partition("@")
    return f"{name[:1]}…@{domain}"


def made_up_browsers(count: int) -> list[dict[str, Any]]:
    """Subscriptions of browsers that do not exist."""
    return [
        {
            "endpoint": f"https://push.example.com/browser/{number}",
            "keys": {"p256dh": f"key-of-browser-{number}", "auth": f"secret-{number}"},
        }
        for number in range(1, min(count, SUBSCRIPTIONS_MAX) + 1)
    ]


def id_kind(name: str, label: str) -> AddressKind:
    """A kind whose addresses are a provider's ids of people."""
    return AddressKind(
        name=name,
        label=label,
        read=identifier,
        schema={"type": "string", "minLength": 1, "maxLength": ID_LENGTH_MAX},
        sample=lambda _: f"{name}-1",
    )


PHONE = AddressKind(
    name="phone",
    label="a phone number",
    read=phone,
    schema={
        "type": "string",
        "maxLength": PHONE_LENGTH_MAX,
        "description": "E.164, such as +380501234567.",
    },
    sample=lambda _: "+380501234567",
    aliases=("tel", "telephone", "phonenumber", "mobile", "mobilephone", "msisdn", "cell"),
    masked=lambda value: f"{value[:4]}…{value[-2:]}",
    country=country_of,
    looks_like=looks_like_phone,
    guessed=guessed_phone,
)
EMAIL = AddressKind(
    name="email",
    label="an email address",
    read=email,
    schema={"type": "string", "maxLength": EMAIL_LENGTH_MAX, "format": "email"},
    sample=lambda _: "recipient@example.com",
    aliases=("mail", "emailaddress", "mailbox"),
    masked=masked_email,
    identity=mailbox_identity,
    looks_like=looks_like_email,
    guessed=guessed_email,
)
WEB_PUSH = AddressKind(
    name="web_push",
    label="a web-push subscription",
    read=subscriptions,
    schema={
        "type": "array",
        "maxItems": SUBSCRIPTIONS_MAX,
        "items": {
            "type": "object",
            "required": ["endpoint", "keys"],
            "properties": {
                "endpoint": {"type": "string", "format": "uri"},
                "keys": {
                    "type": "object",
                    "required": ["p256dh", "auth"],
                    "properties": {"p256dh": {"type": "string"}, "auth": {"type": "string"}},
                },
                "vapid_key_id": {"type": "string"},
            },
        },
    },
    sample=made_up_browsers,
    aliases=("push", "pushsubscription", "subscriptions"),
    entries=endpoints,
    several=True,
    looks_like=is_web_address,
)
RECIPIENT_ID = AddressKind(
    name="recipient_id",
    label="the recipient's own id",
    read=identifier,
    schema={"type": "string", "minLength": 1, "maxLength": ID_LENGTH_MAX},
    sample=lambda _: "user-42",
    own_id=True,
)
FCM_DEVICE = device_kind("fcm", "a device with Firebase")
APNS_DEVICE = device_kind("apns", "an Apple device")
VIBER_BOT_ID = id_kind("viber_bot_id", "a Viber bot id")
TELEGRAM_ID = AddressKind(
    name="telegram_id",
    label="a Telegram chat id",
    read=chat_id,
    schema={"anyOf": [{"type": "string", "pattern": f"^{CHAT_ID.pattern}$"}, {"type": "integer"}]},
    sample=lambda _: "712345678",
)
WHATSAPP_ID = id_kind("whatsapp_id", "a WhatsApp id")
