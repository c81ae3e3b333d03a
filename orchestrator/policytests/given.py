"""
The first half of a test: who, what happened, how the providers behave, and what else happens before
and after.

    now        when the event is published (RFC 3339)
    recipient  as in an event; `true` at a field of addresses, and a number at a list of them,
               stand for made-up ones: `phone: true`, `web_push: 2`
    event      the data of the policy's trigger
    not_before when its message starts, counted from `now`
    providers  by channel or provider, see reactions.py
    codes      how many codes a pool has left; without it, as many as are wanted: `spring: 0`
    history    [{ago: 3h, sent: viber, class: promotional}, {ago: 1d, event: {…}}, …]
    then       [{at: 20m, event: {type: shop.order.placed, data: {…}}},
                {at: 3m, opt_out: {channel: viber}}, …]

A file may have a ``given`` of its own: each test's is laid over it, `recipient`, `event` and
`providers` key by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator.channels import PHONE
from orchestrator.channels.registry import address_fields
from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.reading import Report, Section, clip, suggestion
from orchestrator.configuration.scalars import whole_of
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.policy import CLASSES, DAY_MS, Policy
from orchestrator.events.event import Event
from orchestrator.policytests.actions import Action, GivenContext, read_actions
from orchestrator.policytests.event import make_event
from orchestrator.primitives.durations import rfc3339
from orchestrator.virtual.reactions import Reactions, read_reactions
from orchestrator.virtual.spans import read_instant, read_span

LAID_OVER = ("recipient", "event", "providers")
RECIPIENT = "recipient"
CONSENTED_BEFORE_MS = 365 * DAY_MS


@dataclass(frozen=True, slots=True)
class Earlier:
    """
    An earlier message to the recipient, which caps and gaps count; ``at_ms`` is negative.
    """

    at_ms: int
    channel: str
    message_class: str


@dataclass(frozen=True, slots=True)
class Given:
    """
    ``now`` is UTC milliseconds; ``actions`` are in the order in which they happen, those of the
    history included.
    """

    now: int
    event: Event
    reactions: Mapping[str, Reactions]
    actions: tuple[Action, ...]
    earlier: tuple[Earlier, ...]
    codes: Mapping[str, int]


def lay_over(below: Node | None, above: Node | None) -> Node | None:
    """
    One ``given`` over another: three of its keys are laid over each other in turn, all others
    replace what was there.
    """
    if below is None or above is None or below.kind != "map" or above.kind != "map":
        return above if above is not None and above.kind != "null" else below
    value = {**below.value, **above.value}
    for key in LAID_OVER:
        if key in below.value and key in above.value:
            low, high = below.value[key], above.value[key]
            if low.kind == "map" and high.kind == "map":
                merged = {**low.value, **high.value}
                value[key] = Node("map", merged, high.position, keys={**low.keys, **high.keys})
    return Node("map", value, above.position, keys={**below.keys, **above.keys})


def read_given(
    node: Node | None,
    test: Position,
    policy: Policy,
    configuration: Configuration,
    report: Report,
    locale: str = "",
) -> Given | None:
    """
    Read `given`; None if it is unusable. ``test`` is the test's position, ``locale`` the
    recipient's in place of what is written.
    """
    section = Section(node, report, "`given`", test)
    now = read_instant(
        section.need("now", 'say when: now: "2026-11-21T10:00:00+02:00"'), "`now`", report
    )
    recipient = read_recipient(section, now or 0) | ({"locale": locale} if locale else {})
    event = event_at(section, policy, recipient, now, report) if now is not None else None
    reactions = read_reactions(section.section("providers"), configuration.settings.channels)
    section.known.update(("recipient", "event"))
    context = GivenContext(policy, configuration, recipient, section)
    history = section.items("history", "what happened before")
    earlier = [
        read_earlier(Section(one, report, "the entry"), context) for one in history if is_send(one)
    ]
    actions = read_actions(
        [one for one in history if not is_send(one)], "ago", context, now or 0, report
    )
    actions += read_actions(
        section.items("then", "what happens after"), "at", context, now or 0, report
    )
    codes = read_codes(section, policy)
    section.done()
    if now is None or event is None:
        return None
    actions.sort(key=lambda action: action.at_ms)
    return Given(
        now,
        event,
        reactions,
        tuple(actions),
        tuple(one for one in earlier if one is not None),
        codes,
    )


def read_codes(section: Section, policy: Policy) -> dict[str, int]:
    """How many codes the pools have that are named."""
    inner = section.section("codes", first="spring") if section.has("codes") else None
    if inner is None or inner.broken:
        return {}
    pools = set(policy.codes.values())
    found: dict[str, int] = {}
    for pool in list(inner.nodes):
        if pool not in pools:
            fix = suggestion(pool, pools, "the policy gives no codes")
            section.report.error(inner.keys[pool], f"the policy has no pool {clip(pool)!r}", fix)
            continue
        inner.known.add(pool)
        found[pool] = inner.value(pool, 0, partial(whole_of, least=0, most=10**9))
    return found


def read_recipient(section: Section, now: int) -> dict[str, Any]:
    """
    The recipient as an event would carry it, shorthands written out. Consents that do not say when
    they were given are old ones, so that whatever happens in the test is newer.
    """
    node = section.get("recipient")
    if node is None:
        return {"id": RECIPIENT, PHONE.name: PHONE.sample(1)}
    if node.kind != "map":
        section.wrong(node, "recipient", "a mapping: {phone: true, locale: uk-UA}")
        return {"id": RECIPIENT}
    found: dict[str, Any] = {"id": RECIPIENT, **node.plain()}
    for name, kind in address_fields().items():
        given = found.get(name)
        if given is False:
            del found[name]
        elif given is True or (kind.several and isinstance(given, int)):
            found[name] = kind.sample(int(given))
    if isinstance(found.get("consents"), list):
        old = {"at": rfc3339(max(0, now - CONSENTED_BEFORE_MS))}
        found["consents"] = [
            old | one if isinstance(one, dict) else one for one in found["consents"]
        ]
    return found


def event_at(
    section: Section, policy: Policy, recipient: Mapping[str, Any], now: int, report: Report
) -> Event | None:
    """The policy's trigger, as an event of ``now``, with the start of its message."""
    node = section.get("event")
    if node is not None and node.kind != "map":
        section.wrong(node, "event", 'its data: {cart_id: "981"}')
        return None
    data = node.plain() if node is not None else {}
    for key in ("recipient", "recipients"):
        if key in data and node is not None:
            report.error(
                node.keys[key],
                f"`{key}` stands inside `event`",
                "write it beside `event`, as `recipient`",
            )
            return None
    later_ms = read_span(section.get("not_before"), "`not_before`", report)
    not_before = None if later_ms is None else now + later_ms
    return make_event("the-event", policy.event, now, data, recipient, section, not_before)


def is_send(node: Node) -> bool:
    return node.kind == "map" and "sent" in node.value


def read_earlier(section: Section, context: GivenContext) -> Earlier | None:
    """A message of the past that caps and gaps count."""
    ago_ms = read_span(section.need("ago", "say when: ago: 3h"), "`ago`", section.report)
    channel = section.word("sent", list(context.configuration.settings.channels), "")
    message_class = section.word("class", CLASSES, context.policy.message_class)
    section.done()
    return Earlier(-ago_ms, channel, message_class) if ago_ms is not None and channel else None


def charges(earlier: Sequence[Earlier], now: int) -> list[list[Any]]:
    """Earlier sends as the rows of a recipient's document: each was a message of its own."""
    return [
        [f"earlier-{number}", one.message_class, one.channel, 0, now + one.at_ms, True]
        for number, one in enumerate(earlier, 1)
    ]
