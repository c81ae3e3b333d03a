"""
Loads ``kaskad.yaml`` and shows its effective settings; its keys are declared in ``settings.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.configuration.keys import read, table_of
from orchestrator.configuration.kinds import MASK
from orchestrator.configuration.reading import Report, Section
from orchestrator.configuration.references import References, refers
from orchestrator.configuration.settings import Settings
from orchestrator.configuration.yaml_file import ConfigError, Node, Problem, load

DEFAULT_CONFIG = Path("config/kaskad.yaml")


def find_config(arg: str | Path | None, env: Mapping[str, str], cwd: Path) -> Path:
    """
    The file to read: ``--config``, else ``KASKAD_CONFIG``, else ``./config/kaskad.yaml``.

    Raises ``ConfigError`` if there is no such file, saying where its name came from.
    """
    named = str(arg) if arg else env.get("KASKAD_CONFIG", "")
    path = cwd / (named or DEFAULT_CONFIG)
    if path.is_file():
        return path
    fix = "name the file with --config or KASKAD_CONFIG, or write a new project: kaskad init"
    if named:
        fix = f"check the path in {'--config' if arg else 'KASKAD_CONFIG'}"
    raise ConfigError([Problem(str(path), 1, 1, "there is no such configuration file", fix)])


def load_settings(path: Path, env: Mapping[str, str]) -> Settings:
    """The settings of a file. Raises ``ConfigError`` with everything that is wrong in it."""
    report = Report()
    settings = read_settings(path, env, report)
    report.refuse()
    if settings is None:
        raise ConfigError(report.problems)
    return settings


def load_store_settings(path: Path, env: Mapping[str, str]) -> Settings:
    """
    The settings for work on the store alone: of the references, only those that say where it is,
    and for which webhooks it keeps status events, must be there. Raises ``ConfigError``.
    """
    written = load(path)
    store = written.value.get("store") if written.kind == "map" else None
    nodes = [*webhook_values(written, "url"), *([store] if store is not None else [])]
    return load_partly(path, env, nodes)


def load_webhook_settings(path: Path, env: Mapping[str, str]) -> Settings:
    """
    The settings for work on status webhooks alone: of the references, only their URLs and secrets
    must be there. Raises ``ConfigError``.
    """
    written = load(path)
    nodes = [*webhook_values(written, "url"), *webhook_values(written, "secret")]
    return load_partly(path, env, nodes)


def load_partly(path: Path, env: Mapping[str, str], nodes: Iterable[Node]) -> Settings:
    """The settings of a file of which the references in some nodes must be there."""
    report = Report()
    known = References(env, path.parent, report)
    for node in nodes:
        known.resolve(node)
    report.refuse()
    settings = read_settings(path, env, report, secrets=False)
    report.refuse()
    if settings is None:
        raise ConfigError(report.problems)
    return settings


def webhook_values(written: Node, key: str) -> list[Node]:
    """The URLs or the secrets of the status webhooks as they are written."""
    if written.kind != "map":
        return []
    statuses = written.value.get("statuses")
    webhooks = statuses.value.get("webhooks") if statuses and statuses.kind == "map" else None
    entries = webhooks.value if webhooks is not None and webhooks.kind == "list" else ()
    return [one.value[key] for one in entries if one.kind == "map" and key in one.value]


def read_settings(
    path: Path, env: Mapping[str, str], report: Report, *, secrets: bool = True
) -> Settings | None:
    """
    The settings of a file as far as they can be read; problems go to ``report``.

    None if the file is no mapping or names no channels. Without ``secrets``, references that cannot
    be looked up are no problems.
    """
    try:
        written = load(path)
    except ConfigError as error:
        report.problems.extend(error.problems)
        return None
    if written.kind != "map":
        state = "empty" if written.kind == "null" else written.kind_name
        fix = "write at least `channels:` with one provider"
        report.error(written.position, f"the configuration is {state}", fix)
        return None
    resolved = References(env, path.parent, report, secrets=secrets).resolve(written)
    section = Section(resolved, report, "the configuration")
    settings = read(table_of(Settings), section, path=path)
    return None if settings is None else replace(settings, written=written)


def view(settings: Settings) -> dict[str, Any]:
    """
    The effective configuration in the shape of the file, as plain JSON types: defaults filled in,
    references as written, secrets masked. Paths are relative to the file, so that it is the same
    wherever the file and its folders lie.
    """
    keys = table_of(Settings).keys
    folder = settings.path.absolute().parent
    shown = {
        one.name: relative(one.kind.shown(getattr(settings, one.field)), folder) for one in keys
    }
    if settings.written is None:
        return shown
    result: dict[str, Any] = unfilled(shown, settings.written)
    return result


def relative(shown: Any, folder: Path) -> Any:
    """``shown`` with every path in a folder, or beside it, as it is written from there."""
    if isinstance(shown, dict):
        return {key: relative(inner, folder) for key, inner in shown.items()}
    if isinstance(shown, list):
        return [relative(inner, folder) for inner in shown]
    # of the root's folder every path is a neighbour, "/v1" of a URL among them
    near = [str(one) for one in (folder, folder.parent) if one != one.parent]
    if isinstance(shown, str) and any(shown.startswith(one + os.sep) for one in near):
        return os.path.relpath(shown, folder)
    return shown


def unfilled(shown: Any, written: Node) -> Any:
    """``shown`` with every text that was written with a reference as it was written."""
    if written.kind == "map" and isinstance(shown, dict):
        return {
            key: unfilled(inner, written.value[key]) if key in written.value else inner
            for key, inner in shown.items()
        }
    if written.kind == "list" and isinstance(shown, list) and len(shown) == len(written.value):
        return [unfilled(inner, node) for inner, node in zip(shown, written.value, strict=True)]
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
