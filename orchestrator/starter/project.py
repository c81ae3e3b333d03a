"""The files of a project, written into a folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestrator import __version__
from orchestrator.configuration.schema import schema
from orchestrator.policytests.schema import test_schema
from orchestrator.starter.accounts import StarterAccount, accounts_for
from orchestrator.starter.examples import EXAMPLES, PERSON, SHORT, Example

FILES = Path(__file__).with_name("files")
SHARED = (".gitignore",)
"""Files that a folder may already have for other reasons: they are left as they are."""
SECRET_FILES = (".env",)
SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPorts:
    """The loopback ports of the service and of the stand-ins."""

    public: int = 8080
    admin: int = 9464
    http: int = 8090
    smtp: int = 8025
    smpp: int = 2775


@dataclass(frozen=True, kw_only=True)
class Project:
    """What was written: the files' paths below ``folder``, and those that were left as they are."""

    folder: Path
    files: tuple[str, ...]
    kept: tuple[str, ...]


def free_ports() -> LocalPorts:
    """The usual ports, and another in place of each that is taken at this moment."""
    usual = LocalPorts()
    with_sockets = [(name, taken(getattr(usual, name))) for name in LocalPorts.__slots__]
    found = {name: one.getsockname()[1] for name, one in with_sockets}
    for _, one in with_sockets:
        one.close()
    return LocalPorts(**found)


def taken(port: int) -> socket.socket:
    """A socket that holds a port of the loopback, or any free one if that is in use."""
    held = socket.socket()
    try:
        held.bind(("127.0.0.1", port))
    except OSError:
        held.bind(("127.0.0.1", 0))
    return held


def write_project(
    folder: Path, channels: Sequence[str], example: str, ports: LocalPorts
) -> Project:
    """
    Write a project. Raises ``Unavailable`` for a channel, ``FileExistsError`` with every file that
    would be overwritten, and then writes nothing; else OSError.
    """
    accounts = accounts_for(channels, ports.http, ports.smtp, ports.smpp)
    texts = dict(files_of(accounts, EXAMPLES[example], ports))
    there = [name for name in texts if os.path.lexists(folder / name)]
    if any(name not in SHARED for name in there):
        raise FileExistsError(", ".join(name for name in there if name not in SHARED))
    for name, text in texts.items():
        if name not in there:
            write_new(folder / name, text, secret=name in SECRET_FILES)
    written = tuple(name for name in texts if name not in there)
    return Project(folder=folder, files=written, kept=tuple(there))


def write_new(path: Path, text: str, *, secret: bool) -> None:
    """Write a file that is not there yet; one with secrets is for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = (lambda name, flags: os.open(name, flags, SECRET_MODE)) if secret else None
    with open(path, "x", encoding="utf-8", opener=opener) as file:
        file.write(text)


def files_of(
    accounts: Sequence[StarterAccount], example: Example, ports: LocalPorts
) -> Iterator[tuple[str, str]]:
    """Every file's path and text."""
    given = values_of(accounts, example, ports)
    made = Environment(
        loader=FileSystemLoader(FILES),
        autoescape=False,
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    made.filters["written"] = lambda value: json.dumps(value, ensure_ascii=False)
    policies = f"config/policies/{example.policy}"
    for name, file in (
        ("config/kaskad.yaml", "kaskad.yaml"),
        ("config/governance.yaml", "governance.yaml"),
        (f"{policies}.yaml", "policy.yaml"),
        (f"{policies}.test.yaml", "policy.test.yaml"),
        (".env.example", "env"),
        (".env", "env"),
        (".gitignore", "gitignore"),
        (".github/workflows/kaskad.yaml", "workflow.yaml"),
    ):
        yield name, made.get_template(file).render(given)
    yield "event.json", json.dumps(given["event"], ensure_ascii=False, indent=2) + "\n"
    for account in accounts:
        yield from templates_of(account, example)
    for kind in ("kaskad", "governance", "policy", "journey"):
        yield f"schemas/{kind}.json", json.dumps(schema(kind), indent=1) + "\n"
    yield "schemas/test.json", json.dumps(test_schema(), indent=1) + "\n"


def templates_of(account: StarterAccount, example: Example) -> Iterator[tuple[str, str]]:
    """
    A channel's templates. The English ones carry no locale, so that they are everybody's who reads
    no Ukrainian.
    """
    for locale, words in example.words.items():
        infix = "" if locale == "en" else f".{locale}"
        for part in account.parts:
            short = part == "text" and account.channel.counts_parts and SHORT in words
            text = words[SHORT if short else part]
            yield f"templates/{example.policy}/{account.channel.name}{infix}.{part}.j2", text + "\n"


def values_of(
    accounts: Sequence[StarterAccount], example: Example, ports: LocalPorts
) -> Mapping[str, Any]:
    """What the files' texts are filled with."""
    addresses = {one.kind.written_as: one.kind.sample(1) for one in accounts if not one.kind.own_id}
    event = {
        "specversion": "1.0",
        "id": f"{example.policy}-1",
        "source": example.event.partition(".")[0],
        "type": example.event,
        "data": {**example.data, "recipient": {"id": "user-42", **PERSON, **addresses}},
    }
    return {
        "accounts": accounts,
        "example": example,
        "ports": ports,
        "event": event,
        "person": {**PERSON, **dict.fromkeys(addresses, "true")},
        "countries": any(one.channel.country_rule for one in accounts),
        "version": __version__,
    }
