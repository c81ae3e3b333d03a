"""
Configurations that look odd and are right: what people really write. `check` must let them pass,
and say nothing unless a warning is named here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.configuration.mistakes.project import CART, FILES, GOVERNANCE, KASKAD, write

SETTINGS = "config/kaskad.yaml"
RULES = "config/governance.yaml"
POLICY = "config/policies/cart.yaml"
OTP_FILE = "config/policies/otp.yaml"
TEST = "config/policies/cart.test.yaml"
WHEN = '"event.total >= 300"'


@dataclass(frozen=True)
class Odd:
    """``files`` are written over the project (None removes one); ``warnings`` are expected."""

    name: str
    files: dict[str, str | bytes | None]
    warnings: tuple[str, ...] = field(default=())

    def make(self, folder: Path) -> None:
        files = {**FILES, **self.files}
        write(folder, {name: one for name, one in files.items() if one is not None})


def edit(name: str, path: str, old: str, new: str, *warnings: str) -> Odd:
    """One change of one file."""
    before = FILES[path]
    assert before.count(old) == 1, (name, before.count(old))
    return Odd(name, {path: before.replace(old, new)}, warnings)


YAML = [
    Odd("a byte order mark", {SETTINGS: "\ufeff" + KASKAD, POLICY: "\ufeff" + CART}),
    Odd(
        "line ends of Windows",
        {name: FILES[name].replace("\n", "\r\n") for name in (SETTINGS, RULES, POLICY, TEST)},
    ),
    Odd(
        "no line end at the end",
        {name: FILES[name].rstrip("\n") for name in (SETTINGS, RULES, POLICY)},
    ),
    Odd("a document that is opened and closed", {POLICY: f"---\n{CART}...\n"}),
    Odd(
        "Ukrainian comments",
        {POLICY: f"# Кошик — нагадування 🛒\n{CART}", RULES: f"# тиша\n{GOVERNANCE}"},
    ),
    Odd("an empty governance file", {RULES: "# SMS go to these\nsms_countries: [UA, PL]\n"}),
    Odd(
        "keys in another order",
        {
            POLICY: "\n".join([*CART.partition("cascade:")[1:], ""]).replace(
                "cascade:\n\n", "cascade:\n"
            )
            + CART.partition("cascade:")[0]
        },
    ),
    Odd(
        "JSON in place of YAML",
        {
            OTP_FILE: (
                '{"policy": "otp", "trigger": {"event": "shop.login.code"}, "class": "otp",\n'
                ' "deadline": "5m", "cascade": [{"channel": "sms", "wait": "30s"}, {"channel": '
                '"viber"}]}\n'
            )
        },
    ),
    edit("quotes around words", POLICY, "class: promotional", 'class: "promotional"'),
    edit(
        "an anchor and its alias",
        POLICY,
        "  - channel: whatsapp\n    wait: {delivered: 10m}",
        "  - channel: whatsapp\n    wait: &ten {delivered: 10m}",
    ),
    edit(
        "a folded condition",
        POLICY,
        'when: "event.total >= 300"}',
        'when: "event.total >= 300\n  and event.total < 100000"}',
    ),
]
NAMES = [
    edit(
        "a type with a number sign",
        POLICY,
        "event: shop.cart.abandoned",
        "event: com.example.cart#abandoned",
    ),
    edit(
        "a type that is a URL",
        POLICY,
        "event: shop.cart.abandoned",
        "event: https://shop.example/events/cart?v=2",
    ),
    edit("a type in Ukrainian", POLICY, "event: shop.cart.abandoned", "event: крамниця.кошик"),
    edit("a type of one word", POLICY, "event: shop.cart.abandoned", "event: cart"),
    edit("a topic with digits", POLICY, "topic: cart_reminders", "topic: cart-reminders-2"),
    Odd(
        "a policy named as YAML's yes",
        {
            POLICY: None,
            TEST: None,
            "config/policies/on.yaml": CART.replace("policy: cart", 'policy: "on"'),
        },
    ),
    Odd(
        "two policies that share a template",
        {
            "config/policies/again.yaml": CART.replace("policy: cart", "policy: again").replace(
                "shop.cart.abandoned", "shop.cart.left"
            )
        },
    ),
    Odd(
        "a file beside the policies",
        {"config/policies/README.md": "What each is for\n", "config/policies/.gitkeep": ""},
    ),
    Odd(
        "what editors and systems leave",
        {
            "config/policies/.#cart.yaml": "x",
            "config/policies/._cart.yaml": b"\x00",
            "config/policies/cart.yaml~": "x",
            "config/policies/.cart.yaml.swp": b"b0VIM",
            "templates/cart/.DS_Store": b"\x00",
        },
    ),
    Odd("a shared file of macros nobody includes", {"templates/README.md": "How we write\n"}),
    Odd("a template nobody uses yet", {"templates/draft/sms.text.j2": "Hello {{ event.name }}\n"}),
]
STEPS = [
    edit("one wait for all", POLICY, "wait: {delivered: 2m, clicked: 10m}", "wait: 10m"),
    edit(
        "only a click counts", POLICY, "wait: {delivered: 2m, clicked: 10m}", "wait: {clicked: 10m}"
    ),
    edit(
        "a wait for what was sent",
        POLICY,
        "    wait: {delivered: 10m}\n  - channel: email",
        "    wait: {sent: 1m, delivered: 10m}\n  - channel: email",
    ),
    edit("days of deadline in minutes", POLICY, "deadline: 24h", "deadline: 2890m"),
    edit("a deadline of a month", POLICY, "deadline: 24h", "deadline: 30d"),
    edit("no retries at all", POLICY, "retry: {max: 5, within: 2m}", "retry: {max: 0, within: 1s}"),
    edit("late receipts ignored", POLICY, "deadline: 24h", "deadline: 24h\nlate: ignore"),
    edit("cheapest first", POLICY, "deadline: 24h", "deadline: 24h\norder: cheapest", "no `wait`"),
    edit("an amount without quotes", POLICY, 'max_cost: "1.00"', "max_cost: 1.00"),
    edit("an amount that is whole", POLICY, 'max_cost: "1.00"', 'max_cost: "1"'),
    edit(
        "a last step that waits",
        POLICY,
        "    max_parts: 2",
        "    max_parts: 2\n    wait: {delivered: 1h}",
    ),
    edit(
        "a companion on another channel",
        POLICY,
        "    max_parts: 2",
        '    max_parts: 2\nalso:\n  - channel: email\n    when: "recipient.vip == true"',
    ),
    edit(
        "all providers by name",
        POLICY,
        "  - channel: sms\n",
        "  - channel: sms\n    providers: [twilio]\n",
    ),
    Odd(
        "a single step",
        {
            OTP_FILE: (
                "policy: otp\n"
                "trigger: {event: shop.login.code}\n"
                "class: otp\n"
                "cascade: [{channel: sms}]\n"
            )
        },
    ),
    Odd(
        "defaults only",
        {
            POLICY: (
                "policy: cart\ntrigger: {event: shop.cart.abandoned}\ncascade: [{channel: sms}]\n"
            ),
            TEST: None,
        },
    ),
]
CONDITIONS = [
    edit("an optional key is asked for", POLICY, WHEN, '"event.coupon is defined"'),
    edit(
        "an optional key with a default",
        POLICY,
        WHEN,
        '"event.total >= event.minimum | default(300)"',
    ),
    edit(
        "a list of choices", POLICY, WHEN, "\"event.currency in ['UAH', 'EUR'] or event.total > 1\""
    ),
    edit("a filter over a list", POLICY, WHEN, '"event.items | length > 1"'),
    edit("a sum over a list", POLICY, WHEN, "\"event.items | sum(attribute='price') > 100\""),
    edit("an attribute of the envelope", POLICY, WHEN, "\"ce.source == 'shop'\""),
    edit("a key in brackets", POLICY, WHEN, "\"event['total'] >= 300\""),
    edit(
        "a condition in brackets",
        POLICY,
        WHEN,
        '"(event.total >= 300) and not (event.total > 90000)"',
    ),
    edit("a ternary", POLICY, WHEN, '"(event.total if event.total else 0) >= 300"'),
    edit(
        "an extension attribute",
        POLICY,
        WHEN,
        '"ce.partitionkey is not defined or event.total > 1"',
    ),
    edit(
        "own data of the recipient",
        POLICY,
        '"recipient.email_engaged != false"',
        "\"'vip' in (recipient.tags | default([]))\"",
    ),
    edit(
        "a key of two values",
        POLICY,
        'key: "event.cart_id"',
        "key: \"event.cart_id ~ ':' ~ recipient.id\"",
    ),
    edit("a key per day", POLICY, 'key: "event.cart_id"', 'key: "event.eta"'),
    edit("a goal without a match", POLICY, ', match: "goal.cart_id == event.cart_id"', ""),
    edit(
        "a goal that compares texts and numbers",
        POLICY,
        "goal.cart_id == event.cart_id",
        "goal.cart_id | string == event.cart_id | string",
    ),
]
RULES_ODD = [
    edit(
        "a quiet Sunday",
        RULES,
        '    window: "21:00-09:00"\n',
        '    windows: {mon-sat: "21:00-09:00", sun: "all"}\n',
    ),
    edit(
        "quiet days in any order",
        RULES,
        '    window: "21:00-09:00"\n',
        '    windows: {sat-mon: "21:00-10:00", tue-fri: "21:00-09:00"}\n',
    ),
    edit(
        "two windows a day",
        RULES,
        "quiet_hours:\n",
        'quiet_hours:\n  siesta: {window: "13:00-14:00", channels: [sms]}\n',
    ),
    edit("a zone of its own", RULES, "zone: recipient", "zone: America/Argentina/Buenos_Aires"),
    edit(
        "no quiet hours",
        RULES,
        GOVERNANCE[GOVERNANCE.index("quiet_hours") : GOVERNANCE.index("frequency_caps")],
        "",
    ),
    edit("a cap in a calendar month", RULES, "per: 7d", "per: calendar_month"),
    edit("a budget without quotes", RULES, "per_day: 500.00", "per_day: 500"),
    edit(
        "countries of many",
        RULES,
        "sms_countries: [UA, PL]",
        "sms_countries: [UA, PL, NO, GB, US, DE]",
    ),
    edit(
        "every class asks", RULES, "promotional: opt_in", "promotional: opt_in\n  service: opt_in"
    ),
]
SETTINGS_ODD = [
    edit(
        "PostgreSQL with options",
        SETTINGS,
        "sqlite:///../data/kaskad.db",
        "postgresql://kaskad@[::1]:5432/kaskad?sslmode=require",
    ),
    edit(
        "a store elsewhere",
        SETTINGS,
        "sqlite:///../data/kaskad.db",
        "sqlite:////var/lib/kaskad/k.db",
    ),
    edit("several brokers", SETTINGS, '"localhost:9092"', '["a.example:9092", "b.example:9092"]'),
    edit("a listener of IPv6", SETTINGS, '"0.0.0.0:8080"', '"[::]:8080"'),
    edit(
        "a public address below a path",
        SETTINGS,
        "https://kaskad.example.com",
        "https://shop.example.com/kaskad/",
    ),
    edit(
        "no breaker",
        SETTINGS,
        "breaker: {ratio: 0.5, min_requests: 20, window: 30s, open_for: 30s}",
        "breaker: off",
    ),
    edit(
        "no velocity limits",
        SETTINGS,
        "limits: {sms_per_recipient: 5/1h, sms_per_prefix: 50/10m}",
        "limits: {}",
    ),
    edit(
        "a cost of nothing",
        SETTINGS,
        '{amount: "0.70", currency: UAH}',
        '{amount: "0", currency: UAH}',
    ),
    edit("one request a minute", SETTINGS, "rate: 80/s", "rate: 1/1m"),
]
RIGHT = [*YAML, *NAMES, *STEPS, *CONDITIONS, *RULES_ODD, *SETTINGS_ODD]
