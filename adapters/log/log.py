"""
Writes messages down instead of sending them: one JSON line each, for development.

Reference: none; it is ours. Personal data is written as it is, so it has no place in production.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import ClassVar

from orchestrator import channels as ch


class LogSettings(ch.Settings):
    """``path``: the file to append to; standard output where it is left out."""

    path: Path | None = None


class Log(ch.Adapter[LogSettings]):
    name: ClassVar[str] = "log"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(channel="*", address=ch.KINDS, parts=())
    settings_type: ClassVar[type[ch.Settings]] = LogSettings

    async def send(self, message: ch.Outgoing) -> ch.Outcome:
        line = json.dumps(
            {
                "message_id": message.message_id,
                "to": {"kind": message.address.kind, "value": message.address.value},
                "class": message.klass,
                "locale": message.locale,
                "content": dict(message.content),
            },
            ensure_ascii=False,
        )
        await asyncio.to_thread(self._write, line + "\n")
        return ch.Accepted(message.client_reference)

    def _write(self, line: str) -> None:
        if self.settings.path is None:
            sys.stdout.write(line)
            sys.stdout.flush()
        else:
            with self.settings.path.open("a", encoding="utf-8") as file:
                file.write(line)
