"""
Codes for messages: taken in the transaction that accepts a message, and given back in the one in
which it ends if no provider has ever read it.

A message has its codes with its event, by the names that its templates know: ``{"codes": {"code":
["spring", "SPRING-7F3K"]}}``. No decision looks at a code; it only knows whether one was left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from orchestrator.core.policy import Policy
from orchestrator.engine.commands import Command, Publish, RetryMessage
from orchestrator.engine.rules import Rules
from orchestrator.engine.unit_of_work import UnitOfWork, WorkingMessage
from orchestrator.recipients.document import AddressHash
from orchestrator.stores.code_rows import FreeCode, ReturnedCode, TakenCode

CODE_KIND = "code"
"""What a code's keyed hash is made with."""
FOLLOWING_MIN = 16
"""So many codes are at hand for messages that inside events may start."""


def codes_wanted(rules: Rules, commands: Sequence[Command]) -> dict[str, int]:
    """How many codes of each pool a batch may give at most."""
    wanted: Counter[str] = Counter()
    following = 0
    for policy in rules.with_codes:
        started = 0
        for command in commands:
            if isinstance(command, Publish) and command.event.type == policy.event:
                started += len(command.event.recipients)
            started += isinstance(command, RetryMessage)
        if not policy.event or rules.comes_from_within(policy.event):
            following = max(FOLLOWING_MIN, 2 * len(commands))
            started += following
        if started:
            wanted.update(dict.fromkeys(policy.codes.values(), 0))
            for pool in policy.codes.values():
                wanted[pool] += started
    return dict(wanted)


def give_codes(work: UnitOfWork, policy: Policy, entry: WorkingMessage, now: int) -> dict[str, str]:
    """
    Give a new message a code of each pool of its policy, or none if a pool is empty: that is then
    the input of its decision. Raises ``NotLoaded``.
    """
    got: list[tuple[str, str, FreeCode]] = []
    for name, pool in policy.codes.items():
        code = work.codes.take(pool)
        if code is None:
            for _, other, taken in got:
                work.codes.put_back(other, taken)
            return {"empty_pool": pool}
        got.append((name, pool, code))
    id = entry.message.id
    work.changes.codes_taken.extend(TakenCode(pool, code.hash, id, now) for _, pool, code in got)
    entry.event = {**entry.event, "codes": {name: [pool, code.code] for name, pool, code in got}}
    return {}


def return_codes(work: UnitOfWork, entry: WorkingMessage, address_hash: AddressHash) -> None:
    """Give the codes of a message back to their pools."""
    changes, message = work.changes, entry.message.id
    for pool, code in entry.event["codes"].values():
        hash = address_hash(CODE_KIND, code)
        taken = next((one for one in changes.codes_taken if one[:3] == (pool, hash, message)), None)
        if taken is not None:
            changes.codes_taken.remove(taken)  # by this very batch: there is nothing to write
        else:
            changes.codes_returned.append(ReturnedCode(pool, hash, message, code))
        work.codes.put_back(pool, FreeCode(hash, code))
    if entry.before is None:  # it is not stored yet, and need not name them
        entry.event = {name: part for name, part in entry.event.items() if name != "codes"}
