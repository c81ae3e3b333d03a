"""The age of the stored signing key: links and references depend on it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from orchestrator.doctor.findings import Finding, Subject
from orchestrator.primitives.tokens import DAY_MS, SIGN_DAYS, SigningKeys

LATE_DAYS = 30
STORED_KEYS = "select id, created_at from secrets where purpose = 'signing' order by id desc"


def stored_signing_key(at: Subject, rows: Sequence[Sequence[int]], *, own: bool) -> Finding:
    """
    ``rows`` are those of ``STORED_KEYS``; ``own``: a key of the configuration signs in its place.
    """
    if own:
        return at.fine("signing_key", "`signing_key` of the configuration signs")
    if not rows:
        return at.fine("signing_key", "none yet: it is made at the first start")
    now = int(time.time() * 1000)
    keys = SigningKeys([(id, b"", created_at) for id, created_at in rows], lambda: now)
    days = (now - rows[0][1]) // DAY_MS
    older = keys.verifying() - 1
    what = f"made {days} days ago, replaced by itself after {SIGN_DAYS}; {older} older still verify"
    fix = "start the service, or run: kaskad keys rotate"
    if days > SIGN_DAYS + LATE_DAYS:
        return at.warning("signing_key", what, fix)
    return at.fine("signing_key", what)
