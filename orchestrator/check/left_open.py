"""What a configuration no longer has, and the store still needs: providers with open attempts."""

from __future__ import annotations

from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.reading import place
from orchestrator.configuration.yaml_file import Position, Problem
from orchestrator.engine.open_attempts import open_attempts
from orchestrator.stores.port import StoreBusy
from orchestrator.stores.reading import UNREADABLE, opened


async def left_open(configuration: Configuration) -> list[Problem]:
    """
    A warning for each provider that is not configured and whose attempts are open. None if the
    store cannot be read from here: `kaskad doctor` says why.
    """
    settings = configuration.settings
    store = settings.store
    if store.kind == "sqlite" and (store.path is None or not store.path.is_file()):
        return []
    try:
        async with opened(store.path, store.url.get_secret_value()) as reader:
            counts = await open_attempts(reader)
    except (StoreBusy, *UNREADABLE):
        return []
    position = Position(str(settings.path), 1, 1)
    if settings.written is not None:
        position = place(settings.written, "channels")
    known = configuration.rules.known_names
    return [
        position.problem(
            f"{count} attempt(s) of the provider {name!r} are open, and there is none of that name",
            f"write aliases: [{name}] in what it has become, or wait until they have ended",
            "warning",
        )
        for name, count in sorted(counts.items())
        if name not in known
    ]
