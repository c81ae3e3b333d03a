"""
Why a message went where it went, for somebody who has nothing but its id.

Everything here is read from the message's own history: every fact in its order, what each gate said with its value and
limit, what was decided and what came of it, and what would have had to be different.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from orchestrator.core.message import Attempt, Message, Sending
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.reasons import Reason
from orchestrator.stores.port import StoredMessage
from orchestrator.times import duration, rfc3339


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story: ``at`` for the first line of a fact, None for what belongs to it; ``depth`` indents."""

    text: str
    at: int | None = None
    depth: int = 0


def as_text(stored: StoredMessage, policy_text: str | None = None) -> str:
    """The whole story as plain text, 100 columns or so, the newest last."""
    message = stored.message
    lines = [*headline(stored), ""]
    for line in story(stored):
        clock = (
            f"{rfc3339(line.at)[11:23]}  +{duration(line.at - message.created_at):<9}" if line.at is not None else " " * 24
        )
        lines.append(f"{clock} {'  ' * line.depth}{line.text}")
    if message.due_at is not None:
        wait = duration(max(0, message.due_at - last_at(stored)))
        lines += ["", f"Next look at {rfc3339(message.due_at)} (in {wait} from the last fact)."]
    if policy_text is not None:
        lines += ["", f"The policy as it was then ({message.policy_version}):", *indent(policy_text)]
    return "\n".join(lines) + "\n"


def indent(text: str) -> Iterator[str]:
    return (f"    {line}" for line in text.rstrip().splitlines())


def last_at(stored: StoredMessage) -> int:
    return stored.history[-1]["at"] if stored.history else stored.message.created_at


def headline(stored: StoredMessage) -> list[str]:
    """Who, why, and how it ended."""
    message = stored.message
    lines = [
        f"Message {message.id}",
        f"  policy   {message.policy} (version {message.policy_version}), class {message.klass}, topic {message.topic}",
        f"  event    {message.event_type} {message.event_id} from {message.event_source}",
        f"  for      {message.recipient}",
        f"  started  {rfc3339(message.created_at)}, deadline {rfc3339(message.deadline_at)}",
        f"  status   {outcome_words(message)}",
    ]
    costs = [float(attempt.cost) for attempt in message.attempts if attempt.cost is not None and counts(attempt)]
    if costs:
        lines.append(f"  cost     {sum(costs):.2f} {message.currency or ''}".rstrip())
    if message.flags:
        lines.append(f"  flags    {', '.join(message.flags)}")
    return lines


def counts(attempt: Attempt) -> bool:
    return attempt.outcome in (OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN, OutcomeKind.PENDING)


def outcome_words(message: Message) -> str:
    """The status as a sentence."""
    words = message.status.value
    if message.succeeded_by:
        words += f" by {message.succeeded_by}"
    if message.reason is not None:
        words += f": {message.reason.value}"
        if message.reason_detail:
            words += f" ({message.reason_detail})"
        words += f". {message.reason.describe()}"
    if message.finished_at is not None:
        words += f" (after {duration(message.finished_at - message.created_at)})"
    else:
        words += waiting_words(message)
    return words


def waiting_words(message: Message) -> str:
    """What an unfinished message is waiting for."""
    run = message.current
    if run is None:
        return ""
    if run.sending is Sending.HELD and run.held_for is not None and run.until is not None:
        rule = f" ({run.rule})" if run.rule else ""
        return f", step {run.step} ({run.channel}) held until {rfc3339(run.until)}: {run.held_for.value}{rule}"
    if run.sending is Sending.READY:
        return f", step {run.step} ({run.channel}) waits for a slot of {run.provider}"
    if run.sending is Sending.OPEN:
        return f", step {run.step} ({run.channel}) is being sent by {run.provider}"
    return f", step {run.step} ({run.channel}) was handed off and waits for receipts"


def story(stored: StoredMessage) -> Iterator[Line]:
    """Every fact, what was asked, what was decided."""
    for entry in stored.history:
        yield Line(fact_words(entry["fact"], stored.message), entry["at"])
        for line in checks_of(entry, stored.message):
            yield Line(line, None, 1)
        for said in entry["decision"]:
            yield Line(f"→ {readable_instants(said)}", None, 1)
        for effect in entry["effects"]:
            if words := effect_words(effect):
                yield Line(f"· {words}", None, 1)


def readable_instants(said: str) -> str:
    """A decision's own words, with its milliseconds as a time."""
    words = [
        rfc3339(int(word.rstrip(":"))) + ":" * word.endswith(":") if is_instant(word) else word for word in said.split()
    ]
    return " ".join(words)


def is_instant(word: str) -> bool:
    digits = word.rstrip(":")
    return digits.isdigit() and len(digits) == 13


def fact_words(fact: Mapping[str, Any], message: Message) -> str:
    """What happened, as a sentence."""
    match fact["kind"]:
        case "Triggered":
            return "the event was accepted" + (" again, from the dead letters" if fact.get("replayed") else "")
        case "Due":
            return "time is up: looked at again, as planned"
        case "Prepared":
            parts = f", {fact['parts']} part(s)" if fact.get("parts") else ""
            cost = f", {fact['cost']} {message.currency or ''}".rstrip() if fact.get("cost") else ""
            return f"step {fact['step']} is rendered and has a slot at {fact['provider']}{parts}{cost}"
        case "Unpreparable":
            return f"step {fact['step']} could not be rendered: {fact['reason']} {fact['detail']}".rstrip()
        case "Shut":
            return f"{fact['provider']} cannot be used: {fact['reason']} until {rfc3339(fact['until'])}"
        case "Answered":
            return answer_words(fact, message)
        case "Heard":
            return heard_words(fact, message)
        case "GoalReached":
            return f"the goal was reached: event {fact['id']} from {fact['source']}"
        case "Cancelled":
            return "the recipient was erased" if fact["reason"] == Reason.ERASED else "somebody cancelled it"
    return str(fact["kind"])


def answer_words(fact: Mapping[str, Any], message: Message) -> str:
    attempt, outcome = message.attempts[fact["attempt"]], fact["outcome"]
    words = f"{attempt.provider} answered attempt {attempt.number} ({attempt.channel} to {attempt.address}): "
    match outcome["kind"]:
        case "Accepted":
            return words + f"accepted, its id is {outcome['provider_id'] or 'not given'}"
        case "NotSent":
            after = outcome.get("retry_after_ms")
            pause = f", asked to wait {duration(after)}" if after is not None else ""
            return words + f"not sent ({outcome['reason']}{code_words(outcome)}){pause}"
        case "Refused":
            return words + f"refused ({outcome['reason']}{code_words(outcome)})"
    return words + f"unknown ({outcome['reason']}{code_words(outcome)}): it may have been sent"


def code_words(outcome: Mapping[str, Any]) -> str:
    code = f", code {outcome['code']}" if outcome.get("code") else ""
    return code + (f", “{outcome['detail']}”" if outcome.get("detail") else "")


def heard_words(fact: Mapping[str, Any], message: Message) -> str:
    attempt = message.attempts[fact["attempt"]]
    failure = fact.get("failure")
    why = f" ({failure['reason']}{code_words(failure)})" if failure else ""
    return f"receipt from {attempt.provider} for attempt {attempt.number} ({attempt.channel}): {fact['state']}{why}"


def checks_of(entry: Mapping[str, Any], message: Message) -> Iterator[str]:
    """The gates step by step: what passed on one line, what did not on lines of its own."""
    checks = entry.get("checks", ())
    for step, group in groupby(checks, key=lambda check: check.get("step")):
        made = list(group)
        run = message.run_of(step) if step is not None else None
        name = f"step {step} ({run.channel})" if run is not None else f"step {step}"
        passed = [passed_words(check) for check in made if check["verdict"] == "go"]
        if passed:
            yield f"{name} ✓ {', '.join(passed)}"
        for check in made:
            if check["verdict"] != "go":
                yield f"{name} {stopped_words(check, entry['at'])}"


def passed_words(check: Mapping[str, Any]) -> str:
    """A gate that let it pass, with what it looked at."""
    words = " ".join(filter(None, (check["gate"], check.get("rule"))))
    value, limit = check.get("value"), check.get("limit")
    if check["gate"] == "deadline":
        return words
    if check["gate"] == "caps" and value is not None and limit is not None:
        return f"{words} ({value} of {limit})"
    return f"{words} ({value})" if value is not None else words


def stopped_words(check: Mapping[str, Any], at: int) -> str:
    """A gate that did not: its value against its limit, and what would have let it pass."""
    mark = {"hold": "… waits", "skip": "✗ skipped", "drop": "✗ ends the message"}[check["verdict"]]
    name = " ".join(filter(None, (check["gate"], check.get("rule"))))
    words = f"{mark}: {check.get('reason')} ({name}"
    value, limit = check.get("value"), check.get("limit")
    if check["gate"] == "deadline":
        value, limit = None, rfc3339(int(limit)) if limit else None
    if value is not None and limit is not None:
        words += f" {value} of {limit}" if check["gate"] == "caps" else f": {value}, limit {limit}"
    elif value is not None or limit is not None:
        words += f": {value if value is not None else limit}"
    words += ")"
    if check.get("until") is not None:
        words += f", room again at {rfc3339(check['until'])} (in {duration(max(0, check['until'] - at))})"
    return words


def effect_words(effect: Mapping[str, Any]) -> str | None:
    """What was done besides; sends and status events are told elsewhere."""
    match effect["kind"]:
        case "Reserve":
            return "counted for caps and gaps"
        case "GiveBack":
            return "taken back from caps and gaps: nothing was sent"
        case "Strike":
            return f"address proven dead by {effect['provider']} ({effect['code']})"
        case "OptOut":
            return f"opt-out recorded: {effect['channel']}, by {effect['source']}"
        case "ShutProvider":
            return f"{effect['provider']} is shut: it refuses our configuration ({effect['code']})"
    return None
