"""People's files in and out, through the service."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

import orjson
import typer

from orchestrator.cli.client import Client, service
from orchestrator.cli.common import segment
from orchestrator.cli.csv_files import CsvFile, Record, RefusedFile
from orchestrator.cli.people_files import BadCell, FileFormat
from orchestrator.cli.progress import progress

BATCH_ENTRIES = 1_000
BATCH_BYTES = 900 * 1024
"""Of a call's body, which may have 1 MiB."""


@dataclass(slots=True)
class Batch:
    """What one call records: each record with its entry as JSON; and what is refused without it."""

    entries: list[tuple[Record, bytes]] = field(default_factory=list)
    refused: list[tuple[Record, str]] = field(default_factory=list)
    size: int = 0

    def has_room(self, entry: bytes) -> bool:
        more = self.size + len(entry) <= BATCH_BYTES
        return not self.entries or (more and len(self.entries) < BATCH_ENTRIES)

    def add(self, record: Record, entry: bytes) -> None:
        self.entries.append((record, entry))
        self.size += len(entry) + 1


async def import_file(
    config: Path, source: BinaryIO, format: FileFormat, refused_path: Path
) -> dict[str, Any]:
    """
    Record every line of a file; returns how many were recorded and refused. Raises
    ``UnreadableFile`` before anything is recorded, ``OSError`` if refused lines cannot be written.
    """
    file = CsvFile(source)
    keys = format.keys(file.columns)
    refused = RefusedFile(refused_path, file.columns, file.separator)
    recorded = 0
    try:
        async with service(config) as client:
            with progress(f"importing {format.what}", file.line_count) as advance:
                for batch in batches(file, format, keys):
                    results = await record_batch(client, format, batch) if batch.entries else []
                    for (record, _), result in zip(batch.entries, results, strict=True):
                        if result["status"] == "recorded":
                            recorded += 1
                        else:
                            batch.refused.append((record, reason_of(result["error"])))
                    for record, reason in sorted(batch.refused, key=lambda one: one[0].line):
                        refused.add(record, reason)
                    advance(file.lines_read)
    except typer.Exit:
        said = f"{recorded} {format.what} were recorded before that, and stay"
        typer.echo(f"{said}; run it again when the service is there", err=True)
        raise
    finally:
        refused.close()
    return {
        "recorded": recorded,
        "refused": refused.count,
        "refused_file": str(refused_path) if refused.count else None,
    }


async def record_batch(client: Client, format: FileFormat, batch: Batch) -> list[dict[str, Any]]:
    """The result of each entry of a batch."""
    entries = b",".join(entry for _, entry in batch.entries)
    return await client.record(format.import_path, b'{"%s":[%s]}' % (format.body.encode(), entries))


def batches(file: CsvFile, format: FileFormat, keys: list[str | None]) -> Iterator[Batch]:
    """The entries of a file, as many at once as a call may have."""
    batch = Batch()
    for record in file:
        reason = record.fault
        if not reason:
            try:
                entry = orjson.dumps(format.entry(keys, record.cells))
            except BadCell as error:
                reason = str(error)
        if reason:
            batch.refused.append((record, reason))
        elif batch.has_room(entry):
            batch.add(record, entry)
        else:
            yield batch
            batch = Batch([(record, entry)], size=len(entry) + 1)
        if len(batch.refused) == BATCH_ENTRIES:
            yield batch
            batch = Batch()
    yield batch


def reason_of(error: dict[str, Any]) -> str:
    """What is wrong with an entry, named as its column is."""
    field = str(error["field"]).partition("].")[2]
    return f"{field}: {error['what']}" if field else str(error["what"])


async def export_file(
    config: Path, target: IO[str], format: FileFormat, excel: bool
) -> dict[str, int]:
    """Write all rows of a kind, a page at a time; returns how many, and how many are nameless."""
    writer = csv.writer(target, delimiter=";" if excel else ",", lineterminator="\r\n")
    writer.writerow(format.columns)
    path, after, count = f"/control/export/{format.what}", "", 0
    async with service(config) as client:
        with progress(f"exporting {format.what}") as advance:
            while True:
                found = await client.call("GET", f"{path}?after={segment(after)}")
                writer.writerows(map(format.cells, found["rows"]))
                count += len(found["rows"])
                advance(count)
                if found["after"] is None:
                    return {"exported": count, "nameless": found["nameless"]}
                after = found["after"]
