"""The audit log's table, as both stores read it."""

from __future__ import annotations

from orchestrator.stores.audit import AuditEntry, AuditNote
from orchestrator.stores.sql import Driver


class AuditTable(Driver):
    """Implements ``AuditStore``."""

    async def append_audit(self, note: AuditNote) -> None:
        await self.change(None, (), note)

    async def audit_entries(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        since: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[AuditEntry]:
        filters = (before or "~", since or "", actor or "", action or "", subject or "")
        return list(map(AuditEntry._make, await self.fetch("audit_entries", *filters, limit)))

    async def audit_after(self, sequence: int, limit: int) -> list[AuditEntry]:
        return list(map(AuditEntry._make, await self.fetch("audit_after", sequence, limit)))
