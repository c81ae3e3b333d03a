"""What some policies of some runs have besides: codes of a pool, and an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from orchestrator.core.policy import Arm, Experiment, Policy
from orchestrator.core.values import replace
from orchestrator.engine.codes import CODE_KIND
from orchestrator.recipients.document import AddressHash
from orchestrator.stores.audit import AuditNote
from orchestrator.stores.code_rows import FreeCode
from orchestrator.stores.port import Store
from tests.simulation.options import Options

OFFER_SHARE = 0.25
"""Of the runs."""
POOL = "pool"
ARMS = (Arm("plain", 2), Arm("other", 2), Arm("nobody", 1, hold_out=True))


def offers(options: Options) -> Random | None:
    """What draws the offers of a run, apart from all else; None for a run without any."""
    rng = Random(f"offers {options.seed}")
    return rng if rng.random() < OFFER_SHARE else None


def with_offers(options: Options, policies: Mapping[str, Policy]) -> dict[str, Policy]:
    """The policies, of which some give codes and some try arms: the same in every rulebook."""
    rng, found = offers(options), dict(policies)
    if rng is None:
        return found
    for name in sorted(policies):
        codes, arms = rng.random() < 0.6, rng.random() < 0.5
        if name.startswith("p") and codes:
            found[name] = replace(found[name], codes={"code": POOL})
        if name.startswith("p") and arms:
            found[name] = replace(found[name], experiment=Experiment(name, ARMS))
    return found


def codes_of(options: Options) -> list[str]:
    """The codes of the pool: in some runs too few."""
    few = Random(f"pool {options.seed}").random() < 0.3
    return [f"CODE-{number:04}" for number in range(8 if few else 1_000)]


async def fill(store: Store, options: Options, address_hash: AddressHash) -> None:
    """Import the codes; at every start, because a repeat changes nothing."""
    if offers(options) is None:
        return
    rows = [FreeCode(address_hash(CODE_KIND, code), code) for code in codes_of(options)]
    note = AuditNote("0", options.start, "operator", "codes.imported", POOL)
    await store.import_codes(POOL, "file", rows, options.start, note)
