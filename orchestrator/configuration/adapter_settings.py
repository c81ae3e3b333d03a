"""
An adapter's own settings, validated by the adapter's ``settings_type``.

What pydantic finds is translated into our words, at the position of the key. A value that came
from a secret is never shown, and neither is one that may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.channels import Adapter, AdapterSettings
from orchestrator.channels.filled import Filled
from orchestrator.configuration.reading import Report, Section, clip, listed
from orchestrator.configuration.references import REFERENCE, refers, warn_of_clear_text
from orchestrator.configuration.urls import warn_of_plain_http
from orchestrator.configuration.yaml_file import Node, Position

PLACEHOLDERS = ("placeholder", "https://placeholder.example", "1", "a@example.com")


def read_adapter_settings(section: Section, adapter: type[Adapter[Any]]) -> AdapterSettings | None:
    """The adapter's own settings, None if they are wrong."""
    known = keys_of(adapter.settings_type)
    own = {key: node for key, node in section.nodes.items() if key in known}
    look_for_warnings(section.report, own, adapter.settings_type)
    made, wrong = validated(adapter.settings_type, own)
    said: set[tuple[Position, str]] = set()
    for detail in wrong:
        translate(section, adapter, own, detail, said)
    return None if wrong else made


def needs_of(settings_type: type[AdapterSettings]) -> list[str]:
    """The keys that an adapter cannot do without."""
    fields = settings_type.model_fields.items()
    return [field.alias or name for name, field in fields if field.is_required()]


def validated(
    settings_type: type[AdapterSettings], own: Mapping[str, Node]
) -> tuple[AdapterSettings | None, list[ErrorDetails]]:
    """
    The settings, and what is wrong with them.

    A reference that could not be looked up (which has been reported, or does not matter) stands for
    the first placeholder that fits. If none does, the errors of a single value don't count;
    those of a mapping or list do, with the placeholder that suits it best.
    """
    plain = {key: filled(node, PLACEHOLDERS[0]) for key, node in own.items()}
    fill = {key: iter(PLACEHOLDERS[1:]) for key, node in own.items() if node.unresolved}
    fewest: list[ErrorDetails] | None = None
    while True:
        try:
            return settings_type.model_validate(plain), []
        except ValidationError as error:
            details = error.errors(include_url=False)
        misfits = {str(part) for one in details for part in one["loc"][:1] if part in fill}
        fewest = details if fewest is None or len(details) < len(fewest) else fewest
        better = {key: value for key in misfits if (value := next(fill[key], None)) is not None}
        if not better:
            single = {key for key in fill if own[key].kind == "str"}
            wrong = [one for one in fewest if not single.intersection(one["loc"][:1])]
            return (None if wrong else settings_type.model_construct(**plain)), wrong
        plain |= {key: filled(own[key], value) for key, value in better.items()}


def filled(node: Node, placeholder: str) -> Any:
    """
    A node as plain values. A text with references knows where they are (``Filled``); those that
    could not be looked up stand for the placeholder.
    """
    if node.kind == "map":
        return {key: filled(child, placeholder) for key, child in node.value.items()}
    if node.kind == "list":
        return [filled(child, placeholder) for child in node.value]
    if node.unresolved:
        parts = REFERENCE.split(node.text)
        pieces = (placeholder if at % 2 else part for at, part in enumerate(parts))
        return Filled(node.text, tuple(pieces))
    return Filled(node.text, node.pieces) if node.pieces else node.value


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


def translate(
    section: Section,
    adapter: type[Adapter[Any]],
    own: Mapping[str, Node],
    detail: ErrorDetails,
    said: set[tuple[Position, str]],
) -> None:
    """Report one of pydantic's errors in our words; a key is reported once."""
    path = [str(part) for part in detail["loc"]]
    if detail["type"] in ("missing", "extra_forbidden") and len(path) > 1:
        report_key(section, adapter, own, detail)
        return
    if detail["type"] == "missing":
        key = path[0] if path else ""
        what = f"the provider has no `{key}`, which {adapter.name} needs"
        section.report.error(section.position, what, f"write {key}: …")
        return
    position, name = place_of(own, path, section.position)
    if (position, name) in said:
        return
    said.add((position, name))
    called = f"`{name}`" if name else "the provider"
    expected = expectation(detail)
    if expected is not None:
        section.report.error(position, f"{called} is not {expected}", f"write {expected}")
        return
    wanted = own_words(detail)
    context = detail.get("ctx", {})
    if "fix" in context:
        section.report.error(position, f"{called}: {wanted}", str(context["fix"]))
        return
    fix = f"see the settings of {adapter.name}"
    if wanted.startswith("must be "):
        fix = f"write {wanted.removeprefix('must be ')}"
        section.report.error(position, f"{called} is not right: it {wanted}", fix)
        return
    section.report.error(position, f"{called} is not right: {wanted}", fix)


def report_key(
    section: Section, adapter: type[Adapter[Any]], own: Mapping[str, Node], detail: ErrorDetails
) -> None:
    """Report a key below a setting that lacks, or that there is not."""
    *path, key = [str(part) for part in detail["loc"]]
    position, name = place_of(own, path, section.position)
    if detail["type"] == "missing":
        section.report.error(position, f"`{name}` has no `{key}`", f"write {key}: …")
        return
    position, _ = place_of(own, [*path, key], section.position)
    fix = f"see the settings of {adapter.name}"
    section.report.error(position, f"`{name}` has no key {clip(key)!r}", fix)


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
    words = str(context.get("expected", "")).replace(" or ", ",").split(",")
    return listed([word.strip().strip("'") for word in words])


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
    """The expected form of a setting, in words; None if only the adapter knows."""
    kind = detail["type"]
    if kind in EXPECTATIONS:
        return EXPECTATIONS[kind](detail.get("ctx", {}))
    return next((words for prefix, words in KINDS if kind.startswith(prefix)), None)


def own_words(detail: ErrorDetails) -> str:
    """What the adapter itself raised; never pydantic's text, which may show the value."""
    raised = detail.get("ctx", {}).get("error")
    return str(raised) if raised is not None and str(raised) else "it does not fit"
