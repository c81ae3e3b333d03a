"""The explanation as text: plain lines, or on a terminal with colours and hanging indents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from orchestrator.explain.journey_text import journey_lines
from orchestrator.explain.words import money
from orchestrator.primitives.visible import visible

MARKS = {"go": "✓", "hold": "… waits", "skip": "✗ skipped", "drop": "✗ ends the message"}
VERDICT_STYLES = {"hold": "yellow", "skip": "red", "drop": "bold red"}
STATUS_STYLES = {
    "succeeded": "bold green",
    "exhausted": "bold red",
    "expired": "bold red",
    "suppressed": "bold yellow",
}


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line: ``depth`` levels of indentation; ``style`` is a rich style, used on a terminal only.
    """

    text: str
    depth: int = 0
    style: str = ""


def as_text(document: Mapping[str, Any], policy: bool = True) -> str:
    """The whole explanation as plain text, oldest first; ``policy`` adds the policy's text."""
    return "".join(
        f"{'  ' * line.depth}{visible(line.text)}".rstrip() + "\n"
        for line in lines(document, policy)
    )


def print_rich(document: Mapping[str, Any], policy: bool = True) -> None:
    """Print the explanation on a terminal, wrapped to its width."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines(document, policy):
        console.print(
            Padding(Text(visible(line.text), style=line.style), (0, 0, 0, 2 * line.depth))
        )


def lines(document: Mapping[str, Any], policy: bool) -> Iterator[Line]:
    if "journey" in document:
        yield from (Line(*line) for line in journey_lines(document))
        return
    yield from headline(document)
    yield from waiting(document)
    yield from section("Steps", steps(document))
    yield from section(story_title(document), story(document))
    yield from section("Attempts and receipts", attempts(document))
    yield from section("Policy and governance", policies(document, policy))


def section(title: str, found: Iterator[Line]) -> Iterator[Line]:
    """A heading with its lines; nothing if there are none."""
    made = list(found)
    if made:
        yield Line("")
        yield Line(title, style="bold")
        yield from made


def headline(document: Mapping[str, Any]) -> Iterator[Line]:
    """The recipient, the policy and the status."""
    message = document["message"]
    yield Line(f"Message {message['id']}", style="bold")
    yield Line(
        f"status    {message['sentence']}", 1, STATUS_STYLES.get(message["status"], "bold cyan")
    )
    if message["reason"]:
        detail = f" ({message['reason_detail']})" if message["reason_detail"] else ""
        yield Line(f"reason    {message['reason']}{detail}", 1)
    if message["otherwise"]:
        yield Line(f"otherwise {message['otherwise']}", 1, "italic")
    yield Line(
        f"policy    {message['policy']}, class {message['class']}, topic {message['topic']}", 1
    )
    event = message["event"]
    yield Line(f"event     {event['type']} {event['id']} from {event['source']}", 1)
    zone = document["zone"]
    yield Line(f"for       {message['recipient']}, {zone['name']} (zone of the {zone['of']})", 1)
    yield Line(f"accepted  {both(message, 'created_at')}", 1)
    if message["starts_at"] != message["created_at"]:
        yield Line(f"starts    {both(message, 'starts_at')}", 1)
    yield Line(f"deadline  {both(message, 'deadline_at')}", 1)
    if message["journey"]:
        yield Line(f"journey   {message['journey']}", 1)
    if message["retry_of"]:
        yield Line(f"retry of  {message['retry_of']}", 1)
    if message["retried_as"]:
        yield Line(f"retried   as {message['retried_as']}", 1)
    if document.get("experiment"):
        yield Line(f"experiment: {document['experiment']['words']}", 1)
    yield from chain(document["chain"])
    if message["cost"]:
        yield Line(f"cost      {money(message['cost']['amount'], message['cost']['currency'])}", 1)
    if message["flags"]:
        yield Line(f"flags     {', '.join(message['flags'])}", 1)


def chain(document: Mapping[str, Any]) -> Iterator[Line]:
    """The messages that have started this one, and those that it has started."""
    for name, links in (("chain", document["before"]), ("started", document["after"])):
        for number, link in enumerate(links):
            yield Line(f"{'' if number else name:<9} {link['words']}", 1)


def both(value: Mapping[str, Any], name: str) -> str:
    """``2026-11-21 12:00:00 +02:00 (10:00:00Z)``: local time and UTC."""
    return clocks(value[name], value[f"{name}_local"])


def clocks(utc: str, local: str) -> str:
    moment = datetime.fromisoformat(local)
    shown = utc[11:19] if utc[:10] == f"{moment:%Y-%m-%d}" else f"{utc[:10]} {utc[11:19]}"
    return f"{moment:%Y-%m-%d %H:%M:%S} {local[-6:]} ({shown}Z)"


def waiting(document: Mapping[str, Any]) -> Iterator[Line]:
    found = document["waiting"]
    if found is None:
        return
    yield Line("")
    yield Line(f"Now, at {both(found, 'at')}", style="bold")
    for wait in found["for"]:
        yield Line(wait["words"], 1, "yellow")
        if wait["note"]:
            yield Line(wait["note"], 2, "dim")
    if not found["for"]:
        yield Line("nothing is under way", 1)
    if found["next_look_at"]:
        yield Line(f"next look at {both(found, 'next_look_at')}", 1)


def steps(document: Mapping[str, Any]) -> Iterator[Line]:
    for step in document["steps"]:
        companion = " (companion)" if step["companion"] else ""
        name = f"step {step['step'] + 1} {step['channel']}{companion}"
        reason = f"left: {step['reason']}. " if step["reason"] else ""
        detail = f" ({step['reason_detail']})" if step["reason_detail"] else ""
        style = {"reached": "green", "left": "red", "running": "yellow"}.get(step["state"], "dim")
        yield Line(f"{name}  {reason}{step['words']}{detail}", 1, style)
        if step["otherwise"]:
            yield Line(f"↳ {step['otherwise']}", 3, "italic")


def story_title(document: Mapping[str, Any]) -> str:
    zone = document["zone"]["name"]
    beside = "" if zone == "UTC" else ", in UTC"
    return f"What happened (time in {zone}{beside}, and since the start)"


def story(document: Mapping[str, Any]) -> Iterator[Line]:
    """Every fact with its gates and its decision."""
    for day, entries in groupby(
        document["message"]["trace"], key=lambda entry: entry["at_local"][:10]
    ):
        yield Line(f"{datetime.fromisoformat(day):%a %Y-%m-%d}", 1, "dim")
        for entry in entries:
            if entry["again"]:
                yield Line(f"… held {entry['again']} more times", 1, "dim")
            clock = f"{entry['at_local'][11:23]}  {entry['at'][11:19]}Z  +{entry['since_start']:<7}"
            yield Line(f"{clock} {entry['words']}", 1, "cyan")
            yield from inside(entry)


def inside(entry: Mapping[str, Any]) -> Iterator[Line]:
    """One fact: the gates step by step, then the decision and its effects."""
    for (step, channel), group in groupby(
        entry["checks"], key=lambda check: (check["step"], check["channel"])
    ):
        checks = list(group)
        passed = [passed_words(check) for check in checks if check["verdict"] == "go"]
        if passed:
            yield Line(f"step {step + 1} ({channel}) ✓ {', '.join(passed)}", 4, "dim")
        for check in checks:
            if check["verdict"] != "go":
                yield from stopped(check)
    for said in entry["decision_local"]:
        yield Line(f"→ {said}", 4)
    shown = {check["otherwise"] for check in entry["checks"]}
    for move in entry["moves"]:
        if move["otherwise"] and move["otherwise"] not in shown:
            shown.add(move["otherwise"])
            yield Line(f"↳ {move['reason']}: {move['otherwise']}", 5, "italic")
    for done in entry["done"]:
        yield Line(f"· {done}", 4, "dim")


def name_of(check: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (check["gate"], check["rule"])))


def passed_words(check: Mapping[str, Any]) -> str:
    return f"{name_of(check)} ({check['words']})" if check["words"] else name_of(check)


def stopped(check: Mapping[str, Any]) -> Iterator[Line]:
    """A gate that stopped a step: value, limit, until when, and what would have let it pass."""
    until = f", until {both(check, 'until')}" if check["until"] else ""
    words = f": {check['words']}" if check["words"] else ""
    name = f"step {check['step'] + 1} ({check['channel']})"
    head = f"{name} {MARKS[check['verdict']]}: {check['reason']} ({name_of(check)}{words}{until})"
    yield Line(head, 4, VERDICT_STYLES[check["verdict"]])
    for usage in check["cap_usages"]:
        yield Line(f"holds it: {usage['words']}, until {both(usage, 'leaves_at')}", 6, "dim")
    if check["otherwise"]:
        yield Line(f"↳ {check['otherwise']}", 5, "italic")


def attempts(document: Mapping[str, Any]) -> Iterator[Line]:
    message = document["message"]
    currency = message["cost"]["currency"] if message["cost"] else None
    for attempt in message["attempts"]:
        error = f", {words}" if (words := error_words(attempt["error"])) else ""
        cost = f", cost {money(attempt['cost'], currency)}" if attempt["cost"] else ""
        head = (
            f"{attempt['number']}  {attempt['channel']} by {attempt['provider']} to"
            f" {attempt['address']}"
        )
        yield Line(f"{head}: {attempt['outcome']}{error}; {attempt['state']}{cost}", 1)
        times, local = attempt["times"], attempt["times_local"]
        yield Line(f"intent  {clocks(times['intent'], local['intent'])}", 3, "dim")
        if "answered" in times:
            answered = clocks(times["answered"], local["answered"])
            id = attempt["provider_id"] or "not given"
            yield Line(f"answer  {answered}, its id {id}", 3, "dim")
        for receipt in attempt["receipts"]:
            more = f" ({words})" if (words := error_words(receipt["error"])) else ""
            yield Line(f"receipt {both(receipt, 'at')}: {receipt['state']}{more}", 3, "dim")


def error_words(error: Mapping[str, Any] | None) -> str:
    """``refused_address, 21211, no such number``; nothing without an error."""
    error = error or {}
    return ", ".join(error[name] for name in ("reason", "code", "detail") if error.get(name))


def policies(document: Mapping[str, Any], with_text: bool) -> Iterator[Line]:
    """The policy that decided, its differences from today's, and its text at that time."""
    policy = document["policy"]
    yield Line(policy["words"], 1, "yellow" if policy["differs"] else "")
    for change in policy["differences"]:
        yield Line(f"{change['where']}: {change['then']} then, {change['now']} today", 2)
    yield Line(document["governance"]["words"], 1)
    yield Line(document["replay"]["words"], 1, "red" if document["replay"]["same"] is False else "")
    if with_text and policy["text"] is not None:
        yield Line(f"Its text at that time (version {policy['version']}):", 1)
        for line in policy["text"].rstrip().splitlines():
            yield Line(line, 2, "dim")
