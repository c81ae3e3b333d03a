"""How ``kaskad.yaml`` is read: one function a section, each value checked where it stands."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from orchestrator.configuration.policy_file import Defaults
from orchestrator.configuration.providers_file import read_channels
from orchestrator.configuration.reading import Report, Section, clip
from orchestrator.configuration.references import References, read_secret, refers
from orchestrator.configuration.settings import (
    DEFAULT_STORE,
    Address,
    BreakerSettings,
    HttpSettings,
    LimitSettings,
    LogSettings,
    ReceiptOutage,
    Retention,
    Settings,
    StoreSettings,
)
from orchestrator.configuration.sources_file import read_sources, read_statuses
from orchestrator.configuration.urls import is_loopback, split_url
from orchestrator.configuration.yaml_file import ConfigError, Problem, load
from orchestrator.core.policy import Retry

SIGNING_KEY_CHARS_MIN = 16


DEFAULT_CONFIG = Path("config/kaskad.yaml")


def load_settings(path: Path, env: Mapping[str, str]) -> Settings:
    """The settings of a file. Raises ``ConfigError`` with everything that is wrong in it."""
    report = Report()
    settings = read_settings(path, env, report)
    report.refuse()
    if settings is None:
        raise ConfigError(report.problems)
    return settings


def read_settings(path: Path, env: Mapping[str, str], report: Report) -> Settings | None:
    """See ``settings.read``."""
    try:
        written = load(path)
    except ConfigError as error:
        report.problems.extend(error.problems)
        return None
    if written.kind != "map":
        what = (
            "the configuration is empty"
            if written.kind == "null"
            else f"the configuration is {written.kind_name}"
        )
        report.error(written.position, what, "write at least `channels:` with one provider")
        return None
    base = path.parent
    section = Section(References(env, base, report).resolve(written), report, "the configuration")
    http_source, kafka = read_sources(section, base)
    status_kafka, status_webhooks = read_statuses(section, kafka, base)
    settings = Settings(
        path=path,
        written=written,
        store=read_store(section, base),
        channels=read_channels(section),
        http_source=http_source,
        kafka=kafka,
        status_kafka=status_kafka,
        status_webhooks=status_webhooks,
        http=read_http(section),
        egress_allow=read_egress(section),
        policies=tidy(base / section.text("policies", "policies")),
        templates=tidy(base / section.text("templates", "../templates")),
        governance=read_governance_path(section, base),
        receipt_outage=read_receipt_outage(section),
        limits=read_limits(section),
        breaker=read_breaker(section),
        defaults=read_defaults(section),
        migrate=section.word("migrate", ("auto", "manual"), "auto"),
        retention=read_retention(section),
        log=read_log(section),
        signing_key=read_signing_key(section),
    )
    section.done()
    return settings


def tidy(path: Path) -> Path:
    """
    The path without its detours, where that is the same place (a link on the way may lead
    elsewhere).
    """
    short = Path(os.path.normpath(path))
    try:
        return short if short.samefile(path) else path
    except OSError:
        return path


def read_store(section: Section, base: Path) -> StoreSettings:
    """``sqlite:///relative/to/this/file.db`` (four slashes: absolute) or ``postgresql://…``."""
    url = section.text("store", DEFAULT_STORE)
    node = section.get("store")
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        name = rest[1:]
        return StoreSettings("sqlite", SecretStr(url), None if name == ":memory:" else base / name)
    if scheme in ("postgresql", "postgres") and rest:
        if node is not None and not refers(node.text) and urllib.parse.urlsplit(url).password:
            fix = "write postgresql://user:${env:DB_PASSWORD}@host/name"
            section.report.warn(node.position, "the password of `store` is written in clear", fix)
        return StoreSettings("postgresql", SecretStr(url))
    fix = f"write {DEFAULT_STORE} or postgresql://user@host/name"
    section.report.error(section.at("store"), "`store` is not a database that is known", fix)
    return StoreSettings(
        "sqlite", SecretStr(DEFAULT_STORE), base / DEFAULT_STORE.removeprefix("sqlite:///")
    )


def read_http(section: Section) -> HttpSettings:
    """The listeners, the public address, and whether keys are asked for."""
    http = section.section("http")
    default = HttpSettings()
    listen, admin = (
        read_address(http, "listen", default.listen),
        read_address(http, "admin", default.admin),
    )
    if listen == admin and listen.port != 0:
        http.report.error(
            http.at("admin"),
            "`listen` and `admin` are the same address",
            "give them different ports",
        )
    local = is_loopback(listen.host) and is_loopback(admin.host)
    auth = http.word("auth", ("keys", "off"), "keys")
    if auth == "off" and not local:
        fix = "write auth: keys, or listen on 127.0.0.1"
        http.report.error(
            http.at("auth"), "`auth: off` is for loopback only, and a listener is not on it", fix
        )
    public_url = read_public_url(http, listen, local)
    http.done()
    return HttpSettings(listen, admin, public_url, auth)


def read_address(section: Section, key: str, default: Address) -> Address:
    """``host:port``; an IPv6 host stands in brackets."""
    text = section.text(key)
    if text is None:
        return default
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        section.report.error(
            section.at(key),
            f"`{key}` {section.shown(key)!r} is not host:port",
            f'write "{default}"',
        )
        return default
    return Address(host, int(port))


def read_public_url(http: Section, listen: Address, local: bool) -> str:
    """
    Where providers and people reach this installation; https unless everything is on loopback.
    """
    own = f"http://{listen}"
    if http.get("public_url") is None:
        if not is_loopback(listen.host):
            what = "`public_url` is missing, and `listen` is not on loopback"
            http.report.error(http.position, what, 'write public_url: "https://kaskad.example.com"')
        return own
    url = http.text("public_url")
    if url is None:
        return own
    parts = split_url(url)
    if parts is None or parts.query or parts.fragment or parts.username:
        fix = "write https://host, with a path at most"
        http.report.error(
            http.at("public_url"),
            f"`public_url` {http.shown('public_url')!r} is not a public address",
            fix,
        )
        return own
    if parts.scheme != "https" and not local and not is_loopback(parts.hostname or ""):
        fix = "write https://…, or listen on 127.0.0.1"
        http.report.error(http.at("public_url"), "`public_url` is plain http", fix)
    return url.rstrip("/")


def read_egress(section: Section) -> tuple[str, ...]:
    """Origins past every guard on user-supplied URLs."""
    egress = section.section("egress")
    found = egress.words("allow", "origins")
    for node in egress.items("allow", "origins") if found else ():
        parts = split_url(node.word) if node.kind == "str" else None
        if parts is None or parts.path or parts.query or parts.fragment or parts.username:
            egress.report.error(
                node.position,
                f"{clip(node.text)!r} is not an origin",
                "write https://host:port without a path",
            )
    egress.done()
    return found


def read_governance_path(section: Section, base: Path) -> Path | None:
    """The governance file; the default one may be missing, one that is named may not."""
    named = section.text("governance")
    if named is not None:
        return tidy(base / named)
    default = base / "governance.yaml"
    return default if default.exists() else None


def read_receipt_outage(section: Section) -> ReceiptOutage:
    """When a receipt outage holds paid channels back."""
    inner = section.section("receipt_outage")
    made = ReceiptOutage(
        inner.boolean("hold", True),
        inner.integer("min_sends", 200, 1, 10**9),
        inner.ratio("ratio", 0.5),
    )
    inner.done()
    return made


def read_limits(section: Section) -> LimitSettings:
    """Velocity limits; ``limits: {}`` is none, and so is a limit that is not in it."""
    if not section.has("limits") or section.get("limits") is None:
        return LimitSettings()
    inner = section.section("limits")
    made = LimitSettings(inner.rate("sms_per_recipient"), inner.rate("sms_per_prefix"))
    inner.done()
    return made


def read_breaker(section: Section) -> BreakerSettings | None:
    """When a provider is left alone; ``breaker: off`` is never."""
    node = section.get("breaker")
    if node is not None and node.text == "off":
        return None
    inner, default = section.section("breaker"), BreakerSettings()
    made = BreakerSettings(
        ratio=inner.ratio("ratio", default.ratio),
        min_requests=inner.integer("min_requests", default.min_requests),
        window_ms=inner.duration("window", default.window_ms),
        open_for_ms=inner.duration("open_for", default.open_for_ms),
    )
    inner.done()
    return made


def read_defaults(section: Section) -> Defaults:
    """What a step gets that says nothing."""
    inner, default = section.section("defaults"), Defaults()
    retry = inner.section("retry")
    wait_ms = inner.duration("wait", default.wait_ms)
    made = Retry(
        retry.integer("max", default.retry.max, 0, 100),
        retry.duration("within", default.retry.within_ms),
    )
    retry.done()
    inner.done()
    return Defaults(wait_ms, made)


def read_retention(section: Section) -> Retention:
    """How long finished things are kept."""
    inner, default = section.section("retention"), Retention()
    made = Retention(
        messages_ms=inner.duration("messages", default.messages_ms),
        events_ms=inner.duration("events", default.events_ms),
        receipts_ms=inner.duration("receipts", default.receipts_ms),
        dead_letters_ms=inner.duration("dead_letters", default.dead_letters_ms),
    )
    inner.done()
    return made


def read_log(section: Section) -> LogSettings:
    """How much is logged, and how it looks."""
    inner = section.section("log")
    made = LogSettings(
        inner.word("level", ("debug", "info", "warning", "error"), "info"),
        inner.word("format", ("json", "console"), "json"),
    )
    inner.done()
    return made


def read_signing_key(section: Section) -> SecretStr | None:
    """The key that overrides the store's own."""
    key = read_secret(section, "signing_key")
    if key is not None and len(key.get_secret_value()) < SIGNING_KEY_CHARS_MIN:
        fix = f"use at least {SIGNING_KEY_CHARS_MIN} random characters"
        section.report.error(
            section.at("signing_key"), "`signing_key` is too short to be safe", fix
        )
        return None
    return key


def find_config(arg: str | Path | None, env: Mapping[str, str], cwd: Path) -> Path:
    """
    Which file is read: ``--config``, else ``KASKAD_CONFIG``, else ``./config/kaskad.yaml``.

    Raises ``ConfigError`` where there is no such file, naming where it was looked for.
    """
    named = str(arg) if arg else env.get("KASKAD_CONFIG", "")
    path = cwd / (named or DEFAULT_CONFIG)
    if path.is_file():
        return path
    if named:
        source = "--config" if arg else "KASKAD_CONFIG"
        fix = f"check the path in {source}"
    else:
        fix = "name the file with --config or KASKAD_CONFIG"
    raise ConfigError([Problem(str(path), 1, 1, "there is no such configuration file", fix)])
