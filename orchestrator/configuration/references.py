"""
``${env:NAME}`` and ``${file:path}`` inside the texts of a configuration.

A resolved node keeps its ``text`` as written, so every message and view shows the reference and
never what it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from orchestrator.configuration.reading import Report, Section, clip
from orchestrator.configuration.yaml_file import Node

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
LOOKS_LIKE_ONE = re.compile(
    r"\s*(?:\$[A-Z_][A-Z0-9_]*|\$\(.*\)|\$\{.*|\{\{.*\}\}|(?:env|file)[:.].*|%\w+%|<[\w -]+>)\s*"
)
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
FILE_BYTES_MAX = 64 * 1024


def refers(text: str) -> bool:
    """Whether a text, as written, has a reference in it."""
    return REFERENCE.search(text) is not None


class References:
    """
    Resolves references against an environment; relative files are relative to ``base``.

    Without ``secrets``, one that cannot be looked up on this machine is no problem.
    """

    def __init__(
        self, env: Mapping[str, str], base: Path, report: Report, *, secrets: bool = True
    ) -> None:
        self.env = env
        self.base = base
        self.report = report
        self.secrets = secrets
        self.reported: set[str] = set()

    def missing(self, node: Node, what: str, fix: str) -> str:
        """Report a reference that cannot be looked up, once. Its value is empty."""
        if self.secrets and what not in self.reported:
            self.report.error(node.position, what, fix)
        self.reported.add(what)
        return ""

    def resolve(self, node: Node) -> Node:
        """
        The tree with every reference in its texts resolved; one that cannot be is reported and
        becomes empty.
        """
        if node.kind == "map":
            return replace(
                node, value={key: self.resolve(child) for key, child in node.value.items()}
            )
        if node.kind == "list":
            return replace(node, value=tuple(self.resolve(child) for child in node.value))
        if node.kind != "str" or "${" not in node.value:
            return node
        found = {
            name: self.look_up(name, node) for name in dict.fromkeys(REFERENCE.findall(node.value))
        }
        if not all(found.values()):
            return replace(node, value="")
        parts = REFERENCE.split(node.value)  # by turns a literal text and a reference
        pieces = tuple(found[part] if at % 2 else part for at, part in enumerate(parts))
        return replace(node, value="".join(pieces), pieces=pieces)

    def look_up(self, reference: str, node: Node) -> str:
        """The value of one reference; "" and a problem if it cannot be looked up."""
        kind, colon, name = reference.partition(":")
        if kind == "env" and name.strip() == name != "":
            return self.from_environment(name, node)
        if kind == "file" and name:
            return self.from_file(name, node)
        what = f"${{{clip(reference)}}} is not a reference" + (
            "" if colon else " (it has no colon)"
        )
        self.report.error(node.position, what, reference_fix(reference))
        return ""

    def from_environment(self, name: str, node: Node) -> str:
        """The value of an environment variable."""
        state = "empty" if name in self.env else "not set"
        what = f"the environment variable {name} is {state}"
        return self.env.get(name) or self.missing(node, what, "set it before starting")

    def from_file(self, name: str, node: Node) -> str:
        """The content of a file without its last line end."""
        try:
            with (self.base / name).open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
            text = data.decode("utf-8").rstrip("\r\n")
        except OSError as error:
            reason = (error.strerror or "it cannot be read").lower()
            what = f"the file {name} cannot be read: {reason}"
            return self.missing(node, what, "check its path and permissions")
        except UnicodeDecodeError:
            return self.missing(node, f"the file {name} is not text", "save it as UTF-8")
        if len(data) > FILE_BYTES_MAX:
            what = f"the file {name} is larger than {FILE_BYTES_MAX} bytes"
            return self.missing(node, what, "name another file")
        fix = "write the value into it"
        return text or self.missing(node, f"the file {name} is empty", fix)


def read_secret(section: Section, key: str) -> SecretStr | None:
    """A secret; one that is written out is warned of."""
    value = section.text(key, None)
    if value is None:
        return None
    node = section.nodes[key]
    if not refers(node.text):
        warn_of_clear_text(section.report, node, key)
    return SecretStr(value)


def reference_fix(text: str) -> str:
    """How to write a reference that is none, with the name that was probably meant."""
    kind, colon, name = text.strip("${}()<>% ").rpartition(":")
    named = ENVIRONMENT_NAME.search(name.strip().removeprefix("env."))
    likely = named is not None and (not colon or kind.strip().lower() == "env")
    if kind.strip().lower() == "file":
        return f"write ${{file:{name.strip()}}}"
    return f"write ${{env:{named[0]}}}" if likely and named else "write ${env:NAME} or ${file:path}"


def warn_of_clear_text(report: Report, node: Node, key: str) -> None:
    """What there is to say of a secret that stands in the file: an error if none was meant to."""
    if LOOKS_LIKE_ONE.fullmatch(node.text):
        what = f"`{key}` is no reference: {clip(node.text)}"
        report.error(node.position, what, reference_fix(node.text))
        return
    fix = f"write ${{env:{key.upper()}}} or ${{file:…}} and keep it elsewhere"
    report.warn(node.position, f"the secret `{key}` is written in clear", fix)
