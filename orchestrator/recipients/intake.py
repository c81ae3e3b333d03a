"""
Recipients of events: what cannot be read of one is left out, with a warning, and everything else
of them and of the others goes on. A caller of the API sees its answer and can correct it; an event
often cannot be sent again, and its phone may have been typed by a customer.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from orchestrator.channels.address_kinds import Misshapen
from orchestrator.channels.registry import address_fields
from orchestrator.core.facts import IntakeWarning
from orchestrator.recipients.fields import CHECKS, check_of, inside, profile_id

WARNINGS_MAX = 20
"""Of one recipient; a list with more faults is wrong as a whole."""
NAME_LENGTH_MAX = 40
NOT_FOR_LETTERS = re.compile(r"[^a-z]+")
ALIKE = 0.8
MEANT = {
    "lang": "locale",
    "language": "locale",
    "tz": "time_zone",
    "zone": "time_zone",
    "sex": "gender",
    "forename": "first_name",
    "givenname": "first_name",
    "surname": "last_name",
    "familyname": "last_name",
    "consent": "consents",
    "userid": "id",
    "recipientid": "id",
}
"""Names that other systems have for our fields, as letters only; addresses bring their own."""


class Unaddressed(Misshapen):
    """A recipient without an id that can be used: nobody can be warned anything about."""


def readable_recipient(
    found: Any, subject: Any, field: str
) -> tuple[dict[str, Any], list[IntakeWarning]]:
    """
    What can be read of a recipient, with its ``id``, and what could not. Raises ``Unaddressed``.
    """
    try:
        id = profile_id(found, subject, field)
    except Misshapen as problem:
        raise Unaddressed(problem.field, problem.what, problem.fix) from None
    profile: dict[str, Any] = {}
    faults: list[Misshapen] = []
    for name, value in found.items():
        check = check_of(name)
        if value is None:
            if name not in ("consents", "attributes"):
                profile[name] = None  # it removes what is stored
        elif name == "id":
            profile[name] = id
        elif check is None:
            profile[name] = value
            if (meant := near(name)) is not None:
                faults.append(misnamed(name, meant, field))
        elif (good := salvaged(value, inside(field, name), check, faults)) is not None:
            profile[name] = good
    profile["id"] = id
    warned = [IntakeWarning(id, one.field, one.what, one.fix) for one in faults[:WARNINGS_MAX]]
    return profile, warned


def salvaged(
    value: Any, field: str, check: Callable[[Any, str], Any], faults: list[Misshapen]
) -> Any:
    """The good part of a field, None if there is none; of a list, each entry is looked at alone."""
    try:
        return check(value, field)
    except Misshapen as problem:
        fault = problem
    if not isinstance(value, list) or fault.field == field:
        faults.append(fault)
        return None
    good = []
    for index, one in enumerate(value):
        try:
            check([one], field)
        except Misshapen as problem:
            place = problem.field.replace(f"{field}[0]", f"{field}[{index}]", 1)
            faults.append(Misshapen(place, problem.what, problem.fix))
        else:
            good.append(one)
    return check(good, field) if good else None


def misnamed(name: str, meant: str, field: str) -> Misshapen:
    what = "there is no such field, so it is kept as an attribute"
    return Misshapen(inside(field, name[:NAME_LENGTH_MAX]), what, f"did you mean {meant}?")


@lru_cache(maxsize=4_096)
def near(name: str) -> str | None:
    """The field that an unknown key may have been meant for."""
    letters = NOT_FOR_LETTERS.sub("", name.lower()[:NAME_LENGTH_MAX])
    aliases = {alias: name for name, kind in address_fields().items() for alias in kind.aliases}
    if (meant := MEANT.get(letters) or aliases.get(letters)) is not None:
        return meant
    if any(c.isdigit() for c in name):
        return None  # email2, phone1: theirs, and meant so
    fields = {known.replace("_", ""): known for known in ("id", *CHECKS, *address_fields())}
    found = difflib.get_close_matches(letters, fields, n=1, cutoff=ALIKE)
    return fields[found[0]] if found else None
