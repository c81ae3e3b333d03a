"""Files of codes, on their way into a pool."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import typer

from orchestrator.cli.bulk import asked
from orchestrator.cli.client import service
from orchestrator.cli.common import segment
from orchestrator.cli.csv_files import CsvFile, Record, RefusedFile, UnreadableFile, count_lines
from orchestrator.cli.progress import progress

BATCH_CODES = 5_000
COLUMN = "code"


async def import_codes(
    config: Path, source: BinaryIO, pool: str, refused_path: Path
) -> dict[str, Any]:
    """
    Record the codes of a file; returns how many were recorded, known and refused, and which
    policies give codes of the pool. Raises ``UnreadableFile`` and ``OSError``.
    """
    digest = digest_of(source)
    records, columns, separator, lines = read_file(source)
    refused = RefusedFile(refused_path, columns, separator)
    counts = {"recorded": 0, "known": 0}
    path = f"/api/v1/codes/{segment(pool)}/import"
    try:
        async with service(config) as client:
            with progress("importing codes", lines) as advance:
                for batch in batches(records, refused):
                    body = {"codes": [code for _, code in batch], "source": digest}
                    found = await asked(client, "POST", path, body)
                    for name in counts:
                        counts[name] += found[name]
                    for one in found["refused"]:
                        refused.add(batch[one["index"]][0], one["what"])
                    advance(batch[-1][0].line)
            pools = (await client.call("GET", "/api/v1/codes"))["items"]
    except typer.Exit:
        typer.echo(
            f"{counts['recorded']} codes were recorded before that, and stay; run it again, and it"
            " goes on",
            err=True,
        )
        raise
    finally:
        refused.close()
    policies: list[str] = next((one["policies"] for one in pools if one["pool"] == pool), [])
    return {
        **counts,
        "refused": refused.count,
        "refused_file": str(refused_path) if refused.count else None,
        "policies": policies,
    }


def digest_of(source: BinaryIO) -> str:
    """What names a file by its content."""
    found = hashlib.sha256()
    while piece := source.read(1 << 20):
        found.update(piece)
    source.seek(0)
    return found.hexdigest()[:32]


def batches(
    records: Iterator[tuple[Record, str]], refused: RefusedFile
) -> Iterator[list[tuple[Record, str]]]:
    """
    As many records at once as a call takes. What stands in the file twice is refused here: the
    service cannot tell it from a call that it has answered before.
    """
    batch: list[tuple[Record, str]] = []
    seen: set[bytes] = set()
    for record, code in records:
        key = hashlib.blake2b(code.encode(), digest_size=12).digest()
        if record.fault:
            refused.add(record, record.fault)
        elif key in seen:
            refused.add(record, "it stands in the file before; remove it")
        else:
            seen.add(key)
            batch.append((record, code))
        if len(batch) == BATCH_CODES:
            yield batch
            batch = []
    if batch:
        yield batch


def read_file(source: BinaryIO) -> tuple[Iterator[tuple[Record, str]], list[str], str, int]:
    """
    The records with their codes, the columns and the separator of a file, and how many lines it
    has. A file whose first line names no column `code` is a list of codes if there is one column.
    """
    lines = count_lines(source)
    if lines == 0:
        raise UnreadableFile("it is empty; write a code a line")
    source.seek(0)
    file = CsvFile(source)
    names = [name.strip().lower() for name in file.columns]
    if COLUMN in names:
        place = names.index(COLUMN)
        found = ((one, one.cells[place] if not one.fault else "") for one in file)
        return found, file.columns, file.separator, lines
    if len(file.columns) > 1:
        fix = f"name the column that has the codes {COLUMN!r}"
        raise UnreadableFile(f"it has {len(file.columns)} columns, and none is {COLUMN!r}; {fix}")
    source.seek(0)
    return plain_lines(source, file), [COLUMN], file.separator, lines


def plain_lines(source: BinaryIO, file: CsvFile) -> Iterator[tuple[Record, str]]:
    """
    The lines of a file without a heading; empty ones are left out. ``file`` would close it if it
    went.
    """
    for number, line in enumerate(source, 1):
        code = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        if code:
            yield Record(number, [code]), code
