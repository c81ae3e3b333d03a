"""The key ``store``: where everything is kept."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from orchestrator.configuration.keys import Kind
from orchestrator.configuration.kinds import MASK, TEXT_SCHEMA
from orchestrator.configuration.reading import Section
from orchestrator.configuration.references import refers

DEFAULT_STORE = "sqlite:///../data/kaskad.db"
MAGIC = b"SQLite format 3\0"
STORE_FIX = f"write {DEFAULT_STORE} or postgresql://user@host/name"


@dataclass(frozen=True)
class StoreSettings:
    """``path`` is the SQLite file, None if it is in memory or not SQLite."""

    kind: Literal["sqlite", "postgresql"]
    url: SecretStr
    path: Path | None = None


def socket_path(store: StoreSettings) -> Path | None:
    """The control socket beside an embedded database; None for a store that needs none."""
    return store.path.with_name(store.path.name + ".sock") if store.path is not None else None


def databases_beside(path: Path) -> list[str]:
    """The databases in the folder of one that is not there: perhaps its name is a typo."""
    if path.exists() or not path.parent.is_dir():
        return []
    return sorted(one.name for one in path.parent.iterdir() if is_database(one))


def is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_store(section: Section, key: str, default: object) -> StoreSettings:
    """``sqlite:///relative/to/this/file.db`` (four slashes: absolute) or ``postgresql://…``."""
    node = section.get(key)
    if node is not None and node.kind not in ("str", "map", "list"):
        section.error(key, f"`store` {node.text} is not a database that is known", STORE_FIX)
        return StoreSettings("sqlite", SecretStr(DEFAULT_STORE), section.base / "unknown.db")
    url = section.text(key, DEFAULT_STORE)
    scheme, _, rest = url.partition("://")
    if scheme in ("postgresql", "postgres") and rest:
        if node is not None and not refers(node.text) and urllib.parse.urlsplit(url).password:
            fix = "write postgresql://user:${env:DB_PASSWORD}@host/name"
            section.report.warn(node.position, "the password of `store` is written in clear", fix)
        return StoreSettings("postgresql", SecretStr(url))
    if scheme != "sqlite" or len(rest) < 2 or rest[0] != "/":
        section.error(key, "`store` is not a database that is known", STORE_FIX)
        url = DEFAULT_STORE
    name = url.removeprefix("sqlite:///")
    path = None if name == ":memory:" else section.base / name
    return StoreSettings("sqlite", SecretStr(url), path)


def masked_url(store: StoreSettings) -> str:
    """The store's URL without its password."""
    url = store.url.get_secret_value()
    password = urllib.parse.urlsplit(url).password
    return url if password is None else url.replace(f":{password}@", f":{MASK}@", 1)


STORE: Kind[StoreSettings] = Kind("store URL", read_store, TEXT_SCHEMA, masked_url)
