"""
P2: nothing is sent twice by us. P5: a send is recorded before it leaves, and a late one never
leaves.

Of one step at most one request is taken by a provider (by a browser each, where there are several),
however often a process crashed; a policy that says ``on_unknown: resend`` may have one more.
No request is written twice. Every request has an intent that was durable before it, and reaches the
provider within a second of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.checks.evidence import Evidence, Sent

START_SECONDS = 1.0
MAIL_SECONDS = 9.0
"""A mail's dialogue starts within a second, and its final dot is out within eight more."""
EPSILON = 0.01


def check(evidence: Evidence) -> Iterator[str]:
    """Each broken promise in a sentence."""
    for write in evidence.strays:
        yield (
            f"P5 {write.provider} got a request whose reference belongs to no attempt in the store"
        )
    for sent in evidence.sent:
        yield from alone(evidence, sent)
    for (message, number), several in evidence.sent_of.items():
        if len(several) > 1:
            yield f"P2 {evidence.name(message)}: attempt {number} was written {len(several)} times"
    steps: dict[tuple[str, int, str], list[Sent]] = {}
    for sent in evidence.sent:
        device = sent.write.address if sent.write.channel == "web_push" else ""
        steps.setdefault((sent.message.id, sent.step, device), []).append(sent)
    for (message, step, _), several in steps.items():
        taken = [sent for sent in several if sent.write.accepted]
        allowed = 2 if evidence.step(several[0]).on_unknown == "resend" else 1
        if len(taken) > allowed:
            providers = ", ".join(sent.write.provider for sent in taken)
            yield (
                f"P2 {evidence.name(message)}: step {step} was taken {len(taken)} times"
                f" ({providers})"
            )


def alone(evidence: Evidence, sent: Sent) -> Iterator[str]:
    """Check each write by itself."""
    name = f"{evidence.name(sent.message.id)}: attempt {sent.attempt.number}"
    human = evidence.humans[sent.message.recipient]
    addresses = [human.profile.get(kind) for kind in ("phone", "email", "viber_bot_id")]
    addresses += [one["endpoint"] for one in human.profile.get("web_push", ())]
    if sent.write.address not in addresses:
        yield f"P4 {name} went to {sent.write.address}, which is not {human.id}'s"
    if sent.message.gathers:
        return  # see digests.py
    wanted = (
        f"<{evidence.published[sent.message.event_id].what['cart']}, {sent.message.policy},"
        f" {human.id}>"
    )
    if wanted not in sent.write.text:
        yield f"P4 {name} says something else than {wanted}: {sent.write.text}"
    if sent.intent is None or sent.intent.order > sent.write.moment.order:
        yield f"P5 {name} reached {sent.write.provider} before its intent was durable"
        return
    limit = MAIL_SECONDS if sent.write.channel == "email" else START_SECONDS
    late = sent.write.moment.at - sent.intent.at
    if late > limit + EPSILON:
        yield f"P5 {name} reached {sent.write.provider} {late:.1f} s after its intent"
    honest = sent.intent.wall - sent.attempt.intent_at
    if not -EPSILON <= honest <= (START_SECONDS + EPSILON) * 1000 and not evidence.jumped(
        sent.intent.at - 2, sent.intent.at
    ):
        yield f"P5 {name} says that it was decided {honest} ms before it was durable"
