"""
A stand-in for Twilio's Messages resource: SMS out, signed status callbacks and replies in.

Reference: Twilio REST API 2010-04-01, "Message resource", "Error and warning dictionary",
"Validating requests". Quirk kept: somebody who texted STOP is blocked by Twilio itself, and every
later message is refused with 21610.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
import urllib.parse
from collections.abc import Mapping

from aiohttp import web

from orchestrator.sandbox.courier import Post
from orchestrator.sandbox.inbox import InboxEntry, Item
from orchestrator.sandbox.script import Planned
from orchestrator.sandbox.standin import RefusedRequest, StandIn, as_json, is_web_url, same_secret

PHONE = re.compile(r"\+[1-9]\d{7,14}")
SENDER = re.compile(r"\+?[1-9]\d{2,14}|[A-Za-z0-9 &+_-]{1,11}")
BODY_CHARACTERS_MAX = 1_600
STOP_WORDS = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"}
)
START_WORDS = frozenset({"START", "UNSTOP", "YES"})
STATUS = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "undelivered",
    "expired": "failed",
}
ERROR = {"failed": "30003", "expired": "30036"}
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_PAIRS = frozenset("\f^{}\\[~]|€")

MESSAGES = {
    "20003": (401, "Authenticate"),
    "20404": (404, "The requested resource {detail} was not found"),
    "20429": (429, "Too Many Requests"),
    "20422": (400, "Invalid Parameter: {detail}"),
    "21211": (400, "Invalid 'To' Phone Number: {detail}"),
    "21212": (400, "Invalid 'From' Phone Number: {detail}"),
    "21408": (
        400,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To'"
        " number",
    ),
    "21602": (400, "Message body is required."),
    "21603": (400, "A 'From' phone number is required."),
    "21604": (400, "A 'To' phone number is required."),
    "21606": (
        400,
        "The 'From' phone number provided is not a valid message-capable Twilio phone number",
    ),
    "21609": (400, "The 'StatusCallback' URL {detail} is not a valid URL."),
    "21610": (400, "Attempt to send to unsubscribed recipient"),
    "21611": (429, "This 'From' number has exceeded the maximum number of queued messages"),
    "21612": (400, "The 'To' phone number is not currently reachable via SMS"),
    "21614": (400, "'To' number is not a valid mobile number"),
    "21617": (400, "The concatenated message body exceeds the 1600 character limit"),
}


class Twilio(StandIn):
    """SMS by ``POST /2010-04-01/Accounts/{sid}/Messages.json``."""

    name = "twilio"
    channel = "sms"
    paths = ("/2010-04-01/Accounts/{sid}/Messages.json",)
    usual_refusal = "21614"
    blocked_code = "21610"
    throttle_code = "20429"

    def read(self, request: web.Request, raw: bytes) -> list[Item]:
        self._authenticate(request)
        form = dict(urllib.parse.parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
        to = form.get("To", "")
        problem = problem_of(form)
        if problem is not None:
            raise RefusedRequest(failure(*problem), problem[0], to or None)
        text = form.get("Body", "")
        sender = form.get("From") or form["MessagingServiceSid"]
        callback = form.get("StatusCallback")
        content = {"text": text, "from": sender, "segments": segments(text)}
        content |= {
            key: form[key] for key in ("ValidityPeriod", "MediaUrl", "ContentSid") if key in form
        }
        return [
            Item(
                address=to,
                provider_id="SM" + self.common.new_id(),
                reference=reference_of(callback),
                content=content,
                hooks={
                    "callback": callback,
                    "from": sender,
                    "service": "MessagingServiceSid" in form,
                },
            )
        ]

    def refused(self, code: str, address: str = "") -> web.Response:
        return failure(code, address)

    def taken(self, item: Item) -> web.Response:
        account = self.common.accounts.twilio_account_sid
        service = item.hooks["service"]
        body = {
            "sid": item.provider_id,
            "account_sid": account,
            "api_version": "2010-04-01",
            "status": "accepted" if service else "queued",
            "direction": "outbound-api",
            "to": item.address,
            "from": None if service else item.hooks["from"],
            "messaging_service_sid": item.hooks["from"] if service else None,
            "body": item.content["text"],
            "num_segments": "0" if service else str(item.content["segments"]),
            "num_media": "0",
            "error_code": None,
            "error_message": None,
            "price": None,
            "price_unit": "USD",
            "date_created": time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()),
            "uri": f"/2010-04-01/Accounts/{account}/Messages/{item.provider_id}.json",
        }
        return as_json(201, body)

    def report(self, entry: InboxEntry, planned: Planned) -> Post | None:
        url, status = entry.item.hooks["callback"], STATUS.get(planned.state)
        if not url or status is None:
            return None
        form = {
            "MessageSid": entry.item.provider_id,
            "SmsSid": entry.item.provider_id,
            "MessageStatus": status,
            "SmsStatus": status,
            "To": entry.item.address,
            "From": entry.item.hooks["from"],
            "AccountSid": self.common.accounts.twilio_account_sid,
            "ApiVersion": "2010-04-01",
            "RawDlrDoneDate": time.strftime("%y%m%d%H%M", time.gmtime()),
        }
        if planned.state in ERROR:
            form["ErrorCode"] = planned.detail or ERROR[planned.state]
        return self._signed(url, form)

    def inbound(self, provider: str, address: str, text: str, entry: InboxEntry | None) -> Post:
        entry = entry or self.common.inbox.last(provider)
        learned = (entry.item.hooks["callback"] or "").partition("?")[0] if entry else ""
        url = self.callback(provider, learned or None)
        sid = "SM" + self.common.new_id()
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "AccountSid": self.common.accounts.twilio_account_sid,
            "From": address,
            "To": entry.item.hooks["from"] if entry else self.common.accounts.twilio_from,
            "Body": text,
            "NumMedia": "0",
            "NumSegments": str(segments(text)),
            "ApiVersion": "2010-04-01",
        }
        word = text.strip().upper()
        if word in STOP_WORDS or word in START_WORDS:
            self.common.inbox.opt(provider, address, word in STOP_WORDS)
            form["OptOutType"] = "STOP" if word in STOP_WORDS else "START"
        return self._signed(url, form)

    def _authenticate(self, request: web.Request) -> None:
        accounts = self.common.accounts
        login = f"{accounts.twilio_account_sid}:{accounts.twilio_auth_token}"
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = base64.b64encode(login.encode()).decode()
        if scheme.lower() != "basic" or not same_secret(given.strip(), expected):
            raise RefusedRequest(failure("20003"), "20003")
        if request.match_info["sid"] != accounts.twilio_account_sid:
            raise RefusedRequest(failure("20404", request.path), "20404")

    def _signed(self, url: str, form: Mapping[str, str]) -> Post:
        signature = sign(self.common.accounts.twilio_auth_token, url, form)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": signature,
        }
        return Post(url=url, body=urllib.parse.urlencode(form).encode(), headers=headers)


def problem_of(form: Mapping[str, str]) -> tuple[str, str] | None:
    """The first thing wrong with a request, as code and detail."""
    to, sender, body, callback = (
        form.get(key, "") for key in ("To", "From", "Body", "StatusCallback")
    )
    seconds = form.get("ValidityPeriod", "1")
    checks = (
        (not to, "21604", ""),
        (not PHONE.fullmatch(to), "21211", to),
        (not sender and not form.get("MessagingServiceSid"), "21603", ""),
        (bool(sender) and not SENDER.fullmatch(sender), "21212", sender),
        (not body and not form.get("MediaUrl") and not form.get("ContentSid"), "21602", ""),
        (len(body) > BODY_CHARACTERS_MAX, "21617", ""),
        (bool(callback) and not is_web_url(callback), "21609", callback),
        (not seconds.isdigit() or not 1 <= int(seconds) <= 36_000, "20422", "ValidityPeriod"),
    )
    return next(((code, detail) for wrong, code, detail in checks if wrong), None)


def failure(code: str, detail: str = "") -> web.Response:
    """Twilio's error body; a code that is not in the table is a plain 400."""
    status, message = MESSAGES.get(code, (400, "Unable to create record"))
    body = {
        "code": int(code) if code.isdigit() else code,
        "message": message.format(detail=detail),
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    challenge = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if status == 401 else None
    return as_json(status, body, challenge)


def sign(token: str, url: str, form: Mapping[str, str]) -> str:
    """``X-Twilio-Signature``: HMAC-SHA1 over the URL and the sorted fields."""
    text = url + "".join(key + form[key] for key in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def reference_of(callback: str | None) -> str | None:
    """The sender's reference: the last field of the callback's query (Twilio has no own field)."""
    fields = urllib.parse.parse_qsl(urllib.parse.urlsplit(callback or "").query)
    return fields[-1][1] if fields else None


def segments(text: str) -> int:
    """Parts that a text needs (3GPP TS 23.038 and 23.040); a pair is never split between two."""
    if all(character in GSM or character in GSM_PAIRS for character in text):
        sizes, single, part = [2 if character in GSM_PAIRS else 1 for character in text], 160, 153
    else:
        sizes, single, part = [2 if ord(character) > 0xFFFF else 1 for character in text], 70, 67
    if sum(sizes) <= single:
        return 1
    parts, room = 1, part
    for size in sizes:
        if size > room:
            parts, room = parts + 1, part
        room -= size
    return parts
