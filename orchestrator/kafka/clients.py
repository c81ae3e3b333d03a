"""
What everything that speaks to Kafka shares: saying what is wrong, in one word for metrics and one
sentence for people, and stopping a client that may be broken.

    unreachable     no broker answers at the address
    certificate     TLS fails: the broker's certificate, ours, or a listener that speaks no TLS
    login           the broker refuses the user name, the password or the mechanism
    not_allowed     logged in, but an ACL forbids it
    topic_missing   the broker has no such topic
    too_large       the topic takes no record of that size
    dead_letter     a dead letter could not be written to its topic (it is in the store)
    commit          offsets could not be committed
    unreadable      a record that the client library cannot even take apart
    other           everything else

The client library tells "cannot bootstrap" and logs the reason; ``diagnose`` connects once more and
finds it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import errors
from aiokafka.conn import create_conn

log = structlog.get_logger()

TROUBLES = (
    "unreachable",
    "certificate",
    "login",
    "not_allowed",
    "topic_missing",
    "too_large",
    "dead_letter",
    "commit",
    "unreadable",
    "other",
)
CONNECT_SECONDS = 5.0
ALERT_SECONDS = 1.0
LOGIN_ERRORS = (
    errors.SaslAuthenticationFailed,
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
)
ACL_ERRORS = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
)
TOO_LARGE_ERRORS = (errors.MessageSizeTooLargeError, errors.RecordTooLargeError)
NETWORK_ERRORS = (
    errors.KafkaConnectionError,
    errors.NodeNotReadyError,
    errors.RequestTimedOutError,
    errors.KafkaTimeoutError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True)
class ReportError:
    """``word`` is one of ``TROUBLES``; ``what`` says it and how to fix it, without any secret."""

    word: str
    what: str


def error_of(error: BaseException) -> ReportError:
    """What an error of the client library means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ReportError(
            "certificate",
            f"the broker's certificate is not trusted ({error.verify_message}); look at `ca`",
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no TLS").lower().replace("_", " ")
        return ReportError(
            "certificate", f"TLS fails ({reason}); look at `protocol`, `cert` and `key`"
        )
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return ReportError(
            "login",
            "the broker does not offer this `sasl_mechanism`; name one that its listener has",
        )
    if isinstance(error, LOGIN_ERRORS):
        return ReportError(
            "login",
            "the broker refuses the login; look at `username`, `password` and `sasl_mechanism`",
        )
    if isinstance(error, ACL_ERRORS):
        return ReportError(
            "not_allowed",
            f"an ACL of the broker forbids it ({type(error).__name__}); allow it for this user",
        )
    if isinstance(error, errors.UnknownTopicOrPartitionError):
        return ReportError("topic_missing", "the broker has no such topic; create it")
    if isinstance(error, TOO_LARGE_ERRORS):
        return ReportError(
            "too_large",
            "the record is larger than its topic takes; raise the topic's max.message.bytes",
        )
    if isinstance(error, NETWORK_ERRORS):
        return ReportError(
            "unreachable",
            "no broker answers; look at `bootstrap_servers`, and whether `protocol` is the"
            " listener's",
        )
    return ReportError("other", type(error).__name__)


async def diagnose(options: Mapping[str, Any], error: BaseException) -> ReportError:
    """
    What is wrong, from an error and, where that only says that nobody answers, from one more
    connection to each broker. ``options`` are those of the client library.
    """
    found = error_of(error)
    if found.word != "unreachable":
        return found
    for server in str(options["bootstrap_servers"]).split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connect_once(host.strip("[]"), int(port), options)
        except (errors.KafkaError, OSError, TimeoutError, ValueError) as deeper:
            why = error_of(deeper)
            if why.word != "unreachable":
                return why
    return found


async def connect_once(host: str, port: int, options: Mapping[str, Any]) -> None:
    """
    Connect as the library does; raises what it hides. A refused client certificate shows only when
    one reads on.
    """
    wanted = (
        "security_protocol",
        "ssl_context",
        "sasl_mechanism",
        "sasl_plain_username",
        "sasl_plain_password",
    )
    given = {name: options[name] for name in wanted if name in options}
    if "ssl_context" in options:
        reader, writer = await asyncio.open_connection(host, port, ssl=options["ssl_context"])
        try:
            async with asyncio.timeout(ALERT_SECONDS):
                await reader.read(1)
        except TimeoutError:  # a broker says nothing of its own accord
            pass
        finally:
            writer.close()
    made = await create_conn(host, port, request_timeout_ms=int(CONNECT_SECONDS * 1000), **given)
    made.close()


async def stop_within(client: Any, seconds: float) -> None:
    """
    Stop one of the library's clients, which may be broken; whatever has not ended in time is
    cancelled.
    """
    stopping = asyncio.ensure_future(client.stop())
    done, _ = await asyncio.wait({stopping}, timeout=seconds)
    if not done:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
    elif (error := stopping.exception()) is not None:
        log.warning("kafka.stop_failed", error=error_of(error).what)
