"""A declaration compiled, once: its texts and conditions, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from orchestrator import channels as ch
from orchestrator.channels.filled import Filled
from orchestrator.declared import scope
from orchestrator.declared.shape import ReceiptKeys, RequestKeys, RuleKeys
from orchestrator.render import ConditionError, Expression, Text, Texts

R = ch.Reason
Path = tuple[str | int, ...]
REASONS = {
    "address": R.REFUSED_ADDRESS,
    "recipient": R.REFUSED_RECIPIENT,
    "opted_out": R.REFUSED_OPTED_OUT,
    "message": R.REFUSED_CONTENT,
    "configuration": R.REFUSED_CONFIGURATION,
}
STATES: dict[str, ch.Delivery | ch.Engagement] = {
    "sent": ch.Delivery.SENT,
    "delivered": ch.Delivery.DELIVERED,
    "read": ch.Engagement.READ,
    "clicked": ch.Engagement.CLICKED,
    "failed": ch.Delivery.FAILED,
    "expired": ch.Delivery.EXPIRED,
}
FAILING = frozenset({"failed", "expired"})
VERDICTS = ("accepted", "refused", "not_sent", "unknown")
IN_TEXTS = Texts(scope.REQUEST_NAMES)
IN_ANSWERS = Texts(scope.ANSWER_NAMES)
IN_RECEIPTS = Texts(scope.RECEIPT_NAMES)
IN_SIGNED_RECEIPTS = Texts(scope.SIGNED_NAMES)
SYNTAX_FIX = "see docs/providers/http.md for what expressions may say"
SIGNED_FIX = f"{SYNTAX_FIX}; hmac_sha256 proves the body alone, so only the body is believed"
XML, PLAIN = "text/xml; charset=utf-8", "text/plain; charset=utf-8"


class Faults:
    """What is wrong with a declaration: where in it, what, and how to fix it."""

    def __init__(self) -> None:
        self.found: list[InitErrorDetails] = []

    def add(self, path: Path, what: str, fix: str) -> None:
        """One fault, at a path of keys and list positions."""
        kind = PydanticCustomError("declared", "{error}", {"error": what, "fix": fix})
        self.found.append(InitErrorDetails(type=kind, loc=path, input=None))

    def refuse(self) -> None:
        """Raise pydantic's ``ValidationError`` if anything is wrong."""
        if self.found:
            raise ValidationError.from_exception_data("http", self.found)


@dataclass(frozen=True)
class Rule:
    """One rule of ``answer``."""

    keys: RuleKeys
    when: Expression
    verdict: str
    id: Any
    retry_after: Any
    code: Any
    detail: Any


@dataclass(frozen=True)
class WordTable:
    """Which of the provider's words mean what."""

    of: Any
    table: Mapping[str, str]

    def meaning(self, found: Mapping[str, Any]) -> tuple[str, str]:
        """The provider's word, and what it means ("" for an unknown one)."""
        word = word_of(value_of(self.of, found))
        return word, self.table.get(word.casefold(), "")


@dataclass(frozen=True)
class DeclaredGateway:
    """All of it, compiled."""

    request: RequestKeys
    url: Text
    headers: Mapping[str, Any]
    query: Mapping[str, Any]
    content: Any
    body_type: str
    rules: tuple[Rule, ...]
    parts: Mapping[str, Any] = field(default_factory=dict)
    state: WordTable | None = None
    reason: WordTable | None = None


def word_of(value: Any) -> str:
    """A provider's word, which may be a number."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return str(value).strip()[:100] if isinstance(value, str | int) else ""


def value_of(compiled: Any, found: Mapping[str, Any]) -> Any:
    """The value of a compiled tree. Raises ``ConditionError``."""
    if isinstance(compiled, Text):
        return compiled.value(found)
    if isinstance(compiled, dict):
        return {key: value_of(inner, found) for key, inner in compiled.items()}
    if isinstance(compiled, list):
        return [value_of(inner, found) for inner in compiled]
    return compiled


def as_text(compiled: Any, found: Mapping[str, Any]) -> str:
    """The same as a text. Raises ``ConditionError`` for a list or mapping."""
    if isinstance(compiled, Text):
        return compiled.text(found)
    if isinstance(compiled, dict | list) or compiled is None:
        raise ConditionError("a list or mapping is no text")
    return str(compiled).lower() if isinstance(compiled, bool) else str(compiled)


def tried(compiled: Any, found: Mapping[str, Any]) -> Any:
    """The value, None where there is none or it cannot be evaluated."""
    try:
        return value_of(compiled, found)
    except ConditionError:
        return None


class Compiler:
    """Compiles the keys of a declaration; what is wrong goes to ``faults``."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def tree(self, texts: Texts, value: Any, path: Path) -> Any:
        """A tree with its texts compiled."""
        if isinstance(value, dict):
            return {key: self.tree(texts, inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(texts, inner, (*path, at)) for at, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        pieces = value.pieces if isinstance(value, Filled) else None
        try:
            return texts.text(value.written if isinstance(value, Filled) else value, pieces)
        except ConditionError as error:
            fix = SIGNED_FIX if texts is IN_SIGNED_RECEIPTS else SYNTAX_FIX
            self.faults.add(path, str(error), fix)
            return None

    def condition(self, source: str, path: Path) -> Expression | None:
        """A condition over an answer."""
        try:
            return IN_ANSWERS.condition(source)
        except ConditionError as error:
            self.faults.add(path, str(error), SYNTAX_FIX)
            return None

    def url(self, value: Any) -> Text:
        """The URL, whose host no message can choose."""
        path = ("request", "url")
        found = self.tree(IN_TEXTS, value, path) if isinstance(value, str) else None
        if not isinstance(found, Text):
            if not self.faults.found:
                self.faults.add(path, "is no text", "write https://…")
            return Text("", ())
        literal = [piece if isinstance(piece, str) else "\0" for piece in found.pieces]
        start = "".join(literal)
        parts = urlsplit(start.partition("\0")[0])
        whole = "\0" not in start or "/" in start.partition("\0")[0].removeprefix(
            f"{parts.scheme}://"
        )
        if parts.scheme not in ("https", "http") or not parts.hostname or not whole:
            fix = "write https://host/… with expressions after the host only"
            self.faults.add(path, "must begin with the address of the gateway", fix)
        elif parts.username is not None or parts.fragment:
            fix = "log in with `auth`, and leave out what follows a #"
            self.faults.add(path, "has a login or a fragment in it", fix)
        return found

    def body_type(self, body: Any, headers: Mapping[str, Any]) -> str:
        """
        The content type of a hand-written body, which says how values are encoded in it. A body
        that a value could break out of is a fault.
        """
        path = ("request", "body")
        if not isinstance(body, Text):
            if body is not None:
                self.faults.add(path, "is no text", "write json: …")
            return PLAIN
        given = next((one for key, one in headers.items() if key.lower() == "content-type"), None)
        type = given.source.lower() if isinstance(given, Text) else ""
        start = next(iter(body.pieces), "")
        start = start.lstrip()[:1] if isinstance(start, str) else ""
        if type.startswith(ch.FORM):
            return ch.FORM
        if start == "<" or "xml" in type:
            return XML
        if start in ("{", "[") or "json" in type:
            self.faults.add(path, "is JSON, and a value in it could add keys", "write json: …")
        elif len(body.pieces) > 1 and any(isinstance(one, Expression) for one in body.pieces):
            what = "has values beside other text, and nothing keeps them apart in it"
            fix = "write json or form, name XML or a form as Content-Type, or write the value alone"
            self.faults.add(path, what, fix)
        return PLAIN

    def rule(self, keys: RuleKeys, at: int) -> Rule | None:
        """One rule, None if it is wrong."""
        path: Path = ("answer", at)
        said = [name for name in VERDICTS if getattr(keys, name) not in (None, False)]
        if len(said) != 1:
            what = f"rule {at + 1} says " + (" and ".join(said) or "nothing")
            fix = f"give each rule exactly one of {', '.join(VERDICTS)}"
            self.faults.add(path, what, fix)
            return None
        (verdict,) = said
        if keys.retry_after is not None and verdict != "not_sent":
            fix = "remove it: only `not_sent` is tried again"
            self.faults.add((*path, "retry_after"), f"rule {at + 1} is {verdict}", fix)
        when = self.condition(keys.when, (*path, "when"))
        compiled = {
            name: self.tree(IN_ANSWERS, getattr(keys, name), (*path, name))
            for name in ("accepted", "retry_after", "code", "detail")
        }
        id, pause, code, detail = compiled.values()
        return None if when is None else Rule(keys, when, verdict, id, pause, code, detail)

    def words(self, texts: Texts, keys: Any, kinds: Mapping[str, Any], path: Path) -> WordTable:
        """A table of the provider's words."""
        table: dict[str, str] = {}
        for name in kinds:
            for word in getattr(keys, name):
                key = word_of(word).casefold()
                if key in table:
                    what = f"the word {word!r} is both {table[key]} and {name}"
                    self.faults.add((*path, name), what, "leave it in one of them")
                table[key] = name
        if not table:
            what, fix = "names no word", f"name the gateway's words for {', '.join(kinds)}"
            self.faults.add(path, what, fix)
        return WordTable(self.tree(texts, keys.of, (*path, "of")), table)

    def declaration(
        self, request: RequestKeys, rules: tuple[RuleKeys, ...], receipts: ReceiptKeys | None
    ) -> DeclaredGateway:
        """All of it; unusable if there were faults."""
        kinds = [name for name in ("json", "form", "body") if content_of(request, name) is not None]
        if len(kinds) > 1:
            what = f"has {' and '.join(kinds)}"
            self.faults.add(("request",), what, "give one of json, form and body")
        kind = kinds[0] if kinds else "body"
        content = self.tree(IN_TEXTS, content_of(request, kind), ("request", kind))
        if request.auth and bool(request.auth.basic) == bool(request.auth.bearer):
            self.faults.add(("request", "auth"), "is not one login", "give basic or bearer")
        made = [self.rule(keys, at) for at, keys in enumerate(rules)]
        parts, state, reason = {}, None, None
        if receipts is not None:
            texts = IN_SIGNED_RECEIPTS if receipts.body_signed else IN_RECEIPTS
            for name in ("items", "id", "reference", "at"):
                parts[name] = self.tree(texts, getattr(receipts, name), ("receipts", name))
            state = self.words(texts, receipts.state, STATES, ("receipts", "state"))
            if receipts.reason is not None:
                reason = self.words(texts, receipts.reason, REASONS, ("receipts", "reason"))
        headers = self.tree(IN_TEXTS, request.headers, ("request", "headers"))
        return DeclaredGateway(
            request,
            self.url(request.url),
            headers,
            self.tree(IN_TEXTS, request.query, ("request", "query")),
            content,
            self.body_type(content, headers) if kind == "body" else "",
            tuple(rule for rule in made if rule is not None),
            parts,
            state,
            reason,
        )


def content_of(request: RequestKeys, kind: str) -> Any:
    return request.json_body if kind == "json" else getattr(request, kind)
