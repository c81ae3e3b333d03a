"""Mistakes in policies."""

from __future__ import annotations

from tests.configuration.mistakes.mistake import edit, edits, whole
from tests.configuration.mistakes.project import CART

FILE = "config/policies/cart.yaml"
OTP_FILE = "config/policies/otp.yaml"
TRIGGER = 'trigger: {event: shop.cart.abandoned, when: "event.total >= 300"}'
GOAL = 'goal: {event: shop.order.placed, match: "goal.cart_id == event.cart_id"}'
WHEN = '"recipient.email_engaged != false"'
PUSH = "    wait: {delivered: 2m, clicked: 10m}"
VIBER = "    wait: {delivered: 10m, read: 1h}"
LAST = "  - channel: sms\n    max_parts: 2\n"

KEYS = edits(
    FILE,
    [
        ("policy: cart\n", "name: cart\n", "no `policy`", "policy:"),
        ("policy: cart\n", "polcy: cart\n", "no key 'polcy'", "'policy'"),
        ("trigger: {event", "triger: {event", "no key 'triger'", "'trigger'"),
        ("trigger: {event", "on: {event", "no key 'on'", "trigger"),
        ("class: promotional", "clas: promotional", "no key 'clas'", "'class'"),
        ("topic: cart_reminders", "topics: cart_reminders", "no key 'topics'", "'topic'"),
        ("template: cart", "templates: cart", "no key 'templates'", "'template'"),
        ("deadline: 24h", "dead_line: 24h", "no key 'dead_line'", "'deadline'"),
        ("deadline: 24h", "ttl: 24h", "no key 'ttl'", "deadline"),
        ("dedupe: {key", "dedup: {key", "no key 'dedup'", "'dedupe'"),
        ("goal: {event", "goals: {event", "no key 'goals'", "'goal'"),
        ("cascade:\n", "cascades:\n", "no key 'cascades'", "'cascade'"),
        ("cascade:\n", "steps:\n", "no key 'steps'", "cascade"),
        ("trigger: {event:", "trigger: {events:", "no key 'events'", "'event'"),
        ("trigger: {event:", "trigger: {type:", "no key 'type'", "event"),
        ("abandoned, when:", "abandoned, if:", "no key 'if'", "when"),
        ("dedupe: {key:", "dedupe: {keys:", "no key 'keys'", "'key'"),
        ('cart_id", window: 24h', 'cart_id", windows: 24h', "no key 'windows'", "'window'"),
        ("placed, match:", "placed, when:", "no key 'when'", "match"),
        ("- channel: web_push", "- chanel: web_push", "no key 'chanel'", "'channel'"),
        ("    providers: [infobip]", "    provider: [infobip]", "no key 'provider'", "'providers'"),
        (PUSH, PUSH.replace("wait", "wiat"), "no key 'wiat'", "'wait'"),
        ("    ttl: 30m", "    tll: 30m", "no key 'tll'", "'ttl'"),
        ("    max_cost:", "    maxcost:", "no key 'maxcost'", "'max_cost'"),
        ("    max_parts: 2", "    parts: 2", "no key 'parts'", "'max_parts'"),
        ("retry: {max: 5", "retry: {times: 5", "no key 'times'", "max"),
        ("    max_parts: 2", "    template: cart2", "no key 'template'", "channel"),
    ],
) + edits(OTP_FILE, [("on_unknown:", "onunknown:", "no key 'onunknown'", "'on_unknown'")])

VALUES = edits(
    FILE,
    [
        ("policy: cart\n", "policy: Cart Abandoned\n", "not a name", "lower-case"),
        ("policy: cart\n", "policy:\n", "no `policy`", "policy:"),
        ("policy: cart\n", "policy: cartt\n", "warning: the policy 'cartt'", "rename the file"),
        (
            "policy: cart\n",
            "policy: otp\n",
            "also in",
            "another name",
            "config/policies/otp.yaml: policy",
        ),
        (TRIGGER, "trigger: shop.cart.abandoned", "`trigger` is a text", "event: shop.cart.aban"),
        (TRIGGER, "trigger: [{event: shop.cart.abandoned}]", "`trigger` is a list", "mapping"),
        (TRIGGER, "trigger: {}", "no `event`", "event:"),
        ("event: shop.cart.abandoned", "event: shop.cart.*", "'shop.cart.*'", "whole type"),
        ("event: shop.cart.abandoned", "event: [shop.cart.abandoned, b]", "is a list", "text"),
        ("event: shop.cart.abandoned", 'event: "shop cart abandoned"', "blank", "CloudEvents"),
        ("event: shop.order.placed", "event: shop.order.#", "'shop.order.#'", "whole type"),
        ("class: promotional", "class: promotion", "cannot be 'promotion'", "'promotional'"),
        ("class: promotional", "class: marketing", "cannot be 'marketing'", "promotional"),
        ("class: promotional", "class: [promotional]", "`class` is a list", "promotional"),
        ("topic: cart_reminders", "topic: Cart reminders", "not a name", "lower-case"),
        ("topic: cart_reminders", "topic: [a, b]", "`topic` is a list", "text"),
        ("template: cart", "template: carts", "no template 'carts'", "'cart'"),
        ("template: cart", "template: ../cart", "not a name", "lower-case"),
        ("deadline: 24h", "deadline: 24", "no unit", "24h"),
        ("deadline: 24h", "deadline: 1 day", "not a duration", "1d"),
        ("deadline: 24h", "deadline: 24hours", "not a duration", "24h"),
        ("deadline: 24h", "deadline: 1h30m", "not a duration", "90m"),
        ("deadline: 24h", "deadline: -24h", "negative", "24h"),
        ("deadline: 24h", "deadline: 0s", "zero", "longer than 0"),
        ("deadline: 24h", "deadline: 172800000 ms", "not a duration", "2d"),
        ("deadline: 24h", "deadline: 1.5h", "not a duration", "90m"),
        ("deadline: 24h", "deadline: 24H", "not a duration", "24h"),
        ("deadline: 24h", "deadline: 2w", "not a duration", "14d"),
        ("deadline: 24h", "deadline: PT24H", "not a duration", "24h"),
        ("deadline: 24h", "deadline: 99999d", "longer than ten years", "3650d"),
        ("deadline: 24h", "deadline: [24h]", "`deadline` is a list", "24h"),
        ("deadline: 24h", "deadline: 1h", "wait 1h", "deadline", "channel: email"),
        (
            "deadline: 24h",
            'deadline: 6h\nsend_at: {between: "10:00-20:00"}',
            "longer than the deadline",
            "lengthen the deadline",
            "between",
        ),
        ("deadline: 24h", "deadline: 24h\norder: cheap", "'cheap'", "'cheapest'", "order"),
        ("deadline: 24h", "deadline: 24h\nlate: closed", "'closed'", "'close'", "late"),
        (", window: 24h}\ngoal", "}\ngoal", "no `window`", "window: 24h"),
        (", window: 24h}\ngoal", ", window: 24}\ngoal", "no unit", "24h"),
        ("    providers: [infobip]", "    providers: [infobipp]", "no provider", "'infobip'"),
        ("    providers: [infobip]", "    providers: infobip", "is a text", "[infobip]"),
        ("    providers: [infobip]", "    providers: []", "`providers` is empty", "remove it"),
        ("    providers: [infobip]", "    providers: [twilio]", "viber has no provider", "infobip"),
        ("- channel: web_push", "- channel: webpush", "'webpush'", "'web_push'"),
        ("- channel: web_push", "- channel: push", "'push'", "web_push"),
        ("- channel: web_push", "- channel: Viber", "'Viber'", "'viber'"),
        ("- channel: web_push", "- channel: telegram", "'telegram'", "channels"),
        ("- channel: web_push", "- channel:", "no `channel`", "channel:"),
        ("- channel: web_push\n" + PUSH, "- web_push", "the step is a text", "channel: web_push"),
        (PUSH, "    wait: 10", "no unit", "10m"),
        (PUSH, "    wait: [10m]", "`wait` is a list", "wait: 10m"),
        (PUSH, "    wait: {}", "names no state", "delivered"),
        (PUSH, "    wait: {deliverd: 2m}", "'deliverd'", "'delivered'"),
        (PUSH, "    wait: {seen: 2m}", "'seen'", "`read`"),
        (PUSH, "    wait: {opened: 2m}", "'opened'", "read"),
        (PUSH, "    wait: {failed: 2m}", "'failed'", "delivered"),
        (PUSH, "    wait: {delivered: 10m, clicked: 2m}", "less time than", "at least as long"),
        (PUSH, "    wait: {read: 10m}", "never reports `read`", "delivered"),
        (VIBER, "    wait: {delivered: 10m, read: 0m}", "zero", "longer than 0"),
        (VIBER, "    wait: soon", "not a duration", "10m"),
        ("    ttl: 30m", "    ttl: 30", "no unit", "30m"),
        ('max_cost: "1.00"', "max_cost: 1 UAH", "not an amount", '"1"'),
        ('max_cost: "1.00"', 'max_cost: "0.10"', "warning: every provider", "max_cost"),
        ('max_cost: "1.00"', 'max_cost: "0"', "warning: every provider", "max_cost"),
        ("retry: {max: 5", "retry: {max: 500", "cannot be 500", "100"),
        ("within: 2m", "within: 2", "no unit", "2m"),
        ("    max_parts: 2", "    max_parts: two", "whole number", "whole number"),
        ("    max_parts: 2", "    max_parts: 0", "cannot be 0", "1"),
        ("    max_parts: 2", "    max_parts: 99", "cannot be 99", "10"),
        ("    ttl: 30m", "    max_parts: 2", "means nothing on viber", "sms"),
        (
            "  - channel: whatsapp\n    wait: {delivered: 10m}",
            "  - channel: whatsapp",
            "warning: the step has no `wait`",
            "delivered: 10m",
        ),
        ("    max_parts: 2", "    wait: 10d", "warning: the step waits 10d", "shorten"),
        ("    max_parts: 2", "    on_unknown: resend", "warning: `on_unknown: resend`", "wait"),
        ("    max_parts: 2", "    on_unknown: retry", "cannot be 'retry'", "resend"),
        (LAST, LAST + "  - channel: email\n", "warning: email is also step 4", "remove", "max"),
        (LAST, LAST + "also: [{channel: web_push}]\n", "first step", "another channel", "also"),
        (LAST, LAST + "also: [{channel: email, wait: 10m}]\n", "companion", "remove it", "also"),
        (LAST, LAST + "also: [{channel: sms}]\n", "warning: the companion is sms", "one", "also"),
        (LAST, LAST + "also: {channel: email}\n", "`also` is a mapping", "[ … ]", "also"),
        (LAST, LAST + "also: [email]\n", "companion is a text", "channel: email", "also"),
    ],
)
VALUES = [one for one in VALUES if "email is also" not in one.said] + [
    edit(FILE, "  - channel: whatsapp", "  - channel: viber", "warning: viber is also", "remove"),
    whole(FILE, CART.split("cascade")[0] + "cascade: []\n", "no steps", "channel: sms", "cascade"),
    whole(FILE, CART.split("cascade")[0] + "cascade:\n", "no `cascade`", "channel: sms"),
    whole(FILE, CART.split("cascade")[0] + "cascade: sms\n", "is a text", "steps", "cascade: sms"),
    whole(FILE, CART.split("cascade")[0], "no `cascade`", "channel: sms"),
    whole(FILE, "", "holds no policy", "policy:"),
    whole(FILE, "- policy: cart\n", "is a list", "policy:"),
    whole(FILE, "cart\n", "is a text", "policy:"),
    *edits(
        OTP_FILE,
        [
            ("deadline: 5m", "deadline: 24h", "warning: a one-time code", "10m"),
            ("class: otp", "class: opt", "cannot be 'opt'", "'otp'"),
            ("delivered: 30s", "delivered: 30m", "wait 30m", "deadline", "channel: viber"),
            ("delivered: 30s", "delivered: 30", "no unit", "30s"),
            ("on_unknown: advance", "on_unknown: next", "cannot be 'next'", "advance"),
            ("policy: otp", "polict: otp", "no key 'polict'", "'policy'"),
        ],
    ),
]

CONDITIONS = edits(
    FILE,
    [
        ('"event.total >= 300"', '"event.total = 300"', "cannot be read", "=="),
        ('"event.total >= 300"', '"event.total => 300"', "cannot be read", ">="),
        ('"event.total >= 300"', '"event.total >"', "cannot be read", "event.total >= 300"),
        ('"event.total >= 300"', '"{{ event.total >= 300 }}"', "cannot be read", "without {{"),
        ('"event.total >= 300"', '"evnt.total >= 300"', "no 'evnt'", "'event'"),
        ('"event.total >= 300"', '"data.total >= 300"', "no 'data'", "event"),
        ('"event.total >= 300"', '"total >= 300"', "no 'total'", "event.total"),
        ('"event.total >= 300"', '"event.total >= 300 && event.a"', "cannot be read", "and"),
        ('"event.total >= 300"', '"event.total >= 300 || event.a"', "cannot be read", "or"),
        ('"event.total >= 300"', '"event.total >= 300 AND event.a"', "cannot be read", "and"),
        ('"event.total >= 300"', '"!event.total"', "cannot be read", "not"),
        ('"event.total >= 300"', '"event.total === 300"', "cannot be read", "=="),
        ('"event.total >= 300"', '"event.total <> 300"', "cannot be read", "!="),
        ('"event.total >= 300"', "\"event.total >= '300'\"", "text", "without quotes"),
        ('"event.total >= 300"', '"event.cart_id > 300"', "text", "| int"),
        ('"event.total >= 300"', '"event.totl >= 300"', "warning: no sample", "event.total"),
        ('"event.total >= 300"', '"event.total|foo >= 300"', "foo", "filter"),
        ('"event.total >= 300"', '"event.total is bar"', "bar", "test"),
        ('"event.total >= 300"', '"false"', "warning: the condition 'false' is never", "remove"),
        ('"event.total >= 300"', '"true"', "warning: the condition 'true' is always", "remove"),
        ('"event.total >= 300"', '"1 > 2"', "warning: the condition '1 > 2' is never", "remove"),
        ('"event.total >= 300"', "\"'a' > 1\"", "cannot be evaluated", "compare"),
        ('"event.total >= 300"', "true", "`when` is a boolean", "quotes"),
        ('"event.total >= 300"', "[a]", "`when` is a list", "quotes"),
        ('"event.total >= 300"', '""', "`when` is empty", "expression"),
        ('"event.total >= 300"', '"goal.total >= 300"', "no 'goal'", "event"),
        ('"event.total >= 300"', '"now.hour > 8"', "`now` is a text", "quiet_hours"),
        ('"event.total >= 300"', '"now > 8"', "`now` is a text", "quiet_hours"),
        ('"event.total >= 300"', '"message.step > 1"', "no 'message'", "event"),
        ('"event.total >= 300"', '"event.items.count() > 1"', "count", "filter"),
        ('"event.total >= 300"', '"len(event.items) > 1"', "len", "length"),
        ('"event.total >= 300"', '"recipient.locale.startswith(uk)"', "no 'uk'", "quotes"),
        ('"event.total >= 300"', "\"recipient.gendre == 'male'\"", "warning", "recipient.gender"),
        ('"event.total >= 300"', '"ce.tpye == 1"', "warning", "ce.type"),
        ('"event.total >= 300"', '"300"', "warning: the condition '300' is always", "remove"),
        ('"event.total >= 300"', "\"'event.total >= 300'\"", "warning", "quotes"),
        ('key: "event.cart_id"', 'key: "cart_id"', "no 'cart_id'", "event.cart_id"),
        ('key: "event.cart_id"', 'key: "event.cart_id +"', "cannot be read", "event.cart_id"),
        ('key: "event.cart_id"', 'key: "event.crat_id"', "warning: no sample", "event.cart_id"),
        ('key: "event.cart_id"', "key: \"'cart_id'\"", "warning: the key", "event."),
        ('key: "event.cart_id"', 'key: ""', "`key` is empty", "event.cart_id"),
        ('key: "event.cart_id"', 'key: "goal.cart_id"', "no 'goal'", "event.cart_id"),
        ('key: "event.cart_id"', 'key: "ce.id"', "warning: every event", "event."),
        (GOAL, "goal: {event: shop.cart.abandoned}", "goal is the trigger", "another event"),
        ("goal.cart_id == event.cart_id", "goal.cart_id = event.cart_id", "cannot be read", "=="),
        ("goal.cart_id == event.cart_id", "gaol.cart_id == event.cart_id", "'gaol'", "'goal'"),
        ("goal.cart_id == event.cart_id", "event.cart_id == event.cart_id", "goal", "goal.cart_id"),
        ("goal.cart_id == event.cart_id", "goal.cart_id == event.crat_id", "warning", ".cart_id"),
        (WHEN, '"recipient.email_engaged ! = false"', "cannot be read", "!="),
        (WHEN, '"recipient.email_engaged != False ("', "cannot be read", "expression"),
        (WHEN, '"email_engaged != false"', "no 'email_engaged'", "recipient.email_engaged"),
        (WHEN, '"now.hour < 9"', "now", "quiet_hours"),
        (WHEN, "\"recipient.email_engaged != 'false'\"", "warning", "false"),
    ],
)

CODES = edits(
    FILE,
    [
        ("cascade:\n", "codes: spring\ncascade:\n", "`codes` is a text", "a mapping"),
        ("cascade:\n", "codes: {Code!: spring}\ncascade:\n", "is not a name", "small letters"),
        ("cascade:\n", "codes: {code: Spring Sale}\ncascade:\n", "not a name", "lower-case"),
        ("cascade:\n", "codes: {code: spring}\ncascade:\n", "prints codes.code", "codes.code }}"),
    ],
)

CASCADE = "cascade:\n"
ARMS = "arms: {a: {weight: 1}, b: {weight: 1}}"
ONE = "arms: {a: {weight: 1}}"
NOBODY = "arms: {a: {weight: 1, hold_out: true}, b: {weight: 1, hold_out: true}}"


def experiment(text: str) -> str:
    return f"experiment: {{name: x, {text}}}\n{CASCADE}"


EXPERIMENTS = edits(
    FILE,
    [
        (CASCADE, experiment(ONE), "2 to 20 arms", "control: {weight: 50}"),
        (CASCADE, experiment(NOBODY), "every arm holds", "let one of them send"),
        (CASCADE, experiment(ARMS.replace("weight: 1}, b", "weight: 0}, b")), "`weight`", "1"),
        (
            CASCADE,
            experiment(ARMS.replace("weight: 1}, b", "wieght: 1}, b")),
            "'wieght'",
            "'weight'",
        ),
        (
            CASCADE,
            experiment(ARMS.replace("1}}", "1, template: no}}")),
            "no template 'no'",
            "",
            "template: cart",
        ),
        (CASCADE, experiment(f"{ARMS}, metric: sales"), "cannot be 'sales'", "goal"),
        (CASCADE, experiment(f"{ARMS}, allocate: bandit"), "cannot be 'bandit'", "thompson"),
        (GOAL, f"experiment: {{name: x, {ARMS}}}", "measures nothing", "give the policy a goal"),
        (GOAL, "convert: {within: 1d}", "nothing says", "name the event"),
        (GOAL, "convert: {event: kaskad.reply}", "Kaskad's own", "that you publish"),
    ],
)

MISTAKES = [*EXPERIMENTS, *KEYS, *VALUES, *CONDITIONS, *CODES]
