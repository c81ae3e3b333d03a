"""
How ``channels`` of ``kaskad.yaml`` is read: which accounts serve which channel, in the order of
preference.

An adapter's own settings are validated by the adapter's ``settings_type``; what pydantic finds is
told in our words, at the place of the key. A value that came from a secret is never shown, and
neither is one that may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast, get_args

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.channels import Adapter
from orchestrator.channels import Settings as AdapterSettings
from orchestrator.channels.registry import BrokenAdapter, adapter_points, load_adapter
from orchestrator.configuration.governance_file import read_currency
from orchestrator.configuration.policy_file import RESERVED_CHANNELS
from orchestrator.configuration.reading import NAME, Report, Section, clip, listed, suggestion
from orchestrator.configuration.references import refers, unresolved, warn_of_clear_text
from orchestrator.configuration.settings import Cost, ProviderSettings
from orchestrator.configuration.urls import warn_of_plain_http
from orchestrator.configuration.yaml_file import Node, Position
from orchestrator.core.policy import SECOND_MS

OWN_KEYS = ("provider", "adapter", "timeout", "rate", "cost", "connections")
ANY_CHANNEL = "*"


def read_channels(section: Section) -> Mapping[str, tuple[ProviderSettings, ...]]:
    """
    The providers of each channel; a provider whose settings are wrong is reported and left out.
    """
    if (
        section.need("channels", "name a provider: channels: {sms: [{provider: …, adapter: …}]}")
        is None
    ):
        return {}
    channels = section.section("channels")
    if not channels.nodes and section.nodes["channels"].kind == "map":
        section.report.error(
            section.at("channels"),
            "`channels` names no channel",
            "configure one: sms: [{provider: …}]",
        )
    seen: dict[str, Position] = {}
    found: dict[str, tuple[ProviderSettings, ...]] = {}
    for channel, position in channels.keys.items():
        if channel in RESERVED_CHANNELS:
            section.report.error(
                position, f"the channel {channel!r} is reserved, not available yet", "remove it"
            )
            continue
        if not NAME.fullmatch(channel):
            section.report.error(
                position,
                f"the channel {clip(channel)!r} is not a name",
                "use lower-case letters and _",
            )
            continue
        nodes = channels.items(channel, "providers")
        if not nodes and channels.nodes[channel].kind in ("list", "null"):
            section.report.error(
                position,
                f"the channel {channel!r} has no provider",
                "add one, or remove the channel",
            )
        made = [
            read_provider(Section(node, section.report, "the provider"), channel, seen)
            for node in nodes
        ]
        found[channel] = tuple(one for one in made if one is not None)
    return found


def read_provider(
    section: Section, channel: str, seen: dict[str, Position]
) -> ProviderSettings | None:
    """
    One provider; its name is unique in the whole configuration, because receipts come to it by
    name.
    """
    section.need("provider", "name it: provider: twilio")
    name = section.identifier("provider")
    if name is not None and name in seen:
        what = f"the provider {section.shown('provider')!r} is already on line {seen[name].line}"
        section.report.error(section.at("provider"), what, "give each provider a name of its own")
        name = None
    elif name is not None:
        seen[name] = section.at("provider")
    timeout_ms = section.duration("timeout", 10 * SECOND_MS)
    rate = section.rate("rate")
    cost = read_cost(section)
    connections = section.integer("connections", 64, 1, 10_000)
    adapter_type = read_adapter(section, channel)
    if adapter_type is None:
        return None
    adapter_settings = read_adapter_settings(section, adapter_type)
    if adapter_settings is None or name is None:
        return None
    return ProviderSettings(
        provider=name,
        channel=channel,
        adapter=adapter_type.name,
        adapter_settings=adapter_settings,
        adapter_type=adapter_type,
        timeout_ms=timeout_ms,
        rate_per_second=rate[0] * SECOND_MS / rate[1] if rate else None,
        cost=cost,
        connections=connections,
        position=section.position,
    )


def read_cost(section: Section) -> Cost | None:
    """What a message or a part costs."""
    if section.get("cost") is None:
        return None
    inner = section.section("cost")
    inner.need("amount", 'write amount: "1.20"')
    inner.need("currency", "write currency: UAH")
    amount, currency = inner.amount("amount"), read_currency(inner)
    per = inner.word("per", ("message", "part"), "message")
    inner.done()
    if amount is None or currency is None:
        return None
    return Cost(amount, currency, cast(Literal["message", "part"], per))


def read_adapter(section: Section, channel: str) -> type[Adapter[Any]] | None:
    """The adapter that a provider names, where it can be loaded and serves the channel."""
    if section.need("adapter", "name its adapter: adapter: twilio_sms") is None:
        return None
    name = section.text("adapter")
    if name is None:
        return None
    position, shown = section.at("adapter"), section.shown("adapter")
    try:
        found = load_adapter(name)
    except KeyError:
        names = sorted(adapter_points())
        otherwise = (
            f"known are: {', '.join(names)}"
            if names
            else "install Kaskad, so that its adapters are registered"
        )
        section.report.error(
            position, f"there is no adapter {shown!r}", suggestion(name, names, otherwise)
        )
        return None
    except BrokenAdapter as error:
        section.report.error(
            position,
            f"the adapter {shown!r} is broken: {error}",
            "fix or reinstall the package it is in",
        )
        return None
    serves = found.supports.channel
    if serves not in (channel, ANY_CHANNEL):
        section.report.error(
            position,
            f"the adapter {shown!r} serves {serves}, not {channel}",
            f"put it under {serves}",
        )
        return None
    return found


def read_adapter_settings(section: Section, adapter: type[Adapter[Any]]) -> AdapterSettings | None:
    """The adapter's own settings, validated by the adapter; None where they are wrong."""
    own = {key: node for key, node in section.nodes.items() if key not in OWN_KEYS}
    look_for_warnings(section.report, own, adapter.settings_type)
    known = sorted({*keys_of(adapter.settings_type), *OWN_KEYS})
    strangers = [key for key in own if key not in known]
    for key in strangers:
        fix = suggestion(key, known, f"known are: {', '.join(known)}")
        section.report.error(
            section.keys[key], f"the adapter {adapter.name} has no setting {clip(key)!r}", fix
        )
        del own[key]
    if any(unresolved(node) for node in own.values()):
        return None
    try:
        made = adapter.settings_type.model_validate(
            {key: node.plain() for key, node in own.items()}
        )
    except ValidationError as error:
        told: set[tuple[Position, str]] = set()
        for detail in error.errors(include_url=False):
            tell(section, adapter, own, detail, told)
        return None
    return None if strangers else made


def keys_of(settings_type: type[AdapterSettings]) -> dict[str, Any]:
    """The annotations of an adapter's settings, by the key that stands in YAML."""
    fields = settings_type.model_fields.items()
    return {field.alias or name: field.annotation for name, field in fields}


def holds_secret(annotation: Any) -> bool:
    """Whether a type is, or may hold, a secret."""
    return annotation is SecretStr or any(holds_secret(inner) for inner in get_args(annotation))


def look_for_warnings(
    report: Report, own: Mapping[str, Node], settings_type: type[AdapterSettings]
) -> None:
    """Secrets in clear, and plain http."""
    annotations = keys_of(settings_type)
    for key, node in own.items():
        nodes = node.value if node.kind == "list" else (node,)
        if holds_secret(annotations.get(key)):
            for one in nodes:
                if one.kind == "str" and one.value and not refers(one.text):
                    warn_of_clear_text(report, one, key)
        elif node.kind == "str" and node.value.startswith("http://"):
            warn_of_plain_http(report, node, key, node.value)


def tell(
    section: Section,
    adapter: type[Adapter[Any]],
    own: Mapping[str, Node],
    detail: ErrorDetails,
    told: set[tuple[Position, str]],
) -> None:
    """
    One of pydantic's errors in our words, at the key it is about; several about one key are told
    once.
    """
    path = [str(part) for part in detail["loc"]]
    key = path[0] if path else ""
    if detail["type"] == "missing":
        what = f"the provider has no `{key}`, which {adapter.name} needs"
        section.report.error(section.position, what, f"write {key}: …")
        return
    position, name = place_of(own, path, section.position)
    if (position, name) in told:
        return
    told.add((position, name))
    called = f"`{name}`" if name else "the provider"
    expected = expectation(detail)
    if expected is None:
        section.report.error(
            position,
            f"{called} is not well: {own_words(detail)}",
            "see the settings of " + adapter.name,
        )
    else:
        section.report.error(position, f"{called} is not {expected}", f"write {expected}")


def place_of(own: Mapping[str, Node], path: list[str], otherwise: Position) -> tuple[Position, str]:
    """
    The deepest node on an error's path, and the name of it; steps of pydantic's own (union members)
    are passed over.
    """
    node = own.get(path[0]) if path else None
    if node is None:
        return otherwise, ""
    name = path[0]
    for part in path[1:]:
        if node.kind == "map" and part in node.value:
            node, name = node.value[part], f"{name}.{part}"
        elif node.kind == "list" and part.isdecimal() and int(part) < len(node.value):
            node = node.value[int(part)]
    return node.position, name


def _limit(words: str, key: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda context: words.format(context.get(key, ""))


def _choices(context: Mapping[str, Any]) -> str:
    return listed(
        [
            word.strip().strip("'")
            for word in str(context.get("expected", "")).replace(" or ", ",").split(",")
        ]
    )


EXPECTATIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "literal_error": _choices,
    "enum": _choices,
    "greater_than": _limit("a number above {}", "gt"),
    "greater_than_equal": _limit("a number of at least {}", "ge"),
    "less_than": _limit("a number below {}", "lt"),
    "less_than_equal": _limit("a number of at most {}", "le"),
    "string_too_short": _limit("a text of at least {} characters", "min_length"),
    "string_too_long": _limit("a text of at most {} characters", "max_length"),
    "string_pattern_mismatch": _limit("a text of the form {}", "pattern"),
    "too_short": _limit("a list of at least {} entries", "min_length"),
    "too_long": _limit("a list of at most {} entries", "max_length"),
}

KINDS = (
    ("string", "a text in quotes"),
    ("int", "a whole number"),
    ("float", "a number"),
    ("decimal", "a number"),
    ("bool", "true or false"),
    ("url", "a URL such as https://host/path"),
    ("list", "a list"),
    ("tuple", "a list"),
    ("dict", "a mapping"),
    ("model", "a mapping"),
)


def expectation(detail: ErrorDetails) -> str | None:
    """What a setting should have been, in words; None where only the adapter can say."""
    kind = detail["type"]
    if kind in EXPECTATIONS:
        return EXPECTATIONS[kind](detail.get("ctx", {}))
    return next((words for prefix, words in KINDS if kind.startswith(prefix)), None)


def own_words(detail: ErrorDetails) -> str:
    """What the adapter itself raised; never pydantic's text, which may show the value."""
    raised = detail.get("ctx", {}).get("error")
    return str(raised) if raised is not None and str(raised) else "it does not fit"
