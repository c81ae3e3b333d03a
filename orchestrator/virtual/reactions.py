"""
How a test writes what a provider does.

    viber: accepts                       taken, and silent ever after (this is the default)
    viber: {delivered: 30s, read: 5m}    taken, and these receipts follow, counted from the answer
    viber: {failed: 20s, because: address}
    viber: {refuses: recipient}          a definite no at once
    viber: {throttled: 30s}              429 with Retry-After
    viber: {not_sent: connect_failed}    provably nothing left
    viber: {unknown: timed_out}          nobody knows whether it left; receipts may follow
    viber: {takes: 3s, delivered: 30s}   the answer takes its time
    viber: [throttled, {delivered: 3s}]  the first attempt, the second and all later ones
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.channels import (
    Accepted,
    Adapter,
    Delivery,
    Engagement,
    NotSent,
    Outcome,
    Reason,
    Refused,
    Unknown,
)
from orchestrator.configuration.reading import Report, Section, listed, suggestion
from orchestrator.configuration.settings import ProviderSettings
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.policy import SECOND_MS
from orchestrator.core.status import WAITABLE
from orchestrator.virtual.scripted_provider import Later, Reaction
from orchestrator.virtual.spans import read_span

REFUSES = {
    "address": Reason.REFUSED_ADDRESS,
    "recipient": Reason.REFUSED_RECIPIENT,
    "opted_out": Reason.REFUSED_OPTED_OUT,
    "content": Reason.REFUSED_CONTENT,
    "configuration": Reason.REFUSED_CONFIGURATION,
}
NOT_SENT = {
    "connect_failed": Reason.CONNECT_FAILED,
    "not_taken": Reason.NOT_TAKEN,
    "throttled": Reason.THROTTLED,
}
UNKNOWN = {
    reason.value: reason
    for reason in (
        Reason.TIMED_OUT,
        Reason.CONNECTION_LOST,
        Reason.SERVER_ERROR,
        Reason.RESPONSE_UNREADABLE,
    )
}
WORDS: dict[str, Outcome] = {
    "accepts": Accepted(),
    "unreachable": NotSent(Reason.CONNECT_FAILED),
    "throttled": NotSent(Reason.THROTTLED),
    "unknown": Unknown(Reason.TIMED_OUT),
}
ANSWERS = ("refuses", "not_sent", "throttled", "unknown")
STATES: dict[str, Delivery | Engagement] = {
    "sent": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "read": Engagement.READ,
    "clicked": Engagement.CLICKED,
    "replied": Engagement.REPLIED,
    "failed": Delivery.FAILED,
    "unsubscribed": Engagement.UNSUBSCRIBED,
    "complained": Engagement.COMPLAINED,
}
FIX = f"write {listed(list(WORDS))}, or a mapping such as {{delivered: 30s, read: 5m}}"

Reactions = Sequence[Reaction]
"""By attempt; the last one is for all that come after."""


def read_reactions(
    section: Section, channels: Mapping[str, tuple[ProviderSettings, ...]]
) -> dict[str, tuple[Reaction, ...]]:
    """
    The reactions of each provider named, by itself or by its channel; what a provider's own entry
    says comes first.
    """
    by_name = {one.provider: one for accounts in channels.values() for one in accounts}
    found: dict[str, tuple[Reaction, ...]] = {}
    for key in sorted(section.nodes, key=lambda key: key in by_name):
        accounts = (by_name[key],) if key in by_name else channels.get(key, ())
        if not accounts:
            known = [*channels, *by_name]
            fix = suggestion(key, known, f"there are {listed(known)}")
            section.report.error(section.keys[key], f"there is no channel or provider {key!r}", fix)
        for one in accounts:
            found[one.provider] = read_list(section.nodes[key], one, section.report)
    return found


def read_list(node: Node, account: ProviderSettings, report: Report) -> tuple[Reaction, ...]:
    """One reaction, or several in the order of the attempts."""
    nodes = node.value if node.kind == "list" else (node,)
    if not nodes:
        report.error(node.position, "the list of reactions is empty", FIX)
    return tuple(read_reaction(one, account, report) for one in nodes)


def read_reaction(node: Node, account: ProviderSettings, report: Report) -> Reaction:
    """One reaction; what is wrong is reported."""
    if node.kind != "map":
        if node.word not in WORDS or node.kind == "list":
            report.error(
                node.position, f"a provider cannot behave as {node.text or node.kind_name!r}", FIX
            )
            return Reaction(Accepted())
        return slow(Reaction(WORDS[node.word]), account)
    section = Section(node, report, "the reaction")
    outcome = read_answer(section)
    takes_ms = read_span(section.get("takes"), "`takes`", report) or 0
    receipts = read_receipts(section, account)
    section.known.update((*ANSWERS, *STATES))
    section.done()
    if receipts and isinstance(outcome, NotSent | Refused):
        what = "receipts come only for what was, or may have been, sent"
        report.error(node.position, what, "remove the receipts, or the refusal")
    return slow(Reaction(outcome, takes_ms, receipts), account)


def slow(reaction: Reaction, account: ProviderSettings) -> Reaction:
    """
    A request that times out takes longer than the provider may: the dispatcher's own deadline ends
    it, and its receipts count from there.
    """
    if reaction.outcome != Unknown(Reason.TIMED_OUT):
        return reaction
    receipts = tuple(
        replace(later, after_ms=later.after_ms - SECOND_MS) for later in reaction.receipts
    )
    return Reaction(reaction.outcome, account.timeout_ms + SECOND_MS, receipts)


def read_answer(section: Section) -> Outcome:
    """The provider's answer: one of four, else it accepts."""
    given = [key for key in ANSWERS if section.get(key) is not None]
    if len(given) > 1:
        section.report.error(
            section.at(given[1]),
            f"there are `{given[0]}` and `{given[1]}`",
            "a provider gives one answer",
        )
    match given[0] if given else None:
        case "refuses":
            word = section.word("refuses", REFUSES, "recipient")
            return Refused(REFUSES[word], word)
        case "not_sent":
            return NotSent(NOT_SENT[section.word("not_sent", NOT_SENT, "not_taken")])
        case "throttled":
            return NotSent(
                Reason.THROTTLED, read_span(section.get("throttled"), "`throttled`", section.report)
            )
        case "unknown":
            return Unknown(UNKNOWN[section.word("unknown", UNKNOWN, "timed_out")])
    return Accepted()


def read_receipts(section: Section, account: ProviderSettings) -> tuple[Later, ...]:
    """The receipts that follow, which must be of a kind that the provider's adapter can report."""
    found: list[Later] = []
    because = section.get("because")
    for word, state in STATES.items():
        node = section.get(word)
        if node is None:
            continue
        able = reportable(account.adapter_type)
        if word not in able:
            what = f"{account.provider} ({account.adapter}) never reports `{word}`"
            section.report.error(section.keys[word], what, f"it reports {listed(able)}")
        after_ms = read_span(node, f"`{word}`", section.report)
        failure = None
        if word == "failed" and because is not None:
            reason = section.word("because", REFUSES, "recipient")
            failure = Refused(REFUSES[reason], reason)
        found.append(Later(after_ms or 0, state, failure))
    if because is not None and section.get("failed") is None:
        section.report.error(
            because.position, "`because` says why something failed", "write failed: 20s beside it"
        )
    return tuple(found)


def reportable(adapter: type[Adapter[Any]]) -> tuple[str, ...]:
    """
    The words of receipts that an adapter can ever give; a complaint may come on every channel.
    """
    supports = adapter.supports
    able = [word for word in WAITABLE if word in supports.receipts]
    return (
        *able,
        *(("failed",) if supports.failure_receipts else ()),
        "unsubscribed",
        "complained",
    )
