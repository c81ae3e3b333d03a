"""
One gate's answer, with everything it looked at: its value against its limit, and what would have let the step pass.

A stored check says what the gate said. What it said it *about* (which charges hold a cap, which opt-out stands in the
way, whose clock a quiet window was read by) is worked out here from the inputs that were stored with the fact, by the
core's own functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.core.reasons import Reason
from orchestrator.explain import firm, patient
from orchestrator.explain.asked import Asked, Told, plain
from orchestrator.explain.otherwise import OTHERWISE


TELLERS.get(check["gate"], plain)(asked)
    otherwise = None
    if not asked.passed:
        otherwise = told.otherwise or (OTHERWISE[reason] if reason is not None else None)
        otherwise = otherwise and otherwise + asked.too_late()
    until = asked.until
    return {
        "step": check.get("step"),
        "channel": asked.channel,
        "gate": check["gate"],
        "rule": check.get("rule"),
        "verdict": check["verdict"],
        "reason": reason.value if reason is not None else None,
        "sentence": reason.describe() if reason is not None else None,
        "value": told.value,
        "limit": told.limit,
        "until": until,
        "words": told.words,
        "otherwise": otherwise,
        "charges": told.charges,
    }


def plain(asked: Asked) -> Told:
    """A check that says everything itself."""
    value, limit = asked.check.get("value"), asked.check.get("limit")
    return Told(value, limit, " of ".join(filter(None, (value, limit))))


def deadline(asked: Asked) -> Told:
    at = asked.message.deadline_at
    left = at - asked.at
    given = f"a `deadline` of {duration(asked.policy.deadline_ms)}" if asked.policy is not None else "the policy's deadline"
    otherwise = f"It would have had to leave before {asked.place.words(at)}: {given}, {duration(max(0, -left))} earlier."
    words = f"{duration(left)} left" if left > 0 else f"over for {duration(-left)}"
    return Told(asked.place.words(asked.at), asked.place.words(at), words, otherwise)


def suppression(asked: Asked) -> Told:
    scene, told = asked.scene, plain(asked)
    told.words = told.words or "none marked"
    if scene is None or asked.passed:
        return told
    found = []
    for address in gates.addresses_of(scene):
        state = scene.inputs.address_states.get(address.hash)
        mark = state.marks.get(asked.channel) if state is not None else None
        if mark is not None:
            detail = f" ({mark.detail})" if mark.detail else ""
            found.append(f"{shown(address)} was proven dead by {mark.provider}{detail} at {asked.place.words(mark.at)}")
    told.words = listed(found)
    told.otherwise = (
        f"{listed(found)}. A new address, or this one given again with PUT /v1/recipients/{asked.message.recipient}, "
        "would have been tried."
    )
    return told


def shown(address: Address) -> str:
    """A masked address as it is: in a history nothing else is left of it."""
    return address.value if "…" in address.value else address.masked()


def scope(entry: Consent) -> str:
    """``email × cart_reminders``, ``every channel × every topic``."""
    channel = "every channel" if entry.channel == consent.EVERY else entry.channel
    topic = "every topic" if entry.topic == consent.EVERY else entry.topic
    return f"{channel} × {topic}"


def entry_words(entry: Consent, place: Place) -> str:
    said = "yes" if entry.state == "in" else "no"
    return f"a {said} to {scope(entry)} of {place.words(entry.at)} by {entry.source or 'api'}"


def consented(asked: Asked) -> Told:
    scene, told = asked.scene, plain(asked)
    default = asked.check.get("limit")
    told.limit = f"class default {default}" if default else None
    told.words = told.value or ""
    if scene is None:
        return told
    addresses: list[Address | None] = [a for a in gates.addresses_of(scene) if not gates.marked(scene, a)]
    verdicts = [gates.consents_to(scene, address) for address in addresses or [None]]
    chosen = next((verdict for verdict in verdicts if verdict.allowed), verdicts[0])
    if chosen.entry is not None:
        told.words = entry_words(chosen.entry, asked.place)
    if asked.passed:
        told.words = told.words if chosen.entry is not None else f"nobody said no; {told.limit}"
        return told
    noes = blocking(scene, addresses[0] if addresses else None)
    if noes:
        told.otherwise = lifting(noes, asked)
    else:
        topic = asked.message.topic
        told.words = f"no entry speaks for {asked.channel} × {topic}"
        told.otherwise = (
            f"Class {asked.message.klass} needs a yes. One for {asked.channel} × {topic}, for {asked.channel}, for {topic} "
            f"or for everything, given by {asked.place.words(asked.at)}, would have let it pass."
        )
    return told


def blocking(scene: gates.Scene, address: Address | None) -> list[Consent]:
    """The noes that no yes has lifted, the most specific first."""
    entries = list(scene.inputs.consents)
    state = scene.inputs.address_states.get(address.hash) if address is not None else None
    entries += state.consents if state is not None else ()
    message = scene.message
    applying = [e for e in entries if consent.applies(e, scene.step.channel, message.topic, message.klass)]
    yeses = [entry for entry in applying if entry.state == "in"]
    noes = [no for no in applying if no.state != "in" and not any(consent.lifts(yes, no) for yes in yeses)]
    unique = list(dict.fromkeys(noes))
    return sorted(unique, key=lambda no: (-consent.specificity(no), -no.at))


def lifting(noes: list[Consent], asked: Asked) -> str:
    """The one yes that would undo every no in the way."""
    narrowest, newest = noes[0], max(no.at for no in noes)
    what = entry_words(narrowest, asked.place)
    others = f" (and {plural(len(noes) - 1, 'broader or older no', 'broader or older noes')})" if len(noes) > 1 else ""
    words = (
        f"A yes to {scope(narrowest)}, or to something narrower, newer than {asked.place.words(newest)}, would lift {what}"
    )
    if all(no.source == consent.STOP for no in noes):
        return f"{words}{others}. So would START from the recipient on {listed(sorted({no.channel for no in noes}))}."
    return f"{words}{others}."


def reachability(asked: Asked) -> Told:
    scene, told = asked.scene, plain(asked)
    if asked.passed:
        told.words = f"by {', '.join((told.value or '').split(','))}"
        return told
    if asked.check["reason"] == Reason.COUNTRY_NOT_ALLOWED:
        told.otherwise = f"{told.value} would have had to stand in `sms_countries` (now {told.limit})."
        return told
    if scene is None:
        return told
    providers = gates.providers_of(scene)
    if not providers:
        told.words = f"no provider for {asked.channel}"
        told.otherwise = f"A provider for {asked.channel} would have had to be configured under `channels`."
        return told
    kinds = list(dict.fromkeys(kind for provider in providers for kind in provider.kinds))
    has = [shown(address) for address in scene.inputs.addresses]
    told.words = f"the recipient had {listed(has)}" if has else "the recipient had no address at all"
    needed = listed([KIND_WORDS.get(kind, kind) for kind in kinds], "or")
    names = listed([provider.name for provider in providers], "or")
    told.otherwise = f"The recipient would have needed {needed} (not marked, not opted out), for {names}."
    return told


def condition(asked: Asked) -> Told:
    told = plain(asked)
    told.words = f"{told.limit} is {told.value}" if told.value else told.limit or "no condition"
    if told.limit:
        told.otherwise = f"`{told.limit}` would have had to be true; it was {told.value or 'not to be evaluated'}."
    return told


def hour(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def window_words(rule: QuietHours) -> str:
    """``21:00-09:00``, or the windows of the days where they differ."""
    found = set(rule.windows)
    if len(found) == 1:
        return span(rule.windows[0])
    return ", ".join(f"{day[:3]} {span(window)}" for day, window in zip(WEEKDAYS, rule.windows, strict=True))


def span(window: Window | None) -> str:
    if window is None:
        return "none"
    return "all day" if (window.start, window.end) == (0, 1440) else f"{hour(window.start)}-{hour(window.end)}"


def quiet(asked: Asked) -> Told:
    place, rule = Place(asked.check.get("value") or "UTC", "rule"), asked.rule("quiet_hours")
    told = Told(place.clock(asked.at), window_words(rule) if rule is not None else None)
    told.words = f"it was {told.value}, quiet {told.limit}" if told.limit else f"it was {told.value}"
    until = asked.until
    if asked.passed or until is None:
        return told
    whose = whose_zone(rule, asked)
    ends = f"{place.clock(until)} ({whose}): {asked.leaves(until)}"
    on_hit, bound_ms = (rule.on_hit, rule.max_defer_ms) if rule is not None else ("defer", None)
    if asked.check["verdict"] == "hold":
        told.otherwise = f"Outside the window it would have left at once. The first it may is {ends}."
    elif on_hit == "defer" and bound_ms is not None:
        wait_ms = until - asked.at
        told.otherwise = (
            f"The window ends at {ends}. `max_defer` is {duration(bound_ms)}: with {duration(wait_ms)} or more it "
            "would have waited instead."
        )
    else:
        told.otherwise = f"The window ends at {ends}. With `on_hit: defer` it would have waited until then."
    return told


def whose_zone(rule: QuietHours | None, asked: Asked) -> str:
    if rule is not None and rule.zone != "recipient":
        return "the rule's own zone"
    known = asked.inputs is not None and quiet_hours.zone_or(asked.inputs.zone, "") != ""
    return "recipient's zone" if known or rule is None else "the fallback zone: the recipient has none"


def capped(asked: Asked) -> Told:
    told = plain(asked)
    if asked.check.get("reason") == Reason.VELOCITY_LIMIT:
        return Told(told.value, None, f"too many codes to {told.value or 'the number'}")
    cap: Cap | None = asked.rule("caps")
    span_words = f" in {cap_span(cap)}" if cap is not None else ""
    told.words = f"{told.value} of {told.limit} used{span_words}"
    if asked.passed or asked.until is None:
        return told
    if cap is not None and asked.inputs is not None:
        told.charges = list(cap_charges(asked, cap, asked.inputs))
    room = f"There is room again at {asked.leaves(asked.until)}"
    if cap is not None and cap.limit == 0:
        room = "A limit of 0 never has room"
    elif told.charges and cap is not None and cap.window_ms is not None:
        first = next((c for c in told.charges if c["leaves_at"] == asked.until), told.charges[0])
        room += f", when {first['words']} leaves the window"
    on_hit = "" if asked.check["verdict"] == "hold" else " With `on_hit: defer` it would have waited until then."
    more = f" A `limit` of {int(told.value or 0) + 1} would have let it pass now."
    told.otherwise = f"{room}.{on_hit}{more}"
    return told


def cap_span(cap: Cap) -> str:
    return f"a calendar {cap.calendar}" if cap.window_ms is None else duration(cap.window_ms)


def cap_charges(asked: Asked, cap: Cap, inputs: Inputs) -> Iterator[dict[str, Any]]:
    """The charges that fill a cap now, the oldest first; each is asked of the core alone."""
    zone = quiet_hours.zone_or(inputs.zone, inputs.governance.time_zone)
    step = asked.check["step"]
    for charge in sorted(inputs.charges, key=lambda one: one.at):
        alone = caps.cap_room_at(cap, [charge], asked.message.id, asked.channel, step, asked.at, zone)
        if not alone.used:
            continue
        if cap.window_ms is not None:
            leaves_at = charge.at + cap.window_ms
        else:
            _, leaves_at = quiet_hours.calendar_bounds(cap.calendar, charge.at, zone)  # type: ignore[arg-type]
        yield charge_view(charge, leaves_at, asked.place)


def charge_view(charge: Charge, leaves_at: Instant, place: Place) -> dict[str, Any]:
    return {
        "message": charge.message,
        "step": charge.step,
        "channel": charge.channel,
        "class": charge.klass,
        "at": charge.at,
        "leaves_at": leaves_at,
        "words": f"the {charge.channel} of {place.words(charge.at)} (message {charge.message})",
    }


def gapped(asked: Asked) -> Told:
    gap: Gap | None = asked.rule("gaps")
    told = plain(asked)
    if gap is not None:
        told.limit = duration(gap.gap_ms)
    if asked.passed or asked.until is None:
        told.value = None
        told.words = f"at least {told.limit} apart"
        return told
    if gap is None or asked.inputs is None:
        return told
    last = asked.until - gap.gap_ms
    told.value = duration(max(0, asked.at - last))
    told.words = f"the last was {told.value} ago, at least {told.limit} apart"
    held = [c for c in asked.inputs.charges if gap_holds(asked, gap, c)]
    told.charges = [charge_view(c, c.at + gap.gap_ms, asked.place) for c in sorted(held, key=lambda one: one.at)]
    told.otherwise = f"The gap is over at {asked.leaves(asked.until)}."
    if told.charges:
        told.otherwise = f"The gap after {told.charges[-1]['words']} is over at {asked.leaves(asked.until)}."
    return told


def gap_holds(asked: Asked, gap: Gap, charge: Charge) -> bool:
    step = asked.check["step"]
    return caps.gap_room_at(gap, [charge], asked.message.id, asked.channel, step, asked.at) is not None


def budgeted(asked: Asked) -> Told:
    told = plain(asked)
    told.words = f"the day's {told.limit} for {asked.channel} is {'not ' if asked.passed else ''}spent"
    if asked.until is not None:
        told.otherwise = f"A higher `per_day` than {told.limit}, or the next day, at {asked.leaves(asked.until)}, opens it."
    return told


def goal(asked: Asked) -> Told:
    return Told(words="not reached" if asked.passed else "reached before the event was accepted")


TELLERS: dict[str, Callable[[Asked], Told]] = {
    "deadline": firm.deadline,
    "goal": firm.goal,
    "suppression": firm.suppression,
    "consent": firm.consented,
    "reachability": firm.reachability,
    "when": firm.condition,
    "quiet_hours": patient.quiet,
    "caps": patient.capped,
    "gaps": patient.gapped,
    "budget": patient.budgeted,
}


def explain_check(asked: Asked) -> dict[str, Any]:
    """The check as the explanation shows it (see docs/explain.md for the shape)."""
    check = asked.check
    reason = Reason(check["reason"]) if check.get("reason") else None
    told = TELLERS.get(check["gate"], plain)(asked)
    otherwise = None
    if not asked.passed:
        otherwise = told.otherwise or (OTHERWISE[reason] if reason is not None else None)
        otherwise = otherwise and otherwise + asked.too_late()
    until = asked.until
    return {
        "step": check.get("step"),
        "channel": asked.channel,
        "gate": check["gate"],
        "rule": check.get("rule"),
        "verdict": check["verdict"],
        "reason": reason.value if reason is not None else None,
        "sentence": reason.describe() if reason is not None else None,
        "value": told.value,
        "limit": told.limit,
        "until": until,
        "words": told.words,
        "otherwise": otherwise,
        "charges": told.charges,
    }
