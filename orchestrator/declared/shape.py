"""The keys with which a gateway is declared; what holds expressions is compiled later."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from orchestrator.channels import Secret, Secrets
from orchestrator.channels.filled import Filled, as_written
from orchestrator.channels.kinds import Part


def with_references(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """A text that is valid, and still knows its references: what they stand for may be secret."""
    text = read(value)
    return value if isinstance(value, Filled) else text


def without_references(value: Any) -> Any:
    """Refuses a text with references, which would be shown wherever the text is."""
    if isinstance(value, Filled):
        fix = "compare with something that may be shown"
        context = {"error": "takes no reference such as ${env:NAME}", "fix": fix}
        raise PydanticCustomError("declared", "{error}", context)
    return value


Written = Annotated[Any, PlainSerializer(as_written)]
"""A text, or a tree of texts, that may have expressions and references in it."""

Plain = Annotated[str, WrapValidator(with_references), PlainSerializer(as_written)]
"""A text without expressions, which may have references in it."""

Word = Annotated[str, Field(min_length=1), *Plain.__metadata__]
Condition = Annotated[str, Field(min_length=1), BeforeValidator(without_references)]
Words = tuple[Plain | int, ...]
RefusedWord = Literal["address", "recipient", "opted_out", "message", "configuration"]
StateWord = Literal["sent", "delivered", "read", "clicked", "failed", "expired"]


class Keys(BaseModel):
    """Some keys of a declaration; unknown ones are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )


class LoginKeys(Keys):
    """A name and a password, as HTTP Basic has them."""

    username: Word
    password: Secrets


class AuthKeys(Keys):
    """How requests log in: exactly one of them."""

    basic: LoginKeys | None = None
    bearer: Secret | None = None


class RequestKeys(Keys):
    """The request for one message; at most one of ``json``, ``form`` and ``body``."""

    url: Written
    method: Literal["GET", "POST", "PUT", "PATCH"] | None = None
    headers: dict[str, Written] = Field(default_factory=dict)
    query: dict[str, Written] = Field(default_factory=dict)
    json_body: Written = Field(default=None, alias="json")
    form: dict[str, Written] | None = None
    body: Written = None
    auth: AuthKeys | None = None


class RuleKeys(Keys):
    """
    What an answer means if ``when`` is true: exactly one of ``accepted`` (the provider's id, or
    true where it gives none), ``refused``, ``not_sent`` and ``unknown``.
    """

    when: Condition
    accepted: Written = None
    refused: RefusedWord | None = None
    not_sent: Literal["throttled"] | None = None
    unknown: Literal[True] | None = None
    retry_after: Written = None
    code: Written = None
    detail: Written = None


class VerifyKeys(Keys):
    """How a webhook proves that it is the provider's: exactly one of them."""

    hmac_sha256: Secrets | None = None
    header: Word | None = None
    encoding: Literal["hex", "base64"] = "hex"
    prefix: Plain = ""
    bearer: Secrets | None = None
    basic: LoginKeys | None = None
    query: dict[str, Secrets] | None = None


class StateKeys(Keys):
    """Which words of the provider mean which state; other words say nothing."""

    of: Written
    sent: Words = ()
    delivered: Words = ()
    read: Words = ()
    clicked: Words = ()
    failed: Words = ()
    expired: Words = ()


class ReasonKeys(Keys):
    """Which words of the provider say why a message failed."""

    of: Written
    address: Words = ()
    recipient: Words = ()
    opted_out: Words = ()
    message: Words = ()
    configuration: Words = ()


class ReceiptKeys(Keys):
    """
    What a webhook says: ``items`` are its receipts (without it, the webhook is one); ``id`` is the
    provider's id, ``reference`` ours.
    """

    verify: VerifyKeys | None = None
    items: Written = None
    id: Written = None
    reference: Written = None
    state: StateKeys
    reason: ReasonKeys | None = None
    at: Written = None
    answer: Plain = ""

    @property
    def body_signed(self) -> bool:
        """Whether the proof is over the body, and over nothing else of the webhook."""
        return self.verify is not None and self.verify.hmac_sha256 is not None


class MessageKeys(Keys):
    """The message of an example."""

    to: Word
    parts: dict[Part, Written] = Field(default_factory=dict)
    text: Plain | None = None
    reference: Word = "reference-1"
    message_class: Plain = Field(default="transactional", alias="class")
    topic: Plain = "orders"
    locale: Plain = "uk"
    ttl_seconds: int = 3600


class ExchangeKeys(Keys):
    """An answer or a webhook of an example; at most one of ``json``, ``form`` and ``text``."""

    status: int = Field(default=200, ge=200, le=599)
    headers: dict[str, Plain] = Field(default_factory=dict)
    query: dict[str, Plain] = Field(default_factory=dict)
    json_body: Written = Field(default=None, alias="json")
    form: dict[str, Plain] | None = None
    text: Plain | None = None


class ExampleKeys(Keys):
    """
    Exactly one of ``request`` (a message), ``answer`` and ``receipt``, and what is ``expected`` of
    it.
    """

    request: MessageKeys | None = None
    answer: ExchangeKeys | None = None
    receipt: ExchangeKeys | None = None
    expected: Written
