"""
Writes messages to a file instead of sending them: one JSON line each, for development.

Reference: none; the format is ours: ``{"message_id", "reference", "to": {"kind", "value"}, "class",
"topic", "locale", "content"}``. Quirk: personal data is written unmasked, so it has no place in
production; only the owner may read the file.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import ClassVar

from orchestrator import channels as ch

MODE = 0o600


class LogFileSettings(ch.AdapterSettings):
    """``path``: the file to append to, in an existing folder (default: standard output)."""

    path: Path | None = None


class Log(ch.Adapter[LogFileSettings]):
    """Any channel, written to a file. Every message counts as accepted; no receipts follow."""

    name: ClassVar[str] = "log"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(channel="*", parts=())
    settings_type: ClassVar[type[ch.AdapterSettings]] = LogFileSettings

    async def send(self, message: ch.Outgoing) -> ch.Outcome:
        """
        Append one line. A failed write is refused as a wrong configuration, with the system's
        reason.
        """
        line = {
            "message_id": message.message_id,
            "reference": message.client_reference,
            "to": {"kind": message.address.kind, "value": message.address.value},
            "class": message.message_class,
            "topic": message.topic,
            "locale": message.locale,
            "content": dict(message.content),
        }
        try:
            await asyncio.to_thread(self._write, ch.json_bytes(line) + b"\n")
        except OSError as error:
            why = error.strerror or type(error).__name__
            return ch.Refused(
                ch.Reason.REFUSED_CONFIGURATION,
                "log_file",
                f"the file at `path` cannot be written: {why}",
            )
        return ch.Accepted(message.client_reference)

    def _write(self, line: bytes) -> None:
        """Write the line in one piece, so that lines of several processes do not mix."""
        if self.settings.path is None:
            sys.stdout.write(line.decode())
            sys.stdout.flush()
            return
        file = os.open(
            self.settings.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE
        )
        try:
            os.write(file, line)
        finally:
            os.close(file)
