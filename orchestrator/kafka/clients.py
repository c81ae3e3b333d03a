"""
Errors of the Kafka client library, in one word for metrics and one sentence for people.

The library says "cannot bootstrap" and logs the cause; ``diagnose`` connects once more to find it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog
from aiokafka import errors
from aiokafka.conn import create_conn

log = structlog.get_logger()

CONNECT_SECONDS = 5.0
ALERT_SECONDS = 1.0
CONNECT_OPTIONS = (
    "security_protocol",
    "ssl_context",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)
TOO_LARGE_ERRORS = (errors.MessageSizeTooLargeError, errors.RecordTooLargeError)


class Diagnosis(NamedTuple):
    """``kind`` is the label of ``kaskad_kafka_errors_total``; ``text`` says how to fix it."""

    kind: str
    text: str


DIAGNOSES: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    (
        (ssl.SSLCertVerificationError,),
        "certificate",
        "the broker's certificate is not trusted ({why}); look at `ca`",
    ),
    ((ssl.SSLError,), "certificate", "TLS fails ({why}); look at `protocol`, `cert` and `key`"),
    (
        (errors.UnsupportedSaslMechanismError,),
        "login",
        "the broker does not offer this `sasl_mechanism`; name one that its listener has",
    ),
    (
        (
            errors.SaslAuthenticationFailed,
            errors.AuthenticationFailedError,
            errors.AuthenticationMethodNotSupported,
            errors.IllegalSaslStateError,
        ),
        "login",
        "the broker refuses the login; look at `username`, `password` and `sasl_mechanism`",
    ),
    (
        (
            errors.TopicAuthorizationFailedError,
            errors.GroupAuthorizationFailedError,
            errors.ClusterAuthorizationFailedError,
        ),
        "not_allowed",
        "an ACL of the broker forbids it ({why}); allow it for this user",
    ),
    (
        (errors.UnknownTopicOrPartitionError,),
        "topic_missing",
        "the broker has no such topic; create it",
    ),
    (
        TOO_LARGE_ERRORS,
        "too_large",
        "the record is larger than its topic takes; raise the topic's max.message.bytes",
    ),
    (
        (
            errors.KafkaConnectionError,
            errors.NodeNotReadyError,
            errors.RequestTimedOutError,
            errors.KafkaTimeoutError,
            OSError,
            TimeoutError,
        ),
        "unreachable",
        "no broker answers; look at `bootstrap_servers`, and whether `protocol` is the listener's",
    ),
    ((BaseException,), "other", "{why}"),
)


def diagnosis_of(error: BaseException) -> Diagnosis:
    """The first entry of ``DIAGNOSES`` that an error of the client library is in."""
    why = type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
    elif isinstance(error, ssl.SSLError):
        why = (error.reason or "no TLS").lower().replace("_", " ")
    kind, text = next(rest for types, *rest in DIAGNOSES if isinstance(error, types))
    return Diagnosis(kind, text.format(why=why))


async def diagnose(options: Mapping[str, Any], error: BaseException) -> Diagnosis:
    """
    The cause of an error. If no broker answers, connect to each once more, because the library
    hides why. ``options`` are those of the client library.
    """
    found = diagnosis_of(error)
    if found.kind != "unreachable":
        return found
    for server in str(options["bootstrap_servers"]).split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connect_once(host.strip("[]"), int(port), options)
        except (errors.KafkaError, OSError, TimeoutError, ValueError) as cause:
            deeper = diagnosis_of(cause)
            if deeper.kind != "unreachable":
                return deeper
    return found


async def connect_once(host: str, port: int, options: Mapping[str, Any]) -> None:
    """Connect as the library does, and raise what it hides."""
    given = {name: options[name] for name in CONNECT_OPTIONS if name in options}
    if "ssl_context" in options:
        reader, writer = await asyncio.open_connection(host, port, ssl=options["ssl_context"])
        try:
            async with asyncio.timeout(ALERT_SECONDS):
                await reader.read(1)  # only a read shows that our client certificate is refused
        except TimeoutError:  # the certificate is fine: a broker never speaks first
            pass
        finally:
            writer.close()
    made = await create_conn(host, port, request_timeout_ms=int(CONNECT_SECONDS * 1000), **given)
    made.close()


async def stop_within(client: Any, seconds: float) -> None:
    """Stop a client of the library, which may be broken; cancel the stop if it takes too long."""
    stopping = asyncio.ensure_future(client.stop())
    done, _ = await asyncio.wait({stopping}, timeout=seconds)
    if not done:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
    elif (error := stopping.exception()) is not None:
        log.warning("kafka.stop_failed", error=diagnosis_of(error).text)
