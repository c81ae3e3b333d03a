"""
How the stand-ins behave, per address and at large.

    script     {"default": B, "providers": {"twilio": B},
                "addresses": {"+380501234567": B or [B, B, …]}}
    behaviour  {"answer": …, "receipts": …, "twice": true, "before_response": true,
                "order": "reversed", "random": {…}}

A behaviour says only what differs: an address overrides its provider, a provider the default, the
default the built-in "accept, then the configured receipts". A key such as ``twilio:+380501234567``
is one address at one provider. A list holds one behaviour per request, in turn; the last one
repeats.

    answer     "accept" | "refuse"
               {"refuse": CODE, "stage": "rcpt" | "data" | "mail"}     (the stage is SMTP's)
               {"throttle": SECONDS}          took nothing, asks to come back
               "hang"                         reads the request, takes nothing, never answers
               "cut_after_read"               reads the request, takes nothing, cuts the connection
               "go_away"                      takes nothing, and says so by an HTTP/2 GOAWAY (APNs);
                                              elsewhere it cuts the connection
               "cut_after_accept"             takes the message, cuts the connection
               {"late": SECONDS}              takes the message, answers late
               {"status": 500}                takes nothing; with "accepted": true it takes it
    receipts   "never" | [["delivered", SECONDS], ["failed", SECONDS, CODE],
                          ["replied", SECONDS, "text"], …]
    random     {"refused": 0.05, "failed": 0.02, "delivered": 0.9, "read": 0.6, "clicked": 0.3,
                "delays": {"delivered": [0.5, 3], …}}   shares of all; delays from state to state

What chance decides is drawn from the seed, the provider and the address alone: the same person
behaves the same way in every run, whatever the order of requests.
"""

from __future__ import annotations

import difflib
import itertools
import random
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STATES = (
    "sent",
    "delivered",
    "read",
    "clicked",
    "replied",
    "failed",
    "expired",
    "dismissed",
    "unsubscribed",
)
ORDERS = ("given", "reversed", "shuffled")
WORDS = ("accept", "refuse", "hang", "cut_after_read", "cut_after_accept", "go_away")
STAGES = ("mail", "rcpt", "data")
NEST = ("delivered", "read", "clicked")
DELAYS = {
    "failed": (1.0, 5.0),
    "delivered": (0.5, 3.0),
    "read": (2.0, 15.0),
    "clicked": (2.0, 20.0),
}
SECONDS_MAX = 30 * 86_400.0
LIST_MAX = 1_000

Level = Mapping[str, Any]


class ScriptError(ValueError):
    """A script that cannot be used: where it is wrong, why, and how to fix it."""


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """The answer to a request. ``taken``: the message is accepted, whatever the sender sees."""

    kind: str = "accept"
    code: str | None = None
    stage: str | None = None
    seconds: float = 0.0
    status: int = 0
    taken: bool = True


@dataclass(frozen=True, slots=True)
class Planned:
    """A receipt ``after`` so many seconds; ``detail`` is a failure's code or a reply's text."""

    state: str
    after: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class RequestBehaviour:
    """Everything that happens with one request."""

    answer: ScriptedAnswer
    receipts: tuple[Planned, ...]
    twice: bool = False
    before_response: bool = False


class Script:
    """
    The behaviours in force. ``providers`` are the names a script may use. Raises ``ScriptError`` if
    ``value`` is no script.
    """

    def __init__(
        self,
        value: Any,
        *,
        providers: Iterable[str],
        receipts: Sequence[tuple[str, float]],
        seed: int | None,
    ) -> None:
        self.value = value
        self._names = tuple(providers)
        self._seed = seed if seed is not None else random.SystemRandom().getrandbits(64)
        self._receipts = tuple(Planned(state, after) for state, after in receipts)
        parts = _object(value, "the script", ("default", "addresses", "providers"))
        self._default = _level(parts.get("default", {}), "default")
        self._providers = {
            _one_of(name, self._names, f"providers.{name}", "provider"): _level(
                given, f"providers.{name}"
            )
            for name, given in _object(parts.get("providers", {}), "providers").items()
        }
        self._addresses = {
            self._key(name): _levels(given, f"addresses[{name!r}]")
            for name, given in _object(parts.get("addresses", {}), "addresses").items()
        }
        self._turns: dict[str, int] = {}

    def turn(self, provider: str, address: str) -> RequestBehaviour:
        """The behaviour for this request; a list of behaviours moves on by one."""
        levels = [self._default, self._providers.get(provider, {})]
        plain = canonical(address)
        for key in (plain, f"{provider}:{plain}"):
            if key in self._addresses:
                levels.append(self._next(key))
        return self._resolve(levels, provider, plain)

    def at_large(self, provider: str) -> RequestBehaviour:
        """The behaviour while no address is known yet; nothing moves on."""
        return self._resolve([self._default, self._providers.get(provider, {})], provider, "")

    def _key(self, name: str) -> str:
        provider, colon, address = name.partition(":")
        if colon and provider in self._names:
            return f"{provider}:{canonical(address)}"
        return canonical(name)

    def _next(self, key: str) -> Level:
        given = self._addresses[key]
        index = self._turns.get(key, 0)
        if index + 1 < len(given):
            self._turns[key] = index + 1
        return given[index]

    def _resolve(self, levels: Iterable[Level], provider: str, address: str) -> RequestBehaviour:
        merged: dict[str, Any] = {
            "answer": ScriptedAnswer(),
            "receipts": self._receipts,
            "order": "given",
        }
        chance = random.Random(f"{self._seed}|{provider}|{_path(address)}")
        for level in levels:
            if "random" in level:
                merged |= _draw(level["random"], chance)
            merged |= level
        return RequestBehaviour(
            merged["answer"],
            _ordered(merged["receipts"], merged["order"], chance),
            merged.get("twice", False),
            merged.get("before_response", False),
        )


def canonical(address: str) -> str:
    """One spelling per address: phones as ``+`` and digits, mail addresses in lower case."""
    if "@" in address:
        return address.strip().lower()
    squeezed = re.sub(r"[\s()-]", "", address)
    if re.fullmatch(r"\+?\d{7,15}", squeezed):
        return "+" + squeezed.lstrip("+")
    return address.strip()


def _path(address: str) -> str:
    """The part of an address that is the same in every run: of a push endpoint, its path."""
    return urllib.parse.urlsplit(address).path if "://" in address else address


def _ordered(
    receipts: tuple[Planned, ...], order: str, chance: random.Random
) -> tuple[Planned, ...]:
    """The receipts by time; another order keeps the times and moves the states."""
    by_time = sorted(receipts, key=lambda planned: planned.after)
    if order == "given":
        return tuple(by_time)
    states = (
        list(reversed(by_time)) if order == "reversed" else chance.sample(by_time, len(by_time))
    )
    return tuple(
        Planned(state.state, slot.after, state.detail)
        for slot, state in zip(by_time, states, strict=True)
    )


def _draw(chances: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """An answer and receipts; one random number decides how far the message gets."""
    if chance.random() < chances["refused"]:
        return {"answer": ScriptedAnswer("refuse", taken=False), "receipts": ()}
    luck, after, planned = chance.random(), 0.0, []
    for state in NEST:
        after += chance.uniform(*chances["delays"][state])
        if luck < chances[state]:
            planned.append(Planned(state, round(after, 3)))
    if luck >= 1 - chances["failed"]:
        planned = [Planned("failed", round(chance.uniform(*chances["delays"]["failed"]), 3))]
    return {"answer": ScriptedAnswer(), "receipts": tuple(planned)}


# reading a script


def _levels(value: Any, where: str) -> list[Level]:
    if not isinstance(value, list):
        return [_level(value, where)]
    if not 1 <= len(value) <= LIST_MAX:
        raise ScriptError(
            f"{where}: a list needs 1 to {LIST_MAX} behaviours, this one has {len(value)}"
        )
    return [_level(item, f"{where}[{index}]") for index, item in enumerate(value)]


def _level(value: Any, where: str) -> Level:
    readers = {
        "answer": _answer,
        "receipts": _receipts,
        "twice": _flag,
        "before_response": _flag,
        "order": lambda given, at: _one_of(given, ORDERS, at, "order"),
        "random": _chances,
    }
    given = _object(value, where, tuple(readers))
    return {key: readers[key](item, f"{where}.{key}") for key, item in given.items()}


def _answer(value: Any, where: str) -> ScriptedAnswer:
    if isinstance(value, str):
        word = _one_of(value, WORDS, where, "answer")
        return ScriptedAnswer(word, taken=word in ("accept", "cut_after_accept"))
    given = _object(value, where, ("refuse", "stage", "throttle", "late", "status", "accepted"))
    kinds = [key for key in ("refuse", "throttle", "late", "status") if key in given]
    if len(kinds) != 1:
        raise ScriptError(
            f"{where}: exactly one of refuse, throttle, late, status is needed, found"
            f" {kinds or 'none'}"
        )
    kind = kinds[0]
    extra = set(given) - {kind} - {"refuse": {"stage"}, "status": {"accepted"}}.get(kind, set())
    if extra:
        raise ScriptError(f"{where}: {', '.join(sorted(extra))} does not go with {kind}; remove it")
    if kind == "refuse":
        code = given["refuse"]
        if isinstance(code, bool) or not isinstance(code, (str, int)) or code == "":
            raise ScriptError(
                f"{where}.refuse: a provider's code is needed (21610, 'EC_UNKNOWN_USER'), found"
                f" {code!r}"
            )
        stage = given.get("stage")
        stage = None if stage is None else _one_of(stage, STAGES, f"{where}.stage", "stage")
        return ScriptedAnswer(kind, code=str(code), stage=stage, taken=False)
    if kind == "status":
        status = given["status"]
        if isinstance(status, bool) or not isinstance(status, int) or not 300 <= status <= 599:
            raise ScriptError(
                f"{where}.status: an HTTP status from 300 to 599 is needed, found {status!r}"
            )
        return ScriptedAnswer(
            kind, status=status, taken=_flag(given.get("accepted", False), f"{where}.accepted")
        )
    return ScriptedAnswer(
        kind, seconds=_number(given[kind], f"{where}.{kind}", SECONDS_MAX), taken=kind == "late"
    )


def _receipts(value: Any, where: str) -> tuple[Planned, ...]:
    if value == "never":
        return ()
    if not isinstance(value, list) or len(value) > LIST_MAX:
        raise ScriptError(
            f'{where}: "never" or a list such as [["delivered", 2]] is needed, found {value!r}'
        )
    return tuple(_planned(item, f"{where}[{index}]") for index, item in enumerate(value))


def _planned(value: Any, where: str) -> Planned:
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise ScriptError(f'{where}: a pair such as ["delivered", 2] is needed, found {value!r}')
    state = _one_of(value[0], STATES, where, "state")
    detail = value[2] if len(value) == 3 else None
    if detail is not None and (isinstance(detail, bool) or not isinstance(detail, (str, int))):
        raise ScriptError(
            f"{where}: the third item is a failure's code or a reply's text, found {detail!r}"
        )
    return Planned(
        state, _number(value[1], where, SECONDS_MAX), None if detail is None else str(detail)
    )


def _chances(value: Any, where: str) -> Mapping[str, Any]:
    given = _object(value, where, ("refused", "failed", *NEST, "delays"))
    shares = {
        key: _number(given.get(key, 0), f"{where}.{key}", 1) for key in ("refused", "failed", *NEST)
    }
    for wider, narrower in itertools.pairwise(NEST):
        if shares[narrower] > shares[wider]:
            raise ScriptError(
                f"{where}.{narrower}: cannot be more than {wider} ({shares[wider]}), which it"
                " implies"
            )
    if shares["delivered"] + shares["failed"] > 1:
        raise ScriptError(
            f"{where}: delivered and failed together are more than 1; lower one of them"
        )
    delays = dict(DELAYS)
    for state, span in _object(given.get("delays", {}), f"{where}.delays", tuple(DELAYS)).items():
        at = f"{where}.delays.{state}"
        if not isinstance(span, list) or len(span) != 2:
            raise ScriptError(f"{at}: a span in seconds such as [1, 5] is needed, found {span!r}")
        low, high = (_number(edge, at, SECONDS_MAX) for edge in span)
        if low > high:
            raise ScriptError(f"{at}: the span runs backwards, write [{high:g}, {low:g}]")
        delays[state] = (low, high)
    return {**shares, "delays": delays}


def _object(value: Any, where: str, keys: tuple[str, ...] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ScriptError(f"{where}: an object is needed, found {value!r}")
    for key in value if keys is not None else ():
        _one_of(key, keys or (), where, "key")
    return value


def _one_of(value: Any, known: tuple[str, ...], where: str, what: str) -> str:
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(str(value), known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ScriptError(f"{where}: unknown {what} {value!r}; {hint}known are {', '.join(known)}")


def _flag(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ScriptError(f"{where}: true or false is needed, found {value!r}")


def _number(value: Any, where: str, top: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= top:
        raise ScriptError(f"{where}: a number from 0 to {top:g} is needed, found {value!r}")
    return float(value)
