"""
The files of ``kaskad people``: which columns they have, and how a record becomes an entry and a row
becomes a record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.channels.registry import address_fields, address_kinds, looks_like_address
from orchestrator.cli.csv_files import REFUSED, UnreadableFile
from orchestrator.recipients.document import FIELDS
from orchestrator.recipients.intake import near

ATTRIBUTES = "attributes"


class BadCell(Exception):
    """A cell cannot be read; the text says which, why, and how to fix it."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """
    One kind of file. ``needed`` has groups of columns, of each of which one must be there;
    ``import_path`` takes ``{body: [entries]}``. ``attributes``: other columns are attributes.
    """

    what: str
    columns: Sequence[str]
    needed: Sequence[Sequence[str]]
    import_path: str
    body: str
    parse: Callable[[str, str], Any]
    attributes: bool = False
    defaults: Sequence[str] = ()
    """The columns that options of the verb may fill."""

    def keys(self, columns: Sequence[str]) -> list[str | None]:
        """
        What each column of a file is: a column of ours, an attribute by its name, or None for the
        notes of a file of refused records. Raises ``UnreadableFile``.
        """
        keys = [self._key(name) for name in columns]
        for key in keys:
            if key is not None and keys.count(key) > 1:
                raise UnreadableFile(f"two columns mean {key}; leave one out")
        for group in self.needed:
            if not set(group) & set(keys):
                what = f"there is no column {' or '.join(group)}"
                raise UnreadableFile(f"{what}; {self.what} have {', '.join(self.columns)}")
        return keys

    def _key(self, name: str) -> str | None:
        if name in REFUSED:
            return None
        plain = name.casefold().replace(" ", "_").replace("-", "_")
        if plain in self.columns:
            return plain
        if not self.attributes:
            meant = "address" if near(name) in address_fields() else near(name)
            hint = f"did you mean {meant}? " if meant in self.columns else ""
            known = f"{self.what} have {', '.join(self.columns)}"
            raise UnreadableFile(f"there is no column {name!r}; {hint}{known}")
        if (meant := near(name)) in self.columns:
            fix = f"call it {meant}, or leave it out"
            raise UnreadableFile(f"a column {name!r} would be an attribute; {fix}")
        return name

    def entry(self, keys: Sequence[str | None], cells: Sequence[str]) -> dict[str, Any]:
        """
        What a record says; an empty cell says nothing. Raises ``BadCell``.
        """
        entry: dict[str, Any] = {}
        for key, cell in zip(keys, cells, strict=True):
            if key is not None and cell:
                entry[key] = self.parse(key, cell) if key in self.columns else cell
        if "address" in self.columns:
            check_address(entry)
        return entry

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        """The record of a row, in the order of the columns."""
        return [written(name, row.get(name)) for name in self.columns]


def written(key: str, value: Any) -> str:
    """The cell that is read as this value."""
    if value is None:
        return ""
    if key == "classes":
        return " ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_text(key: str, cell: str) -> Any:
    """What a cell of a consent or an opt-out says."""
    return cell.split() if key == "classes" else cell


def as_field(key: str, cell: str) -> Any:
    """What a cell of a profile says: fields with several values are JSON."""
    kind = address_fields().get(key)
    if key != ATTRIBUTES and (kind is None or not kind.several):
        return cell
    try:
        return json.loads(cell)
    except ValueError as error:
        raise BadCell(
            f"{key}: it is not JSON ({error}); write it as JSON, or leave it out"
        ) from None


def file_formats() -> dict[str, FileFormat]:
    """The kinds of files by their names."""
    scope = ("channel", "topic")
    return {
        format.what: format
        for format in (
            FileFormat(
                "opt-outs",
                ("recipient", "address", "kind", *scope, "at", "source"),
                (("recipient", "address"),),
                "/api/v1/opt-outs",
                "opt_outs",
                as_text,
            ),
            FileFormat(
                "consents",
                ("recipient", *scope, "state", "at", "source", "classes"),
                (("recipient",), ("state",)),
                "/control/import/consents",
                "entries",
                as_text,
            ),
            FileFormat(
                "recipients",
                ("id", *FIELDS, *address_fields(), ATTRIBUTES),
                (("id",),),
                "/control/import/recipients",
                "entries",
                as_field,
                attributes=True,
            ),
        )
    }


def check_address(entry: Mapping[str, Any]) -> None:
    """
    Raise ``BadCell`` for an address that is neither a phone nor a mailbox and has no kind: in a
    file it is a note far more often than a provider's id.
    """
    address = entry.get("address")
    if address is not None and "kind" not in entry and not looks_like_address(address):
        known = ", ".join(name for name, kind in address_kinds().items() if not kind.looks_like)
        fix = f"for a provider's id, say in the column kind which ({known})"
        raise BadCell(f"address: it is neither a phone nor a mailbox; {fix}")
