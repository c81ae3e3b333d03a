"""The explanation of a journey as lines: its text, its depth, and its style on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

JOURNEY_STYLES = {
    "completed": "bold green",
    "goal_met": "bold green",
    "exited": "bold yellow",
    "expired": "bold red",
    "failed": "bold red",
}


def journey_lines(document: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    """Every line, oldest facts first."""
    run = document["journey"]
    status = run["status"]
    yield f"{run['journey']} of {run['recipient']}: {status}", 0, JOURNEY_STYLES.get(status, "bold")
    yield f"journey {run['id']}, began {run['created_at']}", 1, ""
    today = document["version_today"]
    if today is None:
        version = "; the configuration has no journey of this name any more"
    else:
        version = " (the one in force)" if today == run["version"] else f"; in force is {today}"
    yield f"version {run['version']}{version}", 1, ""
    if document["waiting"] is not None:
        yield f"waits {document['waiting']}", 1, "bold"
    if run["reason"] is not None:
        detail = f" ({run['reason_detail']})" if run["reason_detail"] else ""
        yield f"ended for {run['reason']}{detail}", 1, ""
    for number, one in enumerate(document["ends_by"]):
        yield f"{'would end by ' if not number else '           or '}{one}", 1, ""
    yield "", 0, ""
    yield f"What happened (times of {document['time_zone']})", 0, "bold"
    for moment in document["story"]:
        yield f"{moment['at'][:19].replace('T', ' ')}  {moment['said']}", 1, ""
        for step in moment["then"]:
            place = f"step {step['step']}: " if step["step"] else ""
            yield f"{place}{step['said']}", 3, ""
            for one in step["because"]:
                yield f"because {one}", 4, ""
    if document["messages"]:
        yield "", 0, ""
        yield "What it sent", 0, "bold"
    for message in document["messages"]:
        yield f"{message['id']}  {message['policy']}: {message['said']}", 1, ""
    yield "", 0, ""
    yield REPLAYS[document["replays"]], 0, "" if document["replays"] else "red"


REPLAYS = {
    True: "Decided again from its history, it comes to the same state.",
    False: "Decided again from its history, it comes to another state: please report this.",
    None: "The store lacks a version of it, so its history cannot be decided again.",
}
