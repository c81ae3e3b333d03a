"""
The second half of a test: what must happen.

    steps:
      - 0s send web_push                 every send: one that is not named here is a failure
      - 2m skip whatsapp because no_address
      - 12m leave viber because not_read_in_time
      - 0s hold viber because quiet_hours until 11h
    outcome: succeeded by viber          or `exhausted because unknown_outcome`, `no message`, …
    flags: [late]
    cost: "<= 1.20 UAH"
    not_sent: [sms]
    text: {viber: "contains Олено", sms.en: "contains Olena"}
    others: {price_drop: {outcome: expired because frequency_cap}}

Times are spans from the test's event, or RFC 3339; an `at` before them is welcome and means
nothing. ``~2m`` is about two minutes, ``by 2m send sms`` two minutes at the latest. `skip` is a
step that was left without a send, `leave` one that was left after it. Lines other than `send` are
looked for, and may be left out.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.reading import Report, Section, listed, suggestion
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.message import FLAGS, Status
from orchestrator.core.policy import Policy
from orchestrator.core.reasons import Reason
from orchestrator.policytests.times import ExpectedTime, read_time

VERBS = ("send", "skip", "leave", "hold")
LINE = re.compile(
    r"(?:at +)?(?P<at>(?:by +)?\S+) +(?P<verb>\w+) +(?P<channel>\S+)(?: +by +(?P<provider>\S+))?"
    r"(?: +because +(?P<reason>\S+))?(?: +until +(?P<until>\S+))?"
)
OUTCOME = re.compile(r"(?P<status>\w+)(?: +by +(?P<by>\S+))?(?: +because +(?P<reason>\S+))?")
COST = re.compile(
    r"(?P<compare><=|>=|≤|≥|<|>|=|)\s*(?P<amount>[0-9]{1,12}(?:\.[0-9]{1,9})?)"
    r"(?:\s+(?P<currency>[A-Z]{3}))?"
)
COMPARE: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "<=": operator.le,
    "≤": operator.le,
    ">=": operator.ge,
    "≥": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
NO_MESSAGE = "no message"
NOWHERE = Position("<none>", 1, 1)
SAYS = ("contains", "lacks", "is")


@dataclass(frozen=True, slots=True)
class ExpectedStep:
    """One line of ``steps``."""

    at: ExpectedTime
    verb: str
    channel: str
    provider: str | None
    reason: Reason | None
    until: ExpectedTime | None
    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class ExpectedEnd:
    """``status`` None: the event makes no message at all."""

    status: Status | None
    by: str | None
    reason: Reason | None
    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class CostLimit:
    compare: str
    amount: Decimal
    text: str
    position: Position

    def holds(self, cost: Decimal) -> bool:
        """Whether a cost is within the limit."""
        return COMPARE[self.compare](cost, self.amount)


@dataclass(frozen=True, slots=True)
class ExpectedText:
    """A text that a channel must send; ``how`` is one of ``SAYS``."""

    channel: str
    how: str
    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class Expected:
    """The expectations of a test; None means that the test does not care."""

    steps: tuple[ExpectedStep, ...] | None = None
    outcome: ExpectedEnd | None = None
    flags: tuple[str, ...] | None = None
    cost: CostLimit | None = None
    not_sent: tuple[tuple[str, Position], ...] = ()
    words: tuple[ExpectedText, ...] = ()
    position: Position = NOWHERE
    others: Mapping[str, Expected] = field(default_factory=dict)
    """By the policies that play together with the one under test."""


def read_expected(
    section: Section,
    policy: Policy,
    configuration: Configuration,
    now: int,
    locale: str = "",
    together: Collection[Policy] = (),
) -> Expected:
    """
    Read the expectations of a test; times count from ``now`` (UTC milliseconds). Texts of other
    locales than ``locale`` are left out.
    """
    channels = list(dict.fromkeys(step.channel for step in policy.plan))
    providers = list(configuration.settings.providers)
    steps: tuple[ExpectedStep, ...] | None = None
    if section.has("steps"):
        read = [
            read_line(node, section.report, channels, providers, now)
            for node in section.items("steps", "steps")
        ]
        steps = tuple(line for line in read if line is not None)
    flags = section.words("flags", "flags", FLAGS, None) if section.has("flags") else None
    found = Expected(
        steps=steps,
        outcome=read_outcome(section, channels),
        flags=flags,
        cost=read_cost(section, configuration.settings.currency),
        not_sent=tuple((node.word, node.position) for node in read_not_sent(section, channels)),
        words=tuple(read_words(section, channels, locale)),
        position=section.position,
        others=read_others(section, configuration, now, locale, together),
    )
    section.done()
    if not section.nodes and not section.broken:
        section.report.error(
            section.position,
            "the test expects nothing",
            "write expect: {outcome: succeeded by viber}",
        )
    return found


def read_line(
    node: Node, report: Report, channels: Collection[str], providers: Collection[str], now: int
) -> ExpectedStep | None:
    """One line of ``steps``."""
    match = LINE.fullmatch(node.value) if node.kind == "str" else None
    if match is None:
        fix = (
            "write TIME VERB CHANNEL [by PROVIDER] [because REASON] [until TIME], such as 2m send"
            " viber"
        )
        report.error(node.position, f"`{node.text or node.kind_name}` is not a line of steps", fix)
        return None
    known = len(report.problems)
    must_be(match["verb"], VERBS, "the verb", node.position, report)
    must_be(match["channel"], channels, "the policy's channel", node.position, report)
    if match["provider"]:
        must_be(match["provider"], providers, "the provider", node.position, report)
    reason = read_reason(match["reason"], node.position, report)
    at, until = (read_time(match[name], now) if match[name] else None for name in ("at", "until"))
    for name, time in (("at", at), ("until", until)):
        if match[name] and time is None:
            fix = "write a span such as 2m, ~2m or by 2m, or an RFC 3339 time"
            report.error(node.position, f"`{match[name]}` is not a time", fix)
    if match["verb"] == "send" and (match["reason"] or match["until"]):
        report.error(
            node.position, "a send has no reason and no end", "remove `because` and `until`"
        )
    if len(report.problems) > known or at is None:
        return None
    return ExpectedStep(
        at,
        match["verb"],
        match["channel"],
        match["provider"],
        reason,
        until,
        node.value,
        node.position,
    )


def must_be(
    word: str, known: Collection[str], called: str, position: Position, report: Report
) -> None:
    """Report a word that is none of the known ones."""
    if word not in known:
        report.error(
            position,
            f"{called} cannot be {word!r}",
            suggestion(word, known, f"write {listed(known)}"),
        )


def read_reason(word: str | None, position: Position, report: Report) -> Reason | None:
    """A Reason by its word."""
    if word is None:
        return None
    words = [reason.value for reason in Reason]
    if word not in words:
        report.error(
            position,
            f"there is no reason {word!r}",
            suggestion(word, words, "see docs/reasons.md for the list"),
        )
        return None
    return Reason(word)


def read_outcome(section: Section, channels: Collection[str]) -> ExpectedEnd | None:
    """Read `outcome`."""
    node, text = section.get("outcome"), section.text("outcome", None)
    if node is None or text is None:
        return None
    if text == NO_MESSAGE:
        return ExpectedEnd(None, None, None, text, node.position)
    match = OUTCOME.fullmatch(text)
    if match is None:
        fix = "write succeeded by CHANNEL, STATUS because REASON, or no message"
        section.report.error(node.position, f"`outcome` cannot be {text!r}", fix)
        return None
    statuses = [status.value for status in Status]
    must_be(match["status"], statuses, "the status", node.position, section.report)
    if match["by"]:
        must_be(match["by"], channels, "the policy's channel", node.position, section.report)
    reason = read_reason(match["reason"], node.position, section.report)
    if match["status"] not in statuses:
        return None
    return ExpectedEnd(Status(match["status"]), match["by"], reason, text, node.position)


def read_cost(section: Section, currency: str | None) -> CostLimit | None:
    """Read `cost`, in the installation's currency."""
    node = section.get("cost")
    if node is None:
        return None
    match = COST.fullmatch(node.word) if node.kind in ("str", "int", "float") else None
    if match is None:
        section.wrong(node, "cost", 'an amount, or a limit such as "<= 1.20 UAH"')
        return None
    if match["currency"] and match["currency"] != currency:
        what = f"this installation does not pay in {match['currency']}"
        section.report.error(
            node.position,
            what,
            f"write {currency}" if currency else "remove it: nothing costs anything",
        )
        return None
    return CostLimit(match["compare"] or "=", Decimal(match["amount"]), node.word, node.position)


def read_not_sent(section: Section, channels: Collection[str]) -> list[Node]:
    """The channels that nothing may be sent on."""
    nodes = section.items("not_sent", "channels")
    return [node for node in nodes if section.choice(node, "an entry of `not_sent`", channels)]


def read_others(
    section: Section,
    configuration: Configuration,
    now: int,
    locale: str,
    together: Collection[Policy],
) -> dict[str, Expected]:
    """Read `others`: what the policies that play together with this one must do."""
    inner = section.section("others")
    known = {policy.name: policy for policy in together}
    found: dict[str, Expected] = {}
    for name, position in inner.keys.items():
        if name in known:
            below = inner.section(name)
            found[name] = read_expected(below, known[name], configuration, now, locale)
            continue
        fix = suggestion(name, known, f"name it in the test: together: [{name}]")
        section.report.error(position, f"{name!r} does not play together with this policy", fix)
    return found


def read_words(section: Section, channels: Collection[str], locale: str) -> list[ExpectedText]:
    """Read `text`; a key ``sms.uk`` is for the recipients of one locale."""
    inner = section.section("text")
    found: list[ExpectedText] = []
    for key, position in inner.keys.items():
        channel, _, only = key.partition(".")
        must_be(channel, channels, "the policy's channel", position, section.report)
        if only and only != locale:
            continue
        node = inner.nodes[key]
        for one in node.value if node.kind == "list" else (node,):
            how, _, text = one.word.partition(" ") if one.kind == "str" else ("", "", "")
            if how not in SAYS or not text.strip():
                what = f"`text.{channel}` does not say what is looked for"
                section.report.error(
                    one.position, what, f'begin with {listed(SAYS)}: "contains Олено"'
                )
                continue
            found.append(ExpectedText(channel, how, text.strip(), one.position))
    return found
