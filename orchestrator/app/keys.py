"""
The keys that an installation makes for itself: one that signs links, tokens and references, and the
pepper of the address hashes.

The first start makes both. The signing key is replaced every year, by whichever process notices
first; the pepper never is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import structlog

from orchestrator.primitives.tokens import DAY_MS, SIGN_DAYS, SigningKeys, new_key
from orchestrator.stores.port import KeyStore
from orchestrator.stores.rows import SecretRow

log = structlog.get_logger()

SIGNING, PEPPER, OWN = "signing", "pepper", "own_signing"
OWN_ID = 0


class InstallationKeys:
    """
    ``signing`` is replaced in place whenever ``read`` finds other keys. ``own`` gives the key of
    the configuration, which signs instead of ours while there is one.
    """

    def __init__(
        self, store: KeyStore, now: Callable[[], int], own: Callable[[], str | None]
    ) -> None:
        self._store = store
        self._now = now
        self._own = own
        self.signing = SigningKeys([], now)
        self.store_is_new = False

    async def pepper(self) -> bytes:
        self.store_is_new = not await self._store.secrets(PEPPER)
        await self._store.add_secret(PEPPER, new_key(), self._now(), unless_since=0)
        return (await self._store.secrets(PEPPER))[-1].secret

    async def read(self) -> None:
        """Read the signing keys, after making the next one where the newest has signed a year."""
        own = self._own()
        stored = await self._store.secrets(SIGNING)
        if own is not None:
            stored = [await self._own_row(own.encode()), *stored]
        elif not stored or stored[0].created_at < self._a_year_ago():
            since = self._a_year_ago() if stored else 0
            await self._store.add_secret(SIGNING, new_key(), self._now(), unless_since=since)
            stored = await self._store.secrets(SIGNING)
            log.info("signing.key_made", keys=len(stored))
        self.signing.replace(stored)

    def _a_year_ago(self) -> int:
        return self._now() - SIGN_DAYS * DAY_MS

    async def _own_row(self, own: bytes) -> SecretRow:
        """
        The configured key, as old as our knowledge of it: since then it has replaced the stored
        ones. Only a digest of it is kept.
        """
        digest = hashlib.sha256(own).digest()
        known = await self._store.secrets(OWN)
        if not known or known[0].secret != digest:
            await self._store.add_secret(OWN, digest, self._now())
            known = await self._store.secrets(OWN)
        return SecretRow(OWN_ID, own, known[0].created_at)
