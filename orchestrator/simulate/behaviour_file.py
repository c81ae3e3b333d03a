"""
How providers and people behave, as a file for ``kaskad simulate --providers``:

    viber:                                   # a channel, or a provider by its name
      refused: {recipient: 0.12, address: 0.01}
      unknown: 0.002                         # the rest is accepted
      not_sent: 0.001
      delivered: {share: 0.86, median: 6s, p95: 5m}
      failed: {share: 0.03, median: 10s, p95: 2m}
      read: {share: 0.6, median: 15m, p95: 6h}
      clicked: {share: 0.15, median: 1m, p95: 30m}
      unsubscribed: {share: 0.004, median: 5m, p95: 1h}

``delivered`` and ``failed`` are shares of what was accepted, ``read`` of what was delivered,
``clicked`` and ``replied`` of what was read (of what was delivered, where there is no ``read``),
``unsubscribed`` of what was delivered. Lags are log-normal, each from what it follows. What the
file does not name behaves as another provider of its channel that it names, else as the channel is
assumed to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.channels import NotSent, Outcome, Reason, Refused, Unknown
from orchestrator.configuration.reading import Report, Section, listed, suggestion
from orchestrator.configuration.settings import ProviderSettings
from orchestrator.configuration.yaml_file import load
from orchestrator.simulate.behaviour import Behaviour, ChannelBehaviour, Lag, Share
from orchestrator.virtual.reactions import REFUSES
from orchestrator.virtual.spans import read_span


def read_behaviour(path: Path, channels: Mapping[str, tuple[ProviderSettings, ...]]) -> Behaviour:
    """The behaviour of a file. Raises ``ConfigError`` with everything that is wrong in it."""
    report = Report()
    section = Section(load(path), report, "the file")
    known = [*channels, *(one.provider for accounts in channels.values() for one in accounts)]
    found: dict[str, ChannelBehaviour] = {}
    for name, position in section.keys.items():
        if name not in known:
            fix = suggestion(name, known, f"there are {listed(known)}")
            report.error(position, f"there is no channel or provider {name!r}", fix)
            continue
        found[name] = read_channel(Section(section.get(name), report, f"`{name}`", position))
    if not section.keys and not section.broken:
        report.error(
            section.position,
            "the file says nothing",
            "write viber: {delivered: {share: 0.86, median: 6s, p95: 5m}}",
        )
    report.refuse()
    like: dict[str, str] = {}
    said = frozenset(found)
    for channel, accounts in channels.items():
        named = [one.provider for one in accounts if one.provider in said]
        if named and channel not in said:
            found[channel] = found[named[0]]
            like[channel] = f"assumed to do as {named[0]} does in {path}"
    return Behaviour(found, f"as {path} says", said=said, assumed_like=like)


def read_channel(section: Section) -> ChannelBehaviour:
    """One channel or provider."""
    answers: list[tuple[float, Outcome]] = []
    refused = section.section("refused")
    for word, reason in REFUSES.items():
        if (share := read_share(refused, word)) is not None:
            answers.append((share, Refused(reason, "simulated")))
    refused.done()
    for key, outcome in (
        ("unknown", Unknown(Reason.CONNECTION_LOST)),
        ("not_sent", NotSent(Reason.NOT_TAKEN)),
    ):
        if (share := read_share(section, key)) is not None:
            answers.append((share, outcome))
    total = sum(share for share, _ in answers)
    if total > 1:
        section.report.error(
            section.position,
            f"the shares of {section.name} add up to {total:g}",
            "leave some to be accepted",
        )
    behaviour = ChannelBehaviour(
        answers=tuple(answers),
        delivered=read_lagging(section, "delivered"),
        failed=read_lagging(section, "failed"),
        read=read_lagging(section, "read"),
        clicked=read_lagging(section, "clicked"),
        replied=read_lagging(section, "replied"),
        unsubscribed=read_lagging(section, "unsubscribed"),
    )
    if (
        behaviour.delivered
        and behaviour.failed
        and behaviour.delivered.share + behaviour.failed.share > 1
    ):
        what = "`delivered` and `failed` add up to more than 1"
        section.report.error(section.at("failed"), what, "both are shares of what was accepted")
    section.done()
    return behaviour


def read_share(section: Section, key: str) -> float | None:
    """A share from 0 to 1."""
    node = section.get(key)
    if node is None:
        return None
    if node.kind not in ("int", "float") or not 0 <= node.value <= 1:
        section.report.error(
            node.position, f"`{key}` is not a share", "write a number from 0 to 1, such as 0.05"
        )
        return None
    return float(node.value)


def read_lagging(section: Section, key: str) -> Share | None:
    """A share with the median and the 95th percentile of its lag."""
    if section.get(key) is None:
        return None
    inner = section.section(key)
    inner.need("share", f"write {key}: {{share: 0.8, median: 6s, p95: 5m}}")
    share = read_share(inner, "share")
    median_ms = read_span(
        inner.need("median", "say how long it usually takes: median: 6s"),
        "`median`",
        section.report,
    )
    p95_ms = read_span(inner.get("p95"), "`p95`", section.report)
    if median_ms is not None and p95_ms is not None and p95_ms < median_ms:
        section.report.error(
            inner.at("p95"), "`p95` is shorter than `median`", "19 of 20 take at most this long"
        )
    inner.done()
    return Share(share or 0.0, Lag(median_ms or 0, p95_ms or 0))
