"""One person's trouble stays theirs: stale subscriptions, dead hosts, blocked domains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.email.replies import outcome_of
from adapters.sms.twilio_sms import TwilioSettings, TwilioSms
from adapters.viber.viber_bot import ViberBot, ViberBotSettings
from adapters.web_push.vapid import WebPush, WebPushSettings
from orchestrator.channels import HttpAdapter, HttpCall, HttpReply
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.dispatch.answers import OnBreaker
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.hosts import HOSTS_MAX, HostBreakers, host_of
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.dispatch.suspicions import RECIPIENTS_MAX, Suspicions
from tests.adapters import examples_apns as apple
from tests.adapters import examples_fcm as google
from tests.adapters.examples_web_push import PEM
from tests.core.tale import PROVIDERS, START

STALE = Refused(Reason.REFUSED_ADDRESS, "403", "", 2, personal=True)
OPEN_FOR_MS = 30_000


class Account:
    """One account at work; answers come one after the other, a second apart."""

    def __init__(self, name: str = "push") -> None:
        breaker = Breaker(0.5, 20, 30_000, OPEN_FOR_MS)
        self.provider = ActiveProvider(PROVIDERS[name], None, None, breaker, slots=2)  # type: ignore[arg-type]
        self.now = START

    async def answer(
        self, outcome: Outcome, person: str, host: str | None = None, mailbox: str = ""
    ) -> Outcome:
        """What the answer counts as, in the end."""
        address = Address("email" if mailbox else "web_push", mailbox or "https://x", person)
        judged = self.provider.judge(outcome, person, address)
        await self.provider.apply(judged, self.now, host)
        self.now += 1_000
        return judged

    @property
    def shut(self) -> bool:
        return self.provider.breaker.shut_until(self.now) is not None


def web_push(status: int, body: bytes = b"") -> Outcome:
    adapter = WebPush(
        WebPushSettings.model_validate({"private_key": PEM, "subject": "mailto:a@b.example"}),
        "push",
    )
    return adapter.outcome(HttpReply(status=status, headers={}, body=body, now=0.0))


# ---- subscriptions


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b"the key in the authorization header does not correspond to the sender ID"),
        (403, b""),
        (401, b'{"code": 401, "errno": 109, "error": "Unauthorized", "message": "VAPID mismatch"}'),
        (400, b'{"reason": "VapidPkHashMismatch"}'),
    ],
)
async def test_a_subscription_of_another_key_is_its_own_fault_however_often(
    status: int, body: bytes
) -> None:
    at = Account()
    for _ in range(100):
        judged = await at.answer(web_push(status, body), "olena")
        assert isinstance(judged, Refused)
        assert judged.reason is Reason.REFUSED_ADDRESS
    assert not at.shut


async def test_twenty_stale_devices_of_four_people_shut_nothing() -> None:
    at = Account()
    for turn in range(80):
        await at.answer(STALE, f"person-{turn % 4}")
    assert not at.shut


async def test_the_same_answer_from_five_people_in_a_row_is_our_configuration() -> None:
    at = Account()
    answers = [await at.answer(STALE, f"person-{n}") for n in range(5)]
    assert [getattr(one, "reason", None) for one in answers] == [
        *[Reason.REFUSED_ADDRESS] * 4,
        Reason.REFUSED_CONFIGURATION,
    ]
    assert at.shut


async def test_a_probe_that_is_refused_the_same_way_shuts_it_again() -> None:
    at = Account()
    for n in range(5):
        await at.answer(STALE, f"person-{n}")
    at.now += OPEN_FOR_MS
    at.provider.breaker.probing(at.now)
    await at.answer(STALE, "person-9")
    assert at.shut
    at.now += OPEN_FOR_MS
    at.provider.breaker.probing(at.now)
    await at.answer(Accepted("a"), "person-10")
    assert not at.shut
    assert at.provider.breaker.admits(at.now) > 1


async def test_a_success_between_makes_every_refusal_personal() -> None:
    at = Account()
    for n in range(300):
        await at.answer(Accepted("a") if n % 5 == 4 else STALE, f"person-{n}")
    assert not at.shut


async def test_where_half_of_all_subscriptions_are_stale_a_longer_row_is_needed() -> None:
    at = Account()
    row = 0
    for length in (2, 4, 7, 12, 20, 39):
        for _ in range(length):
            row += 1
            await at.answer(STALE, f"person-{row}")
        assert not at.shut, length
        await at.answer(Accepted("a"), "taker")


@pytest.mark.parametrize("word", [b"BadJwtToken", b"BadAuthorizationHeader"])
async def test_what_no_subscription_can_cause_is_ours_at_once(word: bytes) -> None:
    at = Account()
    await at.answer(web_push(403, b'{"reason": "' + word + b'"}'), "olena")
    assert at.shut


def test_a_row_is_remembered_within_bounds() -> None:
    suspicions = Suspicions()
    for n in range(10_000):
        suspicions.ours(STALE, f"person-{n}", f"group-{n}")
    assert len(suspicions._groups) <= RECIPIENTS_MAX


# ---- hosts that users supply


@pytest.mark.parametrize(
    "outcome",
    [
        NotSent(Reason.CONNECT_FAILED),
        Unknown(Reason.TIMED_OUT),
        Unknown(Reason.CONNECTION_LOST),
        Unknown(Reason.SERVER_ERROR),
    ],
)
async def test_what_a_user_supplied_host_does_never_opens_the_providers_breaker(
    outcome: Outcome,
) -> None:
    at = Account()
    for n in range(25):
        await at.answer(outcome, f"person-{n}", host="dead.example")
    assert not at.shut
    assert at.provider.hosts.refusal("dead.example", at.now - 1) is not None
    assert at.provider.hosts.refusal("push.example", at.now) is None


async def test_many_hosts_that_cannot_be_resolved_open_nothing_and_are_forgotten() -> None:
    at = Account()
    for n in range(3 * HOSTS_MAX):
        host = f"{n}.example"
        assert at.provider.hosts.refusal(host, at.now) is None
        await at.answer(NotSent(Reason.CONNECT_FAILED), "mallory", host=host)
    assert not at.shut
    assert len(at.provider.hosts) == HOSTS_MAX


async def test_a_host_that_throttles_pauses_no_other() -> None:
    class Paused:
        async def pause(self, seconds: float) -> None:
            raise AssertionError("the whole provider was paused")

    at = Account()
    at.provider.bucket = Paused()  # type: ignore[assignment]
    for n in range(10):
        await at.answer(NotSent(Reason.THROTTLED, 60_000), f"person-{n}", host="slow.example")


def test_a_shut_host_is_probed_and_opens_again() -> None:
    hosts = HostBreakers(lambda: Breaker(0.5, 2, 30_000, 30_000))

    for _ in range(2):
        hosts.of("a.example").record(OnBreaker.FAILURE, START)
    refusal = hosts.refusal("a.example", START + 1_000)
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after_ms) == (Reason.BREAKER_OPEN, 29_000)
    assert hosts.refusal("a.example", START + 30_000) is None
    assert hosts.refusal("a.example", START + 30_000) is not None, "one probe at a time"
    hosts.of("a.example").record(OnBreaker.SUCCESS, START + 30_100)
    assert hosts.refusal("a.example", START + 30_200) is None


@pytest.mark.parametrize(
    ("url", "guarded", "host"),
    [
        ("https://Push.Example/a", True, "push.example"),
        ("https://push.example:8443/a", True, "push.example"),
        ("https://api.example/a", False, None),
        ("https://a..push.example/x", True, "a..push.example"),
        ("https://[::1/x", True, ""),
    ],
)
def test_only_a_user_supplied_url_has_a_host_of_its_own(
    url: str, guarded: bool, host: str | None
) -> None:
    call = HttpCall(method="POST", url=url, headers={}, body=b"", guarded=guarded)
    assert host_of(call) == host


# ---- other channels


def twilio(code: int) -> Outcome:
    settings = TwilioSettings.model_validate(
        {"account_sid": "AC" + "0" * 32, "auth_token": "t", "from": "Shop"}
    )
    return json_reply(TwilioSms(settings, "texts"), 400, f'{{"code": {code}}}')


def viber(status: int) -> Outcome:
    settings = ViberBotSettings.model_validate({"auth_token": "t", "sender": "Shop"})
    return json_reply(ViberBot(settings, "bot"), 200, f'{{"status": {status}}}')


def json_reply(adapter: HttpAdapter[Any], status: int, body: str) -> Outcome:
    return adapter.outcome(HttpReply(status=status, headers={}, body=body.encode(), now=0.0))


PERSONAL: Sequence[tuple[str, Outcome]] = [
    ("a country that is not enabled", twilio(21408)),
    ("a number that a trial may not write to", twilio(21608)),
    ("a network that wants registered senders", twilio(30018)),
    ("a receiver of another bot", viber(15)),
    ("a domain that blocks us", outcome_of("rcpt", 550, "5.7.1 Access denied, blacklisted")),
    ("a domain that wants DMARC", outcome_of("data", 550, "5.7.26 unauthenticated")),
]
OURS: Sequence[tuple[str, Outcome]] = [
    ("a wrong password at Twilio", twilio(20003)),
    ("a wrong bot token", viber(2)),
    ("a login that the relay refuses", outcome_of("auth", 535, "5.7.8 bad credentials")),
    ("a sender that the relay refuses", outcome_of("mail", 550, "5.7.1 not authorized to send")),
]


@pytest.mark.parametrize("outcome", [one[1] for one in PERSONAL], ids=[one[0] for one in PERSONAL])
async def test_what_may_be_said_of_one_recipient_shuts_nothing(outcome: Outcome) -> None:
    at = Account("texts")
    judged = await at.answer(outcome, "olena", mailbox="olena@strict.example")
    assert isinstance(judged, Refused)
    assert judged.reason is Reason.REFUSED_RECIPIENT
    assert not at.shut
    for n in range(5):
        await at.answer(outcome, f"person-{n}", mailbox=f"a@{n}.example")
    assert at.shut, "five different ones are ours"


@pytest.mark.parametrize("outcome", [one[1] for one in OURS], ids=[one[0] for one in OURS])
async def test_what_no_recipient_can_cause_shuts_the_provider_at_once(outcome: Outcome) -> None:
    at = Account("texts")
    await at.answer(outcome, "olena", mailbox="olena@strict.example")
    assert at.shut


async def test_a_whole_company_that_blocks_us_shuts_nothing_for_others() -> None:
    at = Account("mail")
    blocked = outcome_of("rcpt", 550, "5.7.1 Access denied, blacklisted")
    for n in range(12):
        await at.answer(blocked, f"person-{n}", mailbox=f"p{n}@strict.example")
    assert not at.shut
    for n in range(12, 20):
        await at.answer(blocked, f"person-{n}", mailbox=f"p{n}@strict.example")
    assert at.shut, "twenty people and not one success: one audience may share a domain"


async def test_a_domain_that_never_answers_does_not_open_the_relays_breaker() -> None:
    at = Account("mail")
    silent = NotSent(Reason.CONNECT_FAILED, personal=True)
    for n in range(60):
        outcome = Accepted("a") if n % 5 == 4 else silent
        await at.answer(outcome, f"person-{n}", mailbox=f"p{n}@tarpit.example")
    assert not at.shut


async def test_a_relay_that_never_answers_anybody_is_shut() -> None:
    at = Account("mail")
    silent = NotSent(Reason.CONNECT_FAILED, personal=True)
    for n in range(30):
        await at.answer(silent, f"person-{n}", mailbox=f"p@{n}.example")
    assert at.shut


# ---- devices of apps


def apns(reason: str, status: int = 400) -> Outcome:
    body = json.dumps({"reason": reason}).encode()
    return apple.EXAMPLES.http().outcome(HttpReply(status=status, headers={}, body=body, now=0.0))


def fcm_of_another_project() -> Outcome:
    reply = google.error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")
    return google.EXAMPLES.http().outcome(reply)


@pytest.mark.parametrize("outcome", [apns("BadDeviceToken"), fcm_of_another_project()])
async def test_a_bad_device_among_good_ones_is_that_device(outcome: Outcome) -> None:
    at = Account()
    for number in range(30):
        judged = await at.answer(outcome, f"person-{number}")
        assert isinstance(judged, Refused) and judged.reason is Reason.REFUSED_ADDRESS
        await at.answer(Accepted("m"), "somebody")
    assert not at.shut


@pytest.mark.parametrize("outcome", [apns("BadDeviceToken"), fcm_of_another_project()])
async def test_everybody_s_device_being_bad_is_our_configuration(outcome: Outcome) -> None:
    at = Account()
    said = [await at.answer(outcome, f"person-{number}") for number in range(5)]
    last = said[-1]
    assert isinstance(last, Refused) and last.reason is Reason.REFUSED_CONFIGURATION
    assert at.shut
