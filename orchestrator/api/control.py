"""
The control socket: how command-line verbs reach a running service.

With an embedded store only the service may write the file, so verbs call it over a Unix socket
beside the database (mode 0600, as the database). Under ``/api`` it has the public API without keys;
the calls under ``/control`` are for operators only.
"""

from __future__ import annotations

import os
from pathlib import Path

from aiohttp import web

from orchestrator.api.app import build_app
from orchestrator.api.fast_path import open_runner
from orchestrator.api.ports import ApiDeps
from orchestrator.api.route import Listener


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


class ControlSocket:
    """``deps`` must be without authentication."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._runner: web.AppRunner | None = None

    async def start(self, path: Path) -> None:
        """Listen on ``path``, replacing a socket that a dead process has left there."""
        app = build_app(Listener.CONTROL, self._deps)
        app.add_subapp("/api", build_app(Listener.PUBLIC, self._deps))
        self._runner = await open_runner(app)
        remove(path)
        mask = os.umask(0o177)
        try:
            await web.UnixSite(self._runner, str(path)).start()
        finally:
            os.umask(mask)
        self._path = path

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            remove(self._path)
            self._runner = None
