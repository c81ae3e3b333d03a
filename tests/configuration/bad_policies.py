"""Policies that are wrong, and what is said of them (None: only the line counts, not the words)."""

from __future__ import annotations

HEAD = "policy: p\ntrigger: {event: e}\n"
STEPS = HEAD + "cascade:\n"

BAD: list[tuple[str, list[str] | None]] = [
    ("", ["p.yaml:1:1: the file holds no policy; write `policy:`, `trigger:` and `cascade:`"]),
    ("- a", ["p.yaml:1:1: the policy is a list; write `policy:`, `trigger:` and `cascade:`"]),
    (
        "policy: p",
        [
            (
                "p.yaml:1:1: the policy has no `cascade`; write at least one step: cascade:"
                " [{channel: sms}]"
            ),
        ],
    ),
    (
        "trigger: {event: e}\ncascade: [{channel: sms}]",
        ["p.yaml:1:1: the policy has no `policy`; name it: policy: cart_abandoned"],
    ),
    (
        "policy: Cart!\ntrigger: {event: e}\ncascade: [{channel: sms}]",
        [
            "p.yaml:1:9: `policy` 'Cart!' is not a name; write"
            " cart: lower-case letters, digits, _ and -, "
            "beginning with a letter, at most 64 characters"
        ],
    ),
    (
        HEAD + "cascade: []",
        ["p.yaml:3:10: the cascade has no steps; write at least one: - channel: sms"],
    ),
    (
        HEAD + "cascade: sms",
        ["p.yaml:3:10: `cascade` is a text; write a list of steps: cascade: [sms]"],
    ),
    (STEPS + "  - sms", ["p.yaml:4:5: the step is a text; write {channel: sms}"]),
    (
        STEPS + "  - {wait: 10m}",
        ["p.yaml:4:5: the step has no `channel`; name the channel: channel: sms"],
    ),
    (STEPS + "  - {chanel: sms}", None),
    (
        STEPS + "  - {channel: sms, wiat: 10m}",
        ["p.yaml:4:20: the step has no key 'wiat'; did you mean 'wait'?"],
    ),
    (
        STEPS + "  - {channel: sms, wait: 10}",
        ["p.yaml:4:26: `wait` 10 has no unit; write it: 10s, 10m, 10h or 10d"],
    ),
    (
        STEPS + "  - {channel: sms, wait: soon}",
        [
            "p.yaml:4:26: `wait` 'soon' is not a duration; write a whole number and a unit: 250ms"
            " 30s 10m 24h 7d"
        ],
    ),
    (
        STEPS + "  - {channel: sms, wait: 0s}",
        ["p.yaml:4:26: `wait` is zero; write a duration longer than 0"],
    ),
    (
        STEPS + "  - {channel: sms, wait: 9999d}",
        ["p.yaml:4:26: `wait` is longer than ten years; write at most 3650d"],
    ),
    (
        STEPS + "  - {channel: sms, wait: [10m]}",
        ["p.yaml:4:26: `wait` is a list; write wait: 10m, or wait: {delivered: 10m, read: 1h}"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {}}",
        ["p.yaml:4:26: `wait` names no state; write wait: {delivered: 10m}, or remove it"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {seen: 1h}}",
        ["p.yaml:4:27: nothing can wait for 'seen'; that is `read` here"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {deliverd: 1h}}",
        ["p.yaml:4:27: nothing can wait for 'deliverd'; did you mean 'delivered'?"],
    ),
    (
        STEPS + "  - {channel: sms, wait: {bounced: 1h}}",
        [
            "p.yaml:4:27: nothing can wait for 'bounced'; wait for sent, delivered, read, clicked"
            " or replied"
        ],
    ),
    (
        STEPS + "  - {channel: sms, wait: {read: 5m, delivered: 10m}}",
        [
            "p.yaml:4:33: `read` has less time than `delivered`, which comes before it; "
            "give `read` at least as long, or remove `delivered`"
        ],
    ),
    (
        STEPS + "  - {channel: sms, on_unknown: retry}",
        ["p.yaml:4:32: `on_unknown` cannot be 'retry'; write wait, resend or advance"],
    ),
    (
        STEPS + "  - {channel: email, max_parts: 2}",
        ["p.yaml:4:22: `max_parts` means nothing on email; only sms is sent in parts"],
    ),
    (
        STEPS + "  - {channel: sms, max_parts: 0}",
        ["p.yaml:4:31: `max_parts` cannot be 0; write a number from 1 to 10"],
    ),
    (
        STEPS + "  - {channel: sms, max_parts: two}",
        ["p.yaml:4:31: `max_parts` is a text (two); write a whole number"],
    ),
    (
        STEPS + "  - {channel: sms, when: false}",
        [
            "p.yaml:4:26: `when` is true or false (false); write an expression in quotes, such as"
            ' "event.total >= 300"'
        ],
    ),
    (STEPS + "  - {channel: sms, providers: twilio}", None),
    (
        STEPS + "  - {channel: sms, providers: [a, a]}",
        ["p.yaml:4:35: `providers` names 'a' twice; remove one"],
    ),
    (
        STEPS + "  - {channel: sms, max_cost: cheap}",
        [
            "p.yaml:4:30: `max_cost` is not an amount of money (cheap); write an amount such as"
            ' "1.20"'
        ],
    ),
    (STEPS + "  - {channel: sms, max_cost: -1}", None),
    (
        STEPS + "  - {channel: sms, retry: {max: 3, witin: 1m}}",
        ["p.yaml:4:36: `retry` has no key 'witin'; did you mean 'within'?"],
    ),
    (
        HEAD + "also: [{channel: email, wait: 1h}]\ncascade: [{channel: sms}]",
        [
            "p.yaml:3:25: a companion cannot have `wait`: it never counts for the cascade; "
            "remove it, or make it a step of the cascade"
        ],
    ),
    (
        HEAD + "send_at: {within: 2h}\ncascade: [{channel: sms}]",
        [
            'p.yaml:3:10: `send_at` says no hour; write the hours, between: "10:00-20:00", or'
            " best_hour: true"
        ],
    ),
    (
        HEAD + 'send_at: {between: "10:00-20:00", within: 2h}\ncascade: [{channel: sms}]',
        [
            "p.yaml:3:43: `within` says how long the best hour is waited for; remove it, or write"
            " best_hour: true"
        ],
    ),
    (
        HEAD + "send_at: {between: all}\ncascade: [{channel: sms}]",
        ["p.yaml:3:20: `between` is the whole day; remove it, or write the hours of the day"],
    ),
    (
        HEAD + "order: random\ncascade: [{channel: sms}]",
        ["p.yaml:3:8: `order` cannot be 'random'; write fixed, cheapest or most_engaged"],
    ),
    (
        HEAD + "late: NO\ncascade: [{channel: sms}]",
        ["p.yaml:3:7: `late` cannot be 'NO'; write close or ignore"],
    ),
    (
        HEAD + "class: promotion\ncascade: [{channel: sms}]",
        ["p.yaml:3:8: `class` cannot be 'promotion'; did you mean 'promotional'?"],
    ),
    (
        HEAD + "deadline: 24\ncascade: [{channel: sms}]",
        ["p.yaml:3:11: `deadline` 24 has no unit; write it: 24s, 24m, 24h or 24d"],
    ),
    (
        HEAD + "dedupe: {key: event.id}\ncascade: [{channel: sms}]",
        ["p.yaml:3:9: `dedupe` has no `window`; say how long a key counts: window: 24h"],
    ),
    (
        HEAD + "goal: {match: x}\ncascade: [{channel: sms}]",
        ["p.yaml:3:7: `goal` has no `event`; name the CloudEvents type: event: shop.order.placed"],
    ),
    (
        "policy: p\ntrigger: shop.cart\ncascade: [{channel: sms}]",
        ["p.yaml:2:10: `trigger` is a text; write trigger: {event: shop.cart}"],
    ),
    (HEAD + "template: ../etc\ncascade: [{channel: sms}]", None),
    (
        HEAD + "cascad: []\ncascade: [{channel: sms}]",
        ["p.yaml:3:1: the policy has no key 'cascad'; did you mean 'cascade'?"],
    ),
    (
        HEAD + "deadline: 1x\nclass: spam\ncascade: [{channel: sms}]",
        [
            (
                "p.yaml:4:8: `class` cannot be 'spam'; write otp, conversational,"
                " transactional, service or promotional"
            ),
            (
                "p.yaml:3:11: `deadline` '1x' is not a duration; write a whole number and a unit:"
                " 250ms 30s 10m 24h 7d"
            ),
        ],
    ),
]
