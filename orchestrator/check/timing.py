"""What is wrong with the keys of a policy that say when it is sent."""

from __future__ import annotations

from orchestrator.check.installation import Installation
from orchestrator.configuration.governance_file import DAY_MINUTES
from orchestrator.configuration.policy_file import PolicyFile
from orchestrator.configuration.reading import Report, place
from orchestrator.core.policy import MINUTE_MS, OTP
from orchestrator.primitives.durations import duration


def lint_digest(file: PolicyFile, installation: Installation) -> None:
    """Report a digest that makes no sense for its class, its deadline or its templates."""
    policy, report = file.policy, installation.report
    digest = policy.digest
    if digest is None:
        return
    at = place(file.root, "digest")
    if policy.message_class == OTP:
        what = "a one-time code would wait until the digest has gathered"
        report.error(at, what, "remove `digest`, or write another `class`")
    window_ms, dedupe = digest.window_ms, policy.dedupe
    if dedupe is not None and dedupe.key == digest.key and dedupe.window_ms >= (window_ms or 0):
        what = "`dedupe` has the key of the digest: each event but the first is a duplicate"
        report.error(at, what, "name in dedupe.key what makes one event, such as event.id")
    if window_ms is not None and window_ms > policy.deadline_ms:
        gathers = duration(window_ms, units=4)
        what = f"it gathers for {gathers}, and is sent within {duration(policy.deadline_ms)} then"
        report.warn(at, what, "is the deadline meant? it counts from the end of the window")
    templates = installation.templates
    names = templates.channels(policy.template) if templates is not None else ()
    if templates is not None and names:
        parts = [part for name in names for *_, part in templates.written(policy.template, name)]
        named = {path[0] for part in parts for path in part.variables}
        if "events" not in named:
            what = f"no template of {policy.template!r} names `events`: only the first one is told"
            fix = "loop over them: {% for one in events %}{{ one.title }}{% endfor %}"
            report.warn(at, what, fix)


def lint_send_at(file: PolicyFile, report: Report) -> None:
    """Report hours that a one-time code would wait for, or that come after the deadline."""
    policy, send_at = file.policy, file.policy.send_at
    if send_at is None:
        return
    if policy.message_class == OTP:
        what = "a one-time code would wait for an hour of the day"
        fix = "remove `send_at`, or write another `class`"
        report.error(place(file.root, "send_at"), what, fix)
        return
    if send_at.between is not None:
        closed_ms = (send_at.between.start - send_at.between.end) % DAY_MINUTES * MINUTE_MS
        if closed_ms >= policy.deadline_ms:
            waits = duration(closed_ms, units=4)
            what = f"it may wait {waits} for its hours, longer than the deadline"
            fix = "lengthen the deadline, or what comes in the evening is never sent"
            report.warn(place(file.root, "send_at", "between"), what, fix)
    if send_at.best_hour and send_at.within_ms > policy.deadline_ms:
        what = f"the deadline of {duration(policy.deadline_ms)} ends the wait for the best hour"
        report.warn(place(file.root, "send_at"), what, "shorten `within`, or lengthen the deadline")
