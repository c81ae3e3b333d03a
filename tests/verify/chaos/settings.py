"""The installation that is hurt: its policies, templates, rules, and how its providers behave."""

from __future__ import annotations

from typing import Any

BULK_RATE = 25
BLAST_RATE = 200
CAP_LIMIT, CAP_SECONDS = 3, 20
VIBER_WAIT_SECONDS, SMS_WAIT_SECONDS = 3, 8
TIMEOUT_SECONDS = 2
PEOPLE = 240
"""Recipients who get messages again and again; others appear once."""

CONFIG = """\
store: {store}
{sources}
channels:
  viber:
    - provider: infobip
      adapter: infobip_viber
      base_url: {sandbox}
      api_key: {infobip_key}
      sender: Shop
      allow_unsigned: true
      timeout: {timeout}s
    - provider: bulk
      adapter: infobip_viber
      base_url: {sandbox}/as/bulk
      api_key: {infobip_key}
      sender: Shop
      allow_unsigned: true
      timeout: {timeout}s
      rate: {bulk_rate}/s
  sms:
    - provider: twilio
      adapter: twilio_sms
      base_url: {sandbox}
      account_sid: {twilio_sid}
      auth_token: {twilio_token}
      from: "{twilio_from}"
      timeout: {timeout}s
    - provider: bulk_sms
      adapter: twilio_sms
      base_url: {sandbox}/as/bulk_sms
      account_sid: {twilio_sid}
      auth_token: {twilio_token}
      from: "{twilio_from}"
      timeout: {timeout}s
      rate: {blast_rate}/s
http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}", public_url: "{public}", auth: off}}
egress: {{allow: ["{sandbox}"]}}
policies: ./policies
templates: ./templates
governance: ./governance.yaml
receipt_outage: {{hold: false}}
limits: {{}}
log: {{level: warning, format: json}}
"""
KAFKA = """\
sources: {{http: {{}}, kafka: {{bootstrap_servers: "{broker}", topics: [urgent, events],
                             group: kaskad}}}}
statuses: {{kafka: {{bootstrap_servers: "{broker}", topic: kaskad.statuses}}}}
"""
GOVERNANCE = f"""\
sms_countries: [UA]
consent: {{promotional: opt_out, transactional: opt_out}}
frequency_caps:
  few: {{classes: [promotional], limit: {CAP_LIMIT}, per: {CAP_SECONDS}s}}
"""
POLICIES = {
    "order": (
        f"""\
policy: order
trigger: {{event: chaos.order}}
class: transactional
deadline: 60s
goal: {{event: chaos.paid, match: "goal.n == event.n"}}
cascade:
  - {{channel: viber, providers: [infobip], wait: {{delivered: {VIBER_WAIT_SECONDS}s}}}}
  - {{channel: sms, providers: [twilio], wait: {{delivered: {SMS_WAIT_SECONDS}s}}}}
"""
    ),
    "promo": (
        """\
policy: promo
trigger: {event: chaos.promo}
class: promotional
deadline: 50s
cascade:
  - {channel: viber, providers: [bulk], wait: {delivered: 6s}}
"""
    ),
    "code": (
        """\
policy: code
trigger: {event: chaos.code}
class: otp
deadline: 30s
cascade:
  - {channel: sms, providers: [twilio]}
"""
    ),
    "blast": (
        """\
policy: blast
trigger: {event: chaos.blast}
class: promotional
deadline: 1h
cascade:
  - {channel: sms, providers: [bulk_sms]}
"""
    ),
    "code_behind_blast": (
        """\
policy: code_behind_blast
trigger: {event: chaos.blast_code}
class: otp
deadline: 5m
cascade:
  - {channel: sms, providers: [bulk_sms]}
"""
    ),
}
TEXT = "m={{ message.id }} s={{ message.step }} n={{ event.n }}"
"""
A request names its message and step, so the checker can rely on the stand-ins alone.
"""

CHANNELS = {
    "order": ("viber", "sms"),
    "promo": ("viber",),
    "code": ("sms",),
    "blast": ("sms",),
    "code_behind_blast": ("sms",),
}
ODD_ANSWERS: tuple[Any, ...] = (
    "cut_after_accept",
    {"late": 4.0},
    {"status": 500, "accepted": True},
    {"throttle": 1},
    "hang",
)


def phone(number: int) -> str:
    return f"+38050{number:07d}"


def script() -> dict[str, Any]:
    """Most messages are taken; some people's answers get lost, come late, or come as errors."""
    quick = {"delivered": [0.0, 2.0]}
    addresses: dict[str, Any] = {}
    for number in range(0, PEOPLE, 12):
        answer = ODD_ANSWERS[number // 12 % len(ODD_ANSWERS)]
        plain: dict[str, Any] = {"answer": "accept"}
        addresses[phone(number)] = [
            {"answer": answer},
            plain,
            plain,
            plain,
            {"answer": answer},
            plain,
        ]
    return {
        "providers": {
            "infobip": {"random": {"refused": 0.05, "delivered": 0.5, "delays": quick}},
            "twilio": {"random": {"refused": 0.03, "delivered": 0.9, "delays": quick}},
            "bulk": {"random": {"delivered": 0.8, "delays": quick}},
            "bulk_sms": {"receipts": "never"},
        },
        "addresses": addresses,
    }
