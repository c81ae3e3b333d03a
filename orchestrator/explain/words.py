"""Words for instants, zones, amounts and facts: what every part of an explanation speaks in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.channels.registry import all_address_kinds
from orchestrator.core.message import Attempt, Message
from orchestrator.core.quiet_hours import valid_zone
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Instant
from orchestrator.primitives.durations import duration, rfc3339


def label_of(kind: str) -> str:
    """A kind of address in words; of a plug-in that is gone, its name."""
    found = all_address_kinds().get(kind)
    return found.label if found is not None else kind


@dataclass(frozen=True, slots=True)
class Place:
    """
    A time zone as people speak of it; ``whose`` says why it is this one (``recipient``,
    ``installation``).
    """

    zone: str
    whose: str

    @property
    def name(self) -> str:
        """``Kyiv time``, ``UTC``; a zone that is no city keeps its whole name."""
        region, _, city = self.zone.rpartition("/")
        if self.zone in ("UTC", "Etc/UTC"):
            return "UTC"
        return f"{city.replace('_', ' ')} time" if region and region != "Etc" else self.zone

    def at(self, instant: Instant) -> datetime:
        """The local time of an instant, to the second."""
        return datetime.fromtimestamp(
            instant // 1000, ZoneInfo(self.zone if valid_zone(self.zone) else "UTC")
        )

    def iso(self, instant: Instant) -> str:
        """``2026-11-21T12:00:00.000+02:00``: the same instant as its clock shows it."""
        moment = self.at(instant).replace(microsecond=instant % 1000 * 1000)
        return moment.isoformat(timespec="milliseconds")

    def clock(self, instant: Instant) -> str:
        """``12:00 Kyiv time``; with seconds where there are any."""
        moment = self.at(instant)
        return f"{moment:%H:%M:%S} {self.name}" if moment.second else f"{moment:%H:%M} {self.name}"

    def words(self, instant: Instant) -> str:
        """
        ``2026-11-21 12:00:00 Kyiv time (10:00:00 UTC)``, with the date again where it is another
        one in UTC.
        """
        local, utc = self.at(instant), datetime.fromtimestamp(instant // 1000, UTC)
        if self.name == "UTC":
            return f"{utc:%Y-%m-%d %H:%M:%S} UTC"
        shown = f"{utc:%H:%M:%S}" if local.date() == utc.date() else f"{utc:%Y-%m-%d %H:%M:%S}"
        return f"{local:%Y-%m-%d %H:%M:%S} {self.name} ({shown} UTC)"


def readable_instants(said: str) -> str:
    """A decision's own words, with its milliseconds as a time."""
    words = [
        rfc3339(int(word.rstrip(":"))) + ":" * word.endswith(":") if is_millis(word) else word
        for word in said.split()
    ]
    return " ".join(words)


def is_millis(word: str) -> bool:
    """Whether a word is an instant in milliseconds."""
    digits = word.rstrip(":")
    return digits.isdigit() and len(digits) == 13


STEP = re.compile(r"\bstep (\d{1,4})\b")


def local_instants(said: str, place: Place) -> str:
    """The same in the words of a place; people count steps from 1."""
    said = STEP.sub(lambda found: f"step {int(found[1]) + 1}", said)
    found = [
        place.words(int(word.rstrip(":"))) + ":" * word.endswith(":") if is_millis(word) else word
        for word in said.split()
    ]
    return " ".join(found)


def money(amount: object, currency: str | None) -> str:
    return f"{amount} {currency or ''}".rstrip()


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def listed(words: list[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return (
        words[0]
        if len(words) == 1
        else f"{', '.join(words[:-1])} {last} {words[-1]}"
        if words
        else "nothing"
    )


def fact_words(fact: Mapping[str, Any], message: Message, place: Place) -> str:
    """A fact as a sentence."""
    match fact["kind"]:
        case "Triggered" | "Joined":
            return event_words(fact, message)
        case "Due":
            return "time is up: looked at again, as planned"
        case "Prepared":
            parts = f", {plural(fact['parts'], 'part')}" if fact.get("parts") else ""
            cost = f", {money(fact['cost'], message.currency)}" if fact.get("cost") else ""
            slot = f"has a slot at {fact['provider']}{parts}{cost}"
            return f"step {fact['step'] + 1} is rendered and {slot}"
        case "Unpreparable":
            why = f"{fact['reason']} {fact['detail']}".rstrip()
            return f"step {fact['step'] + 1} could not be rendered: {why}"
        case "Retried":
            return f"it was started again, as message {fact['message']}"
        case "RulesChanged":
            return "the configuration has changed: what is held was asked again"
        case "Shut":
            return (
                f"{fact['provider']} cannot be used: {fact['reason']} until"
                f" {place.words(fact['until'])}"
            )
        case "Answered":
            return answer_words(fact, message)
        case "ReceiptReceived":
            return receipt_words(fact, message)
        case "GoalReached" | "Converted" as kind:
            what = "the goal was reached" if kind == "GoalReached" else "it led to its goal"
            return f"{what}: event {fact['id']} from {fact['source']}"
        case "Cancelled":
            return (
                "the recipient was erased"
                if fact["reason"] == Reason.ERASED
                else "somebody cancelled it"
            )
    return str(fact["kind"])


def event_words(fact: Mapping[str, Any], message: Message) -> str:
    """The event that started a message, or joined it."""
    warned = "".join(f"; {one['field']}: {one['what']}" for one in fact.get("warnings", ()))
    if fact["kind"] == "Joined":
        return f"event {fact['id']} from {fact['source']} came for it{warned}"
    if fact.get("retry_of"):
        return f"it was started in the place of message {fact['retry_of']}"
    if message.caused_by is not None:
        return f"{message.event_type} of message {message.caused_by} started it"
    again = " again, from the dead letters" if fact.get("replayed") else ""
    return f"the event was accepted{again}{warned}"


def attempt_named(number: int, message: Message) -> str:
    """``attempt 2 (sms by twilio)``."""
    attempt = attempt_of(number, message)
    return (
        f"attempt {number} ({attempt.channel} by {attempt.provider})"
        if attempt is not None
        else f"attempt {number}"
    )


def attempt_of(number: int, message: Message) -> Attempt | None:
    return message.attempts[number] if 0 <= number < len(message.attempts) else None


def answer_words(fact: Mapping[str, Any], message: Message) -> str:
    attempt, outcome = attempt_of(fact["attempt"], message), fact["outcome"]
    to = f" to {attempt.address}" if attempt is not None else ""
    words = f"the answer to {attempt_named(fact['attempt'], message)}{to}: "
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


def receipt_words(fact: Mapping[str, Any], message: Message) -> str:
    failure = fact.get("failure")
    why = f" ({failure['reason']}{code_words(failure)})" if failure else ""
    if (reply := fact.get("reply")) is not None:
        return f"the recipient answered {attempt_named(fact['attempt'], message)}: {said(reply)}"
    return f"a receipt for {attempt_named(fact['attempt'], message)}: {fact['state']}{why}"


def said(reply: Mapping[str, Any]) -> str:
    """A reply in words: what was written, and what it means."""
    words = [f"“{reply['text']}”"] if reply.get("text") else []
    words += [f"a medium ({one['kind']})" for one in reply.get("media", ())]
    if reply.get("choice") is not None:
        words.append(f"which is choice {reply['choice']}")
    return ", ".join(words) or "nothing in words"


def effect_words(effect: Mapping[str, Any]) -> str | None:
    """Another effect in words; sends and status events are shown elsewhere."""
    match effect["kind"]:
        case "ReserveCap":
            return "counted for caps and gaps"
        case "ReleaseCap":
            return "taken back from caps and gaps: nothing was sent"
        case "BounceRecorded":
            return (
                f"address proven dead on {effect['channel']} by {effect['provider']}"
                f" ({effect['code']})"
            )
        case "RecordOptOut":
            return f"opt-out recorded: {effect['channel']}, by {effect['source']}"
        case "ShutProvider":
            return f"{effect['provider']} is shut: it refuses our configuration ({effect['code']})"
    return None
