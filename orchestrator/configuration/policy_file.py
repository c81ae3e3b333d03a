"""
Policies from YAML: one cascade a file, checked, versioned, and written back as JSON for the store.

    config/policies/cart_abandoned.yaml ──► PolicyFile(policy, path, raw, root)

A policy's ``version`` is the first 12 hex characters of a SHA-256 over its canonical data (defaults
filled in, so that comments and spelling don't count) and the sources of its templates.
``*.test.yaml`` beside a policy holds its tests and is never loaded as one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.configuration.keys import read
from orchestrator.configuration.policy_keys import policy_keys
from orchestrator.configuration.reading import Report, Section, place
from orchestrator.configuration.settings import Defaults
from orchestrator.configuration.yaml_file import ConfigError, Node, Problem, loads, read_text
from orchestrator.core.policy import Policy
from orchestrator.core.values import replace
from orchestrator.render.templates import DEFAULT_LOCALE

TEST_SUFFIX = ".test.yaml"

TemplateHash = Callable[[str], str]
"""
The content hash of a template's sources, by the template's name; "" if there is no such
template.
"""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy with the text it was read from; ``root`` knows the place of every key."""

    policy: Policy
    path: Path
    raw: str
    root: Node


def hash_templates(directory: Path, default_locale: str = DEFAULT_LOCALE) -> TemplateHash:
    """
    Hashes of everything in ``directory/<template>/`` by name and content, and of the locale of
    files without one; each template is read once.
    """
    known: dict[str, str] = {}

    def of(template: str) -> str:
        if template not in known:
            digest = hashlib.sha256(default_locale.removeprefix(DEFAULT_LOCALE).encode())
            folder = directory / template
            files = sorted(path for path in folder.glob("*.j2") if path.is_file())
            for path in files:
                content = path.read_bytes()
                digest.update(f"{path.name}\0{len(content)}\0".encode())
                digest.update(content)
            known[template] = digest.hexdigest() if files else ""
        return known[template]

    return of


def policy_files(directory: Path) -> list[Path]:
    """
    The policy files of a directory, by name; tests of policies are none. Raises ``ConfigError``
    without one.
    """
    if not directory.is_dir():
        fix = "make it, or say under `policies` where they are"
        what = "there is no such directory of policies"
        raise ConfigError([Problem(str(directory), 1, 1, what, fix)])
    return sorted(path for path in directory.glob("*.yaml") if kind_of(path) == "policy")


def kind_of(path: Path) -> str:
    """``policy`` or ``test`` by a file's name; hidden files, as editors leave them, are neither."""
    if path.name.startswith((".", "~", "#")):
        return ""
    return "test" if path.name.endswith(TEST_SUFFIX) else "policy"


def test_files(directory: Path) -> list[Path]:
    """The tests beside the policies, by name."""
    return sorted(path for path in directory.glob("*.yaml") if kind_of(path) == "test")


def load_policy(
    path: Path, *, templates: TemplateHash, defaults: Defaults | None = None
) -> PolicyFile:
    """One policy file. Raises ``ConfigError`` with everything that is wrong in it."""
    report = Report()
    found = parse_policy(path, report, templates=templates, defaults=defaults)
    report.refuse()
    if found is None:
        raise ConfigError(report.problems)
    return found


def read_policies(
    directory: Path, report: Report, *, templates: TemplateHash, defaults: Defaults | None = None
) -> dict[str, PolicyFile]:
    """Every policy of a directory that could be read; all problems go to ``report``."""
    files: dict[str, PolicyFile] = {}
    try:
        paths = policy_files(directory)
    except ConfigError as error:
        report.problems.extend(error.problems)
        return files
    for path in paths:
        file = parse_policy(path, report, templates=templates, defaults=defaults)
        if file is None:
            continue
        name = file.policy.name
        if name in files:
            what = f"the policy {name!r} is also in {files[name].path.name}"
            report.error(place(file.root, "policy"), what, "give one of them another name")
            continue
        files[name] = file
    return files


def parse_policy(
    path: Path, report: Report, *, templates: TemplateHash, defaults: Defaults | None = None
) -> PolicyFile | None:
    """
    One policy file as far as it can be read; None if it is not even a mapping. Problems go to
    ``report``.
    """
    found = read_mapping(path, report, "policy", "write `policy:`, `trigger:` and `cascade:`")
    if found is None:
        return None
    raw, root = found
    mismatch = other_kind(root)
    if mismatch is not None:
        report.error(root.position, *mismatch)
        return None
    policy = read(policy_keys(defaults or Defaults()), Section(root, report, "the policy"))
    assert policy is not None
    return PolicyFile(replace(policy, version=version_of(policy, templates)), path, raw, root)


def read_mapping(path: Path, report: Report, what: str, fix: str) -> tuple[str, Node] | None:
    """The text and the mapping of a file that holds one; what else it is goes to ``report``."""
    try:
        raw = read_text(path)
        root = loads(raw, str(path))
    except ConfigError as error:
        report.problems.extend(error.problems)
        return None
    if root.kind == "map":
        return raw, root
    said = f"the file holds no {what}" if root.kind == "null" else f"the {what} is {root.kind_name}"
    report.error(root.position, said, fix)
    return None


def other_kind(root: Node) -> tuple[str, str] | None:
    """What a mapping is that was put where policies stand, and where it belongs; None for one."""
    keys = set(root.value)
    if keys & {"trigger", "cascade"}:
        return None
    if "tests" in keys:
        policy = root.value.get("policy")
        name = policy.text if policy is not None else "<policy>"
        what = f"the file holds tests of a policy, and its name does not end in {TEST_SUFFIX}"
        return what, f"rename it to {name}{TEST_SUFFIX}"
    if keys & {"quiet_hours", "frequency_caps", "min_gaps", "consent", "sms_countries", "budget"}:
        return "the file holds governance, not a policy", "move it to config/governance.yaml"
    if "channels" in keys:
        return "the file holds a configuration, not a policy", "move it to config/kaskad.yaml"
    return None


def version_of(policy: Policy, templates: TemplateHash) -> str:
    """The content hash (12 hex characters) of a policy and its templates."""
    document = policy_to_document(replace(policy, version=""))
    return content_version([document, *map(templates, policy.templates)])


def content_version(document: Any) -> str:
    """The content hash (12 hex characters) of JSON types."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def policy_to_document(policy: Policy) -> dict[str, Any]:
    """The policy as JSON types, for the store; ``policy_from_document`` reads it back."""
    document: dict[str, Any] = msgspec.to_builtins(policy)
    return document


def policy_from_document(document: dict[str, Any]) -> Policy:
    """
    The policy that ``policy_to_document`` wrote; fields that an older version did not write get
    their defaults.
    """
    return msgspec.convert(document, Policy)
