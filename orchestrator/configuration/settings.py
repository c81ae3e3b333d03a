"""
The configuration of an installation, as typed values.

    config/kaskad.yaml ──► settings.load(path, env) ──► Settings

Paths are relative to the file. Secrets are ``SecretStr`` or stand inside an adapter's own settings;
neither they nor anything that came from ``${env:…}`` or ``${file:…}`` shows in a ``repr``, an
error, or ``config show``. How the file is read is in ``settingsfile.py``; what is wrong beyond a
single value is looked for in ``check.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from orchestrator.channels import Adapter
from orchestrator.channels import Settings as AdapterSettings
from orchestrator.channels.registry import BrokenAdapter, adapters_available, load_adapter
from orchestrator.configuration.policy_file import Defaults
from orchestrator.configuration.yaml_file import ConfigError, Node, Position, Problem
from orchestrator.core.policy import DAY_MS, MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    pass

__all__ = [
    "Address",
    "BreakerSettings",
    "BrokenAdapter",
    "ConfigError",
    "Cost",
    "Defaults",
    "HttpSettings",
    "KafkaSecurity",
    "KafkaSource",
    "KafkaStatuses",
    "LimitSettings",
    "LogSettings",
    "Problem",
    "ProviderSettings",
    "ReceiptOutage",
    "Retention",
    "Settings",
    "StatusWebhook",
    "StoreSettings",
    "adapters_available",
    "load_adapter",
]

DEFAULT_STORE = "sqlite:///../data/kaskad.db"
NOWHERE = Position("<none>", 1, 1)


@dataclass(frozen=True)
class StoreSettings:
    """
    ``kind`` is sqlite or postgresql; ``path`` the SQLite file, None where it is in memory or not
    SQLite.
    """

    kind: Literal["sqlite", "postgresql"]
    url: SecretStr
    path: Path | None = None


@dataclass(frozen=True)
class KafkaSecurity:
    """
    How a connection to Kafka is secured; ``protocol`` and ``sasl_mechanism`` in Kafka's own words.
    ``ca``: who may have signed the broker's certificate (None: whom the system trusts); ``cert``
    and ``key``: ours, where the broker asks.
    """

    protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def options(self) -> dict[str, Any]:
        """The same as keyword arguments of aiokafka's clients."""
        found: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            from aiokafka.helpers import create_ssl_context

            found["ssl_context"] = create_ssl_context(
                cafile=self.ca, certfile=self.cert, keyfile=self.key
            )
        if self.protocol.startswith("SASL"):
            found["sasl_mechanism"] = self.sasl_mechanism
            found["sasl_plain_username"] = self.username
            found["sasl_plain_password"] = (
                self.password.get_secret_value() if self.password else None
            )
        return found


@dataclass(frozen=True)
class KafkaSource:
    """
    Events from Kafka; of several topics the earlier are taken first. ``dead_letters`` None: only in
    the store.
    """

    bootstrap_servers: str
    topics: tuple[str, ...]
    group: str = "kaskad"
    auto_offset_reset: str = "earliest"
    dead_letters: str | None = "kaskad.dead-letters"
    security: KafkaSecurity = field(default_factory=KafkaSecurity)


@dataclass(frozen=True)
class KafkaStatuses:
    """Status events to Kafka."""

    bootstrap_servers: str
    topic: str = "kaskad.statuses"
    security: KafkaSecurity = field(default_factory=KafkaSecurity)


@dataclass(frozen=True)
class StatusWebhook:
    """Status events to a URL, signed with ``secret`` as Standard Webhooks say."""

    url: str
    secret: SecretStr


@dataclass(frozen=True)
class Cost:
    """What one message, or one part of it, costs."""

    amount: Decimal
    currency: str
    per: Literal["message", "part"] = "message"


@dataclass(frozen=True)
class ProviderSettings:
    """
    One configured account. ``adapter`` is the adapter's name; ``adapter_settings`` are what it
    validated itself.

    ``timeout_ms`` is the hard deadline of one request; ``rate_per_second`` is for the whole
    installation (None: no limit); ``connections`` the slots of one process. ``position`` is where it
    stands in the file.
    """

    provider: str
    channel: str
    adapter: str
    adapter_settings: AdapterSettings = field(repr=False)
    adapter_type: type[Adapter[Any]] = field(repr=False)
    timeout_ms: int = 10 * SECOND_MS
    rate_per_second: float | None = None
    cost: Cost | None = None
    connections: int = 64
    position: Position = field(default=NOWHERE, repr=False, compare=False)

    def build(self) -> Adapter[Any]:
        """A new adapter with these settings."""
        return self.adapter_type(self.adapter_settings, self.provider)


@dataclass(frozen=True)
class Address:
    """A host and port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class HttpSettings:
    """``public_url`` has no trailing slash. ``auth`` is keys or off."""

    listen: Address = Address("127.0.0.1", 8080)
    admin: Address = Address("127.0.0.1", 9464)
    public_url: str = "http://127.0.0.1:8080"
    auth: str = "keys"


@dataclass(frozen=True)
class ReceiptOutage:
    """
    When a channel's receipts have collapsed: fewer than ``ratio`` of their baseline over
    ``min_sends`` sends.
    """

    hold: bool = True
    min_sends: int = 200
    ratio: float = 0.5


@dataclass(frozen=True)
class LimitSettings:
    """
    Velocity limits for one-time codes by SMS: ``(count, window_ms)``, None where there is none.
    """

    sms_per_recipient: tuple[int, int] | None = (5, 60 * MINUTE_MS)
    sms_per_prefix: tuple[int, int] | None = (50, 10 * MINUTE_MS)


@dataclass(frozen=True)
class BreakerSettings:
    """
    When a provider is left alone: ``ratio`` of at least ``min_requests`` failed within
    ``window_ms``.
    """

    ratio: float = 0.5
    min_requests: int = 20
    window_ms: int = 30 * SECOND_MS
    open_for_ms: int = 30 * SECOND_MS


@dataclass(frozen=True)
class Retention:
    """
    How long finished things are kept. ``events`` is how long a repeat of an event is recognised.
    """

    messages_ms: int = 90 * DAY_MS
    events_ms: int = 30 * DAY_MS
    receipts_ms: int = 30 * DAY_MS
    dead_letters_ms: int = 30 * DAY_MS


@dataclass(frozen=True)
class LogSettings:
    """``level`` is debug, info, warning or error; ``format`` json or console."""

    level: str = "info"
    format: str = "json"


@dataclass(frozen=True)
class Settings:
    """
    Everything in ``kaskad.yaml``, defaults filled in.

    ``channels`` has the providers of each channel in the order of preference. ``governance`` is
    None where the file is not named and the default one does not exist. ``http_source``: events are
    taken over HTTP. ``breaker`` None: never opens. ``currency`` is the installation's one currency,
    None where nothing costs anything.
    """

    path: Path
    store: StoreSettings
    channels: Mapping[str, tuple[ProviderSettings, ...]]
    http_source: bool = True
    kafka: KafkaSource | None = None
    status_kafka: KafkaStatuses | None = None
    status_webhooks: tuple[StatusWebhook, ...] = ()
    http: HttpSettings = field(default_factory=HttpSettings)
    egress_allow: tuple[str, ...] = ()
    policies: Path = Path("policies")
    templates: Path = Path("../templates")
    governance: Path | None = None
    receipt_outage: ReceiptOutage = field(default_factory=ReceiptOutage)
    limits: LimitSettings = field(default_factory=LimitSettings)
    breaker: BreakerSettings | None = field(default_factory=BreakerSettings)
    defaults: Defaults = field(default_factory=Defaults)
    migrate: str = "auto"
    retention: Retention = field(default_factory=Retention)
    log: LogSettings = field(default_factory=LogSettings)
    signing_key: SecretStr | None = None
    written: Node | None = field(default=None, repr=False, compare=False)

    @property
    def providers(self) -> dict[str, ProviderSettings]:
        """Every provider by name."""
        return {one.provider: one for providers in self.channels.values() for one in providers}

    @property
    def currency(self) -> str | None:
        """The currency of the first cost; ``check`` sees to it that there is no other."""
        return next((one.cost.currency for one in self.providers.values() if one.cost), None)
