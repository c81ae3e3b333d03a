"""
The keys of ``kaskad.yaml``, each declared once, and the values they are read into.

    config/kaskad.yaml ──► settings_file.load_settings(path, env) ──► Settings

The declarations make the reader, the defaults, ``kaskad config show``, the JSON Schema and
docs/configuration.md. Paths are relative to the file. Secrets are ``SecretStr`` or stand inside an
adapter's own settings; neither they nor anything that came from ``${env:…}`` or ``${file:…}`` shows
in a ``repr``, an error, or ``config show``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import SecretStr

from orchestrator.channels.webhook_signing import webhook_key
from orchestrator.configuration.kafka_settings import KafkaSecurity, KafkaSource, KafkaStatuses
from orchestrator.configuration.keys import Key, Kind, listing, nested, or_off, setting, table
from orchestrator.configuration.kinds import (
    ADDRESS,
    BOOLEAN,
    BROWSER_ORIGINS,
    DURATION,
    LOCALE,
    ORIGINS,
    PATH,
    RATE,
    RATIO,
    SECRET,
    TEXT_SCHEMA,
    URL,
    ListenAddress,
    whole,
    word,
)
from orchestrator.configuration.provider_settings import CHANNELS, CostSettings, ProviderSettings
from orchestrator.configuration.reading import Section, clip
from orchestrator.configuration.store_settings import DEFAULT_STORE, STORE, StoreSettings
from orchestrator.configuration.trace_settings import Telemetry, TraceSettings
from orchestrator.configuration.urls import is_loopback, split_url
from orchestrator.configuration.yaml_file import Node
from orchestrator.core.inputs import OPEN_FOR_MS
from orchestrator.core.policy import DAY_MS, MINUTE_MS, SECOND_MS, Retry
from orchestrator.render.templates import DEFAULT_LOCALE

__all__ = [
    "BreakerSettings",
    "CostSettings",
    "Defaults",
    "Egress",
    "HttpSettings",
    "KafkaSecurity",
    "KafkaSource",
    "KafkaStatuses",
    "LimitSettings",
    "ListenAddress",
    "LogSettings",
    "ProviderSettings",
    "ReceiptOutage",
    "Retention",
    "Settings",
    "Sources",
    "StatusWebhook",
    "Statuses",
    "StoreSettings",
    "Telemetry",
    "TraceSettings",
]

SIGNING_KEY_CHARS_MIN = 16


def read_presence(section: Section, key: str, default: bool) -> bool:
    """Whether an empty mapping stands there."""
    section.section(key).done()
    return section.has(key) or default


PRESENCE: Kind[bool] = Kind(
    "empty mapping",
    read_presence,
    {"type": "object", "properties": {}, "additionalProperties": False},
    lambda there: {} if there else None,
)


@dataclass(frozen=True)
class Sources:
    """Where events come from."""

    http: bool = setting(PRESENCE, "Take events over HTTP.", True, otherwise="on without `sources`")
    kafka: KafkaSource | None = setting(nested(KafkaSource), "Take events from Kafka.")


@dataclass(frozen=True)
class StatusWebhook:
    """Status events to a URL, signed as Standard Webhooks say."""

    url: str = setting(URL, "Where status events are posted.", need="write url: https://…")
    secret: SecretStr = setting(
        SECRET, "The secret they are signed with.", need="write secret: ${env:HOOK_SECRET}"
    )

    def checked(self, section: Section) -> StatusWebhook:
        """The same; the secret is one that every library of Standard Webhooks reads."""
        try:
            webhook_key(self.secret.get_secret_value())
        except ValueError as error:
            what, _, fix = str(error).partition("; ")
            section.error("secret", f"`secret` {what}", fix)
        return self


@dataclass(frozen=True)
class Statuses:
    """Where status events go."""

    kafka: KafkaStatuses | None = setting(
        nested(KafkaStatuses, given=KafkaStatuses(), bare=True), "Status events to Kafka."
    )
    webhooks: tuple[StatusWebhook, ...] = setting(
        listing(StatusWebhook, "webhooks", "the webhook"), "Status events to URLs.", ()
    )


@dataclass(frozen=True)
class HttpSettings:
    """The listeners, and the public address (without a trailing slash)."""

    listen: ListenAddress = setting(
        ADDRESS, "Where the public API listens.", ListenAddress("127.0.0.1", 8080)
    )
    admin: ListenAddress = setting(
        ADDRESS, "Where metrics and health are served.", ListenAddress("127.0.0.1", 9464)
    )
    public_url: str = setting(
        Kind("URL", lambda section, key, default: section.text(key, default), TEXT_SCHEMA),
        "Where providers and people reach this installation.",
        "",
        otherwise="`http://` and `listen`",
    )
    auth: str = setting(word("keys", "off"), "Whether callers need an API key.", "keys")
    browser_origins: tuple[str, ...] = setting(
        BROWSER_ORIGINS, "Web pages that may show inboxes (CORS); `*` is any.", ()
    )
    key_rate: tuple[int, int] = setting(RATE, "Requests of one API key.", (500, SECOND_MS))

    def checked(self, section: Section) -> HttpSettings:
        """The same with the public address filled in; contradictions are reported."""
        if self.listen == self.admin and self.listen.port != 0:
            fix = "give them different ports"
            section.error("admin", "`listen` and `admin` are the same address", fix)
        local = is_loopback(self.listen.host) and is_loopback(self.admin.host)
        if self.auth == "off" and not local:
            what = "`auth: off` is for loopback only, and a listener is not on it"
            section.error("auth", what, "write auth: keys, or listen on 127.0.0.1")
        own = f"http://{self.listen}"
        if self.public_url:
            return replace(self, public_url=self.checked_url(section, local) or own)
        if not is_loopback(self.listen.host) and section.get("public_url") is None:
            what = "`public_url` is missing, and `listen` is not on loopback"
            fix = 'write public_url: "https://kaskad.example.com"'
            section.report.error(section.position, what, fix)
        return replace(self, public_url=own)

    def checked_url(self, section: Section, local: bool) -> str | None:
        """The public address; https unless everything is on loopback. None if it is no address."""
        parts = split_url(self.public_url)
        if parts is None or parts.query or parts.fragment or parts.username:
            what = f"`public_url` {section.shown('public_url')!r} is not a public address"
            section.error("public_url", what, "write https://host, with a path at most")
            return None
        if parts.scheme != "https" and not local and not is_loopback(parts.hostname or ""):
            fix = "write https://…, or listen on 127.0.0.1"
            section.error("public_url", "`public_url` is plain http", fix)
        return self.public_url.rstrip("/")


@dataclass(frozen=True)
class Egress:
    """What requests to addresses that users supply may reach."""

    allow: tuple[str, ...] = setting(
        ORIGINS, "Origins that pass every guard on user-supplied URLs.", ()
    )


@dataclass(frozen=True)
class ReceiptOutage:
    """When a channel's receipts have collapsed."""

    hold: bool = setting(BOOLEAN, "Hold paid steps during an outage.", True)
    min_sends: int = setting(whole(), "The sends that a verdict needs.", 200)
    ratio: float = setting(RATIO, "The share of the usual receipts below which it is one.", 0.5)


@dataclass(frozen=True)
class LimitSettings:
    """Velocity limits for OTP by SMS: ``(count, window_ms)``, None if there is none."""

    sms_per_recipient: tuple[int, int] | None = setting(
        RATE, "OTP by SMS to one recipient.", (5, 60 * MINUTE_MS)
    )
    sms_per_prefix: tuple[int, int] | None = setting(
        RATE, "OTP by SMS to one number range.", (50, 10 * MINUTE_MS)
    )


@dataclass(frozen=True)
class BreakerSettings:
    """When a provider is left alone for a while."""

    ratio: float = setting(RATIO, "The share of failed requests that opens the breaker.", 0.5)
    min_requests: int = setting(whole(), "The requests that a verdict needs.", 20)
    window_ms: int = setting(DURATION, "The time that requests are counted in.", 30 * SECOND_MS)
    open_for_ms: int = setting(DURATION, "How long an open breaker waits.", OPEN_FOR_MS)


@dataclass(frozen=True)
class Retention:
    """How long finished things are kept."""

    messages_ms: int = setting(DURATION, "Finished messages.", 90 * DAY_MS)
    events_ms: int = setting(
        DURATION, "Event ids, by which a repeated event is recognised.", 30 * DAY_MS
    )
    receipts_ms: int = setting(DURATION, "Raw webhooks of providers.", 30 * DAY_MS)
    dead_letters_ms: int = setting(DURATION, "Dead letters.", 30 * DAY_MS)
    profiles_ms: int | None = setting(
        DURATION,
        "Recipients without a message or a change; consents stay, and so do opt-outs.",
        otherwise="for ever; never shorter than `messages`",
    )
    audit_ms: int = setting(DURATION, "Entries of the audit log.", 730 * DAY_MS)
    counts_ms: int = setting(DURATION, "The counts of reports.", 1_095 * DAY_MS)


@dataclass(frozen=True)
class LogSettings:
    """How much is logged, and how it looks."""

    level: str = setting(
        word("debug", "info", "warning", "error"), "The least that is logged.", "info"
    )
    format: str = setting(word("json", "console"), "How a line looks.", "json")


RETRY = table(
    Retry,
    Key("max", whole(0, 100), "How often a step is tried again after it provably did not leave."),
    Key("within", DURATION, "How long after the first try."),
)


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values for steps that do not give their own."""

    wait_ms: int = setting(DURATION, "The wait for outcomes nobody confirms.", 10 * MINUTE_MS)
    retry: Retry = setting(nested(RETRY), "Further tries on one provider.", Retry())


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    Everything in ``kaskad.yaml``, defaults filled in.

    ``channels`` has the providers of each channel in the order of preference. ``governance`` is
    None if the file is not named and the default one does not exist. ``breaker`` None: it never
    opens. ``written`` is the file as it stands.
    """

    path: Path
    store: StoreSettings = setting(
        STORE, "The database.", StoreSettings("sqlite", SecretStr(DEFAULT_STORE))
    )
    channels: Mapping[str, tuple[ProviderSettings, ...]] = setting(
        CHANNELS,
        "The providers of each channel, in the order of preference.",
        need="name a provider: channels: {sms: [{provider: …, adapter: …}]}",
    )
    sources: Sources = setting(
        nested(Sources, given=Sources(http=False)), "Where events come from.", Sources()
    )
    statuses: Statuses = setting(nested(Statuses), "Where status events go.", Statuses())
    http: HttpSettings = setting(nested(HttpSettings), "Listeners and addresses.", HttpSettings())
    egress: Egress = setting(nested(Egress), "Requests to user-supplied addresses.", Egress())
    policies: Path = setting(PATH, "The directory of policies.", Path("policies"))
    journeys: Path = setting(PATH, "The directory of journeys, if there is one.", Path("journeys"))
    templates: Path = setting(PATH, "The directory of templates.", Path("../templates"))
    default_locale: str = setting(
        LOCALE, "The locale of templates whose file names have none.", DEFAULT_LOCALE
    )
    governance: Path | None = setting(
        PATH, "The governance file.", otherwise="`governance.yaml`, if it exists"
    )
    receipt_outage: ReceiptOutage = setting(
        nested(ReceiptOutage), "When receipts of a channel have collapsed.", ReceiptOutage()
    )
    limits: LimitSettings = setting(
        nested(LimitSettings, given=LimitSettings(None, None)),
        "Velocity limits; with the key written, only the limits in it.",
        LimitSettings(),
    )
    breaker: BreakerSettings | None = setting(
        or_off(nested(BreakerSettings)), "When a provider is left alone.", BreakerSettings()
    )
    defaults: Defaults = setting(nested(Defaults), "For steps without their own.", Defaults())
    migrate: str = setting(
        word("auto", "manual"), "Whether the start brings the schema up to date.", "auto"
    )
    retention: Retention = setting(
        nested(Retention), "How long finished things are kept.", Retention()
    )
    log: LogSettings = setting(nested(LogSettings), "Logging.", LogSettings())
    telemetry: Telemetry = setting(nested(Telemetry), "Traces.", Telemetry())
    signing_key: SecretStr | None = setting(
        SECRET, "Signs links and tokens.", otherwise="a key that the store keeps"
    )
    written: Node | None = field(default=None, repr=False, compare=False)

    def checked(self, section: Section) -> Settings:
        """The same with defaults that depend on other keys; contradictions are reported."""
        governance = self.governance
        if governance is None and (section.base / "governance.yaml").exists():
            governance = section.base / "governance.yaml"
        key = self.signing_key
        if key is not None and len(key.get_secret_value()) < SIGNING_KEY_CHARS_MIN:
            fix = f"use at least {SIGNING_KEY_CHARS_MIN} random characters"
            section.error("signing_key", "`signing_key` is too short to be safe", fix)
        statuses = replace(self.statuses, kafka=self.checked_statuses(section))
        return replace(self, governance=governance, statuses=statuses)

    def checked_statuses(self, section: Section) -> KafkaStatuses | None:
        """Status events to Kafka; what is not given is as in ``sources.kafka``."""
        kafka, source = self.statuses.kafka, self.sources.kafka
        if kafka is None:
            return None
        written = section.inside("statuses", "kafka")
        if source is not None and not kafka.bootstrap_servers:
            security = kafka.security if written.has("security") else source.security
            kafka = replace(kafka, bootstrap_servers=source.bootstrap_servers, security=security)
            if kafka.topic in (*source.topics, source.dead_letters):
                what = f"{clip(kafka.topic)!r} is a topic of `sources.kafka` already"
                written.error("topic", what, "name a topic of its own: topic: kaskad.statuses")
        elif not written.has("bootstrap_servers") and not section.inside("sources").has("kafka"):
            what = "`statuses.kafka` does not know where Kafka is"
            fix = 'write bootstrap_servers: "localhost:9092"'
            section.report.error(written.position, what, fix)
        position = written.place("security", "protocol")
        kafka.security.warn_of_clear_password(kafka.bootstrap_servers, section.report, position)
        return kafka

    @property
    def providers(self) -> dict[str, ProviderSettings]:
        """Every provider by name."""
        return {one.provider: one for providers in self.channels.values() for one in providers}

    @property
    def currency(self) -> str | None:
        """The currency of the first cost; ``judge`` sees to it that there is no other."""
        return next((one.cost.currency for one in self.providers.values() if one.cost), None)
