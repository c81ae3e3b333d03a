"""What was accepted of an event otherwise than it came, as warnings to its publisher."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.facts import IntakeWarning
from orchestrator.engine.journeys import RUNNING_MAX, Taken
from orchestrator.events.event import Event
from orchestrator.recipients.document import PROFILE_BYTES_MAX, Person


def trimmed_warnings(person: Person) -> list[IntakeWarning]:
    """A warning where a profile has lost attributes to this event."""
    if not person.trimmed:
        return []
    names = ", ".join(name[:40] for name in person.trimmed[:5])
    more = len(person.trimmed) - 5
    what = (
        f"with this event the profile became larger than {PROFILE_BYTES_MAX // 1024} KiB, and lost"
        f" {names}" + (f" and {more} more" if more > 0 else "")
    )
    fix = "send in `attributes` what templates and conditions read of a person, the rest in `data`"
    person.trimmed.clear()
    return [IntakeWarning(person.id, "attributes", what, fix)]


def crowded_warnings(person: Person, taken: Taken) -> Iterator[IntakeWarning]:
    """A warning for each journey that did not begin because too many of the person's run."""
    for name in taken.crowded:
        what = f"journey {name} did not begin: {RUNNING_MAX} journeys of this person run already"
        fix = "end those that are over (`kaskad journeys list`), or give the journey a `key`"
        yield IntakeWarning(person.id, "journeys", what, fix)


def by_recipient(event: Event) -> dict[str | None, tuple[IntakeWarning, ...]]:
    """The warnings about each recipient."""
    found: dict[str | None, tuple[IntakeWarning, ...]] = {}
    for one in event.warnings:
        found[one.recipient] = (*found.get(one.recipient, ()), one)
    return found
