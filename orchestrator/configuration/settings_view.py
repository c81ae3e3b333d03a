"""
The effective configuration, in the shape of the file: defaults filled in, references as written,
secrets masked.

Whatever came from ``${env:…}`` or ``${file:…}`` is shown as the reference, because that is what
people look for and all that they may see.
"""

from __future__ import annotations

import urllib.parse
from typing import Any, cast

from pydantic import SecretStr

from orchestrator.configuration.references import refers
from orchestrator.configuration.settings import KafkaSecurity, ProviderSettings, Settings
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

MASK = "***"
UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s"), (1, "ms"))


def view(settings: Settings) -> dict[str, Any]:
    """Plain JSON types."""
    shown: dict[str, Any] = {
        "store": masked_url(settings.store.url.get_secret_value()),
        "sources": sources(settings),
        "statuses": statuses(settings),
        "channels": {
            name: [provider(one) for one in ones] for name, ones in settings.channels.items()
        },
        "http": {
            "listen": str(settings.http.listen),
            "admin": str(settings.http.admin),
            "public_url": settings.http.public_url,
            "auth": settings.http.auth,
        },
        "egress": {"allow": list(settings.egress_allow)},
        "policies": str(settings.policies),
        "templates": str(settings.templates),
        "governance": str(settings.governance) if settings.governance else None,
        **running(settings),
    }
    return (
        cast(dict[str, Any], overlay(shown, settings.written))
        if settings.written is not None
        else shown
    )


def running(settings: Settings) -> dict[str, Any]:
    """Everything that is about how it runs."""
    breaker, limits, retention = settings.breaker, settings.limits, settings.retention
    outage, retry = settings.receipt_outage, settings.defaults.retry
    rates = {"sms_per_recipient": limits.sms_per_recipient, "sms_per_prefix": limits.sms_per_prefix}
    return {
        "receipt_outage": {
            "hold": outage.hold,
            "min_sends": outage.min_sends,
            "ratio": outage.ratio,
        },
        "limits": {name: f"{rate[0]}/{duration(rate[1])}" for name, rate in rates.items() if rate},
        "breaker": "off"
        if breaker is None
        else {
            "ratio": breaker.ratio,
            "min_requests": breaker.min_requests,
            "window": duration(breaker.window_ms),
            "open_for": duration(breaker.open_for_ms),
        },
        "defaults": {
            "wait": duration(settings.defaults.wait_ms),
            "retry": {"max": retry.max, "within": duration(retry.within_ms)},
        },
        "migrate": settings.migrate,
        "retention": {
            "messages": duration(retention.messages_ms),
            "events": duration(retention.events_ms),
            "receipts": duration(retention.receipts_ms),
            "dead_letters": duration(retention.dead_letters_ms),
        },
        "log": {"level": settings.log.level, "format": settings.log.format},
        "signing_key": MASK if settings.signing_key else None,
    }


def duration(value_ms: int) -> str:
    """A duration as it would be written, in the largest unit that is exact."""
    size, unit = next((size, unit) for size, unit in UNITS if value_ms % size == 0)
    return f"{value_ms // size}{unit}" if value_ms else "0s"


def masked_url(url: str) -> str:
    """A URL without its password."""
    parts = urllib.parse.urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", f":{MASK}@", 1)


def sources(settings: Settings) -> dict[str, Any]:
    """Where events come from."""
    shown: dict[str, Any] = {"http": {}} if settings.http_source else {}
    if settings.kafka is not None:
        kafka = settings.kafka
        shown["kafka"] = {
            "bootstrap_servers": kafka.bootstrap_servers,
            "topics": list(kafka.topics),
            "group": kafka.group,
            "auto_offset_reset": kafka.auto_offset_reset,
            "dead_letters": kafka.dead_letters or "off",
            "security": security(kafka.security),
        }
    return shown


def security(settings: KafkaSecurity) -> dict[str, Any]:
    """How a connection to Kafka is secured."""
    shown = {
        "protocol": settings.protocol,
        "sasl_mechanism": settings.sasl_mechanism,
        "username": settings.username,
        "password": MASK if settings.password else None,
        "ca": str(settings.ca) if settings.ca else None,
        "cert": str(settings.cert) if settings.cert else None,
        "key": str(settings.key) if settings.key else None,
    }
    return {key: value for key, value in shown.items() if value is not None}


def statuses(settings: Settings) -> dict[str, Any]:
    """Where status events go."""
    shown: dict[str, Any] = {}
    if settings.status_kafka is not None:
        kafka = settings.status_kafka
        shown["kafka"] = {
            "bootstrap_servers": kafka.bootstrap_servers,
            "topic": kafka.topic,
            "security": security(kafka.security),
        }
    if settings.status_webhooks:
        shown["webhooks"] = [{"url": hook.url, "secret": MASK} for hook in settings.status_webhooks]
    return shown


def provider(settings: ProviderSettings) -> dict[str, Any]:
    """A provider with its adapter's own settings."""
    shown: dict[str, Any] = {
        "provider": settings.provider,
        "adapter": settings.adapter,
        "timeout": duration(settings.timeout_ms),
        "connections": settings.connections,
        "rate": f"{settings.rate_per_second:g}/s" if settings.rate_per_second else None,
    }
    if settings.cost is not None:
        cost = settings.cost
        shown["cost"] = {"amount": str(cost.amount), "currency": cost.currency, "per": cost.per}
    own: dict[str, Any] = hide(settings.adapter_settings.model_dump(by_alias=True))
    return {key: value for key, value in shown.items() if value is not None} | own


def hide(value: Any) -> Any:
    """Plain JSON types with every secret masked."""
    match value:
        case SecretStr():
            return MASK
        case dict():
            return {str(key): hide(inner) for key, inner in value.items() if inner is not None}
        case list() | tuple() | set() | frozenset():
            return [hide(inner) for inner in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def overlay(shown: Any, written: Node) -> Any:
    """``shown`` with every text that was written with a reference as it was written."""
    if written.kind == "map" and isinstance(shown, dict):
        return {
            key: overlay(inner, written.value[key]) if key in written.value else inner
            for key, inner in shown.items()
        }
    if written.kind == "list" and isinstance(shown, list) and len(shown) == len(written.value):
        return [overlay(inner, node) for inner, node in zip(shown, written.value, strict=True)]
    if written.kind == "str" and refers(written.text):
        return written.text
    return MASK if has_reference(written) else shown


def has_reference(written: Node) -> bool:
    """Whether a reference stands anywhere in a tree as written."""
    if written.kind == "map":
        return any(has_reference(child) for child in written.value.values())
    if written.kind == "list":
        return any(has_reference(child) for child in written.value)
    return written.kind == "str" and refers(written.text)
