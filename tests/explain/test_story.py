"""
The whole explanation: what moved, what is waited for, what the policy was, and how it is shown.
"""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.channels import Receipt
from orchestrator.cli import app as command
from orchestrator.core.facts import Prepared, Unpreparable
from orchestrator.core.outcomes import Accepted, NotSent, Refused, Unknown
from orchestrator.core.policy import Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.status import Delivery
from orchestrator.core.values import replace
from orchestrator.engine.commands import ApplyFact, Cancel, RecordReceipt
from orchestrator.explain import as_page, as_text
from tests.engine.world import World
from tests.explain.tales import explain, keep, keep_governance, moves

VIBER = Step("viber", wait=(("delivered", 600_000), ("read", 3_600_000)))
TALE = Policy("tale", "v1", "shop.event", (VIBER, Step("sms")), topic="news", template="tale")
HOSTILE = "<script>alert(1)</script>&\"'`x`"


async def test_a_step_that_ran_out_of_time_says_by_when_which_receipt_would_have_kept_it() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish(time_zone="Europe/Kyiv")).messages
        await world.send(id)
        world.at(600)
        await world.fire()
        document = await explain(world, id)
    assert moves(document) == [("left", "not_delivered_in_time")]
    step = document["steps"][0]
    assert (step["state"], step["reason"], document["steps"][1]["state"]) == (
        "left",
        "not_delivered_in_time",
        "running",
    )
    assert (
        "`delivered` by 2026-11-18 13:16:40 Kyiv time (11:16:40 UTC), 10m after the hand-off"
        in step["otherwise"]
    )


async def test_every_instant_stands_in_utc_and_by_the_recipients_clock() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish(time_zone="Asia/Kolkata")).messages
        document = await explain(world, id)
    assert document["zone"] == {"name": "Asia/Kolkata", "of": "recipient"}
    assert document["message"]["trace"][0]["at"] == "2026-11-18T11:06:40.000Z"
    assert document["message"]["trace"][0]["at_local"] == "2026-11-18T16:36:40.000+05:30"
    text = json.dumps(document)
    assert not re.search(r"\b1[78]\d{11}\b", text), "no milliseconds are left for people to read"


async def test_what_is_waited_for_is_said_with_its_time() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        (ready,) = (await explain(world, id))["waiting"]["for"]
        await world.engine.submit(ApplyFact(id, (await prepared(world, id))))
        (sending,) = (await explain(world, id))["waiting"]["for"]
    assert (ready["state"], ready["provider"]) == ("ready", "viber_a")
    assert (sending["state"], sending["until"]) == ("open", "2026-11-18T11:06:55.000Z")


async def prepared(world: World, id: str) -> Prepared:
    from orchestrator.recipients.document import Person
    from orchestrator.stores.rows import Wanted
    from tests.engine.world import address_hash

    people = await world.store.load(Wanted(recipients={"olena"}))
    person = Person("olena", people.recipients["olena"], address_hash)
    return Prepared(0, "viber_a", tuple(a for a in person.addresses if a.kind == "phone"))


async def test_a_handed_off_step_says_which_receipts_are_missing_until_when() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        (wait,) = (await explain(world, id))["waiting"]["for"]
        assert (
            "delivered until 2026-11-18 11:16:40 UTC, in 10m and read until 2026-11-18 12:06:40"
            " UTC, in 1h" in wait["words"]
        )
        await world.engine.submit(
            RecordReceipt("viber_a", Receipt(state=Delivery.DELIVERED), id, 0)
        )
        (wait,) = (await explain(world, id))["waiting"]["for"]
        assert "waits to be read until" in wait["words"]
        assert wait["until"] == "2026-11-18T12:06:40.000Z"


async def test_a_held_step_says_why_and_a_finished_message_waits_for_nothing() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        await world.send(id, NotSent(Reason.THROTTLED, 30_000, "429"))
        document = await explain(world, id)
        (wait,) = document["waiting"]["for"]
        assert (wait["state"], wait["reason"], wait["until"]) == (
            "held",
            "throttled",
            "2026-11-18T11:07:10.000Z",
        )
        assert moves(document) == [("held", "throttled")]
        assert document["message"]["trace"][-1]["moves"][0]["otherwise"].endswith(
            "viber_a said throttled, code 429."
        )
        await world.engine.submit(Cancel(id))
        ended = await explain(world, id)
    assert ended["waiting"] is None
    assert (ended["message"]["status"], ended["message"]["reason"]) == ("cancelled", "cancelled")
    assert (
        ended["message"]["otherwise"] == "Had nobody cancelled it, the cascade would have gone on."
    )


async def test_too_dear_says_by_how_much() -> None:
    policy = Policy("tale", "v1", "shop.event", (Step("sms", max_cost="0.85"),))
    async with World(policy) as world:
        (id,) = (await world.publish()).messages
        await world.engine.submit(
            ApplyFact(id, Prepared(0, "texts", (await prepared(world, id)).targets, "c", 1, "1.20"))
        )
        document = await explain(world, id)
    found = document["message"]["trace"][-1]["moves"][0]
    assert found["reason"] == "too_expensive"
    assert "At 1.20 UAH it was 0.35 UAH dearer than `max_cost` (0.85)" in found["otherwise"]


@pytest.mark.parametrize(
    ("reason", "detail", "says"),
    [
        (Reason.MISSING_VARIABLE, "event.total", "`event.total` would have had to be there"),
        (Reason.TOO_LONG, "3 parts, at most 2", "It took 3 parts, where `max_parts` allows 2."),
        (Reason.TEMPLATE_ERROR, "division by zero", "It was: division by zero"),
    ],
)
async def test_content_that_could_not_be_made_says_what_was_missing(
    reason: Reason, detail: str, says: str
) -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        await world.engine.submit(ApplyFact(id, Unpreparable(0, reason, detail)))
        document = await explain(world, id)
    assert says in document["steps"][0]["otherwise"]


async def test_a_refusal_and_an_unknown_outcome_say_what_the_provider_said() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        await world.send(id, Refused(Reason.REFUSED_RECIPIENT, "7201", "no Viber"))
        await world.send(id, Unknown(Reason.TIMED_OUT))
        world.at(700)
        await world.fire()
        document = await explain(world, id)
    assert (
        "viber_a said refused_recipient, code 7201, “no Viber”."
        in document["steps"][0]["otherwise"]
    )
    assert document["message"]["reason"] == "unknown_outcome"
    assert (
        "Any receipt for attempt 1 (sms by texts) would have settled it"
        in document["message"]["otherwise"]
    )


async def test_attempts_have_their_receipts_in_the_order_they_came() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        failure = Refused(Reason.REFUSED_RECIPIENT, "12")
        world.at(5)
        await world.engine.submit(RecordReceipt("viber_a", Receipt(state=Delivery.SENT), id, 0))
        await world.engine.submit(
            RecordReceipt("viber_a", Receipt(state=Delivery.FAILED, failure=failure), id, 0)
        )
        attempt, *_ = (await explain(world, id))["message"]["attempts"]
    assert [
        (receipt["state"], (receipt["error"] or {}).get("code")) for receipt in attempt["receipts"]
    ] == [
        ("sent", None),
        ("failed", "12"),
    ]


async def test_the_history_is_decided_again_and_that_is_said() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        await world.send(id)
        assert (await explain(world, id))["replay"]["same"] is True


async def test_a_policy_that_is_another_one_today_is_shown_as_it_was_with_every_difference() -> (
    None
):
    async with World(TALE) as world:
        await keep(world, TALE, "policy: tale\ncascade: [viber]\n", {"sms.text.j2": "old"})
        await keep_governance(world, world.rules.governance)
        (id,) = (await world.publish()).messages
        faster = replace(VIBER, wait=(("delivered", 60_000),))
        today = replace(TALE, version="v2", cascade=(faster,), deadline_ms=3_600_000)
        world.rules = dataclasses.replace(world.rules, policies={"tale": today})
        await keep(world, today, "policy: tale\ncascade: [viber, fast]\n", {"sms.text.j2": "new"})
        policy = (await explain(world, id, kept=False))["policy"]
    assert (policy["version"], policy["version_today"], policy["differs"]) == ("v1", "v2", True)
    assert policy["text"] == "policy: tale\ncascade: [viber]\n"
    assert "-cascade: [viber]" in policy["diff"]
    changed = {change["where"]: (change["then"], change["now"]) for change in policy["differences"]}
    assert changed["deadline"] == ("1d", "1h")
    assert changed["cascade[0].wait[0]"] == ("delivered: 10m", "delivered: 1m")
    assert changed["cascade[0].wait[1]"] == ("read: 1h", "—")
    assert changed["cascade[1]"][1] == "—"
    assert changed["templates/tale/sms.text.j2"] == ("another text", "another text")


async def test_a_message_under_way_says_how_far_it_is() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        assert (await explain(world, id))["message"]["sentence"] == "Under way, nothing sent yet."
        await world.send(id, Accepted("p-1"))
        assert (await explain(world, id))["message"]["sentence"] == "Under way, 1 send so far."


async def test_a_policy_that_is_gone_is_said_to_be_gone() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        world.rules = dataclasses.replace(world.rules, policies={})
        policy = (await explain(world, id))["policy"]
    assert (policy["version_today"], policy["differs"], policy["text"]) == (None, True, None)
    assert "there is no such policy any more; the store no longer keeps its text" in policy["words"]


class Tags(HTMLParser):
    """The tags of a page, and every address it would load something from."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "srcset")]


async def hostile() -> dict[str, Any]:
    """A message with hostile text in every field that outsiders write."""
    policy = replace(
        TALE,
        topic=HOSTILE,
        cascade=(Step("viber", when=f'event.x != "{HOSTILE[:8]}"'), Step("sms")),
    )
    async with World(policy) as world:
        await keep(world, policy, f"policy: {HOSTILE}\n")
        (id,) = (await world.publish(HOSTILE, {"x": HOSTILE})).messages
        await world.send(id, Refused(Reason.REFUSED_RECIPIENT, HOSTILE, HOSTILE))
        await world.send(id, Accepted(HOSTILE))
        return await explain(world, id)


async def test_the_page_escapes_every_word_runs_nothing_and_loads_nothing() -> None:
    page = as_page(await hostile())
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.tags
    assert tags.loads == []
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page


async def test_text_and_page_show_the_same_story() -> None:
    async with World(TALE) as world:
        (id,) = (await world.publish(time_zone="Europe/Kyiv")).messages
        await world.send(id)
        world.at(600)
        await world.fire()
        document = await explain(world, id)
    text, page = as_text(document), as_page(document)
    for words in [
        document["message"]["sentence"],
        *(entry["words"] for entry in document["message"]["trace"]),
    ]:
        assert words in text
        assert words in page
    assert "policy: tale" in text
    assert "policy: tale" not in as_text(document, policy=False)


async def test_a_chain_is_shown_in_both_directions() -> None:
    after = Policy("after", "v1", "kaskad.message.succeeded", (Step("email"),))
    of_first = replace(after, when="event.policy == 'tale'")
    last = Policy("last", "v1", "kaskad.message.accepted", (Step("email"),), when="event.hops == 1")
    async with World(replace(TALE, cascade=(Step("viber"),)), of_first, last) as world:
        (first,) = (await world.publish()).messages
        await world.send(first)
        (second,) = await world.store.messages(policy="after")
        (third,) = await world.store.messages(policy="last")
        middle = await explain(world, second.message.id)
        ends = await explain(world, third.message.id)
    assert (middle["chain"]["hops"], middle["chain"]["hops_max"]) == (1, 8)
    assert [(one["message"], one["event"]) for one in middle["chain"]["before"]] == [
        (first, "kaskad.message.succeeded")
    ]
    assert [(one["message"], one["policy"]) for one in middle["chain"]["after"]] == [
        (third.message.id, "last")
    ]
    assert [one["message"] for one in ends["chain"]["before"]] == [first, second.message.id]
    words = f"{first} of tale led by kaskad.message.succeeded to {second.message.id}, hop 1 of 8"
    for shown in (as_text(middle), as_page(middle), as_text(ends), as_page(ends)):
        assert words in shown
    assert f"started   {third.message.id} of last" in as_text(middle)
    assert f"kaskad.message.succeeded of message {first} started it" in as_text(middle)


CONFIG = """
store: sqlite:///k.db
channels:
  sms: [{provider: note, adapter: log}]
"""
POLICY = "policy: tale\ntrigger: {event: tale}\ncascade: [{channel: sms}]\n"
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "t",
    "type": "tale",
    "data": {"recipient": {"id": "olena", "time_zone": "Europe/Kyiv"}},
}


@pytest.fixture
def installation(tmp_path: Path) -> tuple[Path, str]:
    """A configuration whose store has one message; nothing runs."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "tale.yaml").write_text(POLICY)
    (tmp_path / "templates" / "tale").mkdir(parents=True)
    (tmp_path / "templates" / "tale" / "sms.text.j2").write_text("hello")
    (tmp_path / "governance.yaml").write_text("sms_countries: [UA]\n")
    config = tmp_path / "kaskad.yaml"
    config.write_text(CONFIG + "templates: ./templates\nhttp: {auth: off}\n")
    event = tmp_path / "event.json"
    event.write_text(json.dumps(EVENT))
    sent = CliRunner().invoke(command, ["send", str(event), "-c", str(config), "-o", "json"])
    assert sent.exit_code == 0, sent.output
    return config, json.loads(sent.stdout)["results"][0]["messages"][0]


def test_the_verb_prints_text_json_or_a_page_and_writes_files(
    installation: tuple[Path, str],
) -> None:
    config, id = installation
    run = CliRunner()
    text = run.invoke(command, ["explain", id, "-c", str(config)])
    assert text.exit_code == 0, text.output
    assert "needed a phone number" in text.stdout
    assert POLICY.splitlines()[0] in text.stdout
    document = json.loads(
        run.invoke(command, ["explain", id, "-c", str(config), "-o", "json"]).stdout
    )
    assert document["message"]["reason"] == "no_address"
    page = config.with_name("page.html")
    assert (
        run.invoke(
            command, ["explain", id, "-c", str(config), "-o", "html", "--out", str(page)]
        ).exit_code
        == 0
    )
    assert page.read_text().startswith("<!doctype html>")


def test_the_verb_says_what_is_wrong_with_its_arguments(installation: tuple[Path, str]) -> None:
    config, id = installation
    run = CliRunner()
    unknown = run.invoke(command, ["explain", "no/such?id", "-c", str(config)])
    assert unknown.exit_code == 1
    assert unknown.stderr.startswith("no/such?id: there is no message with this id, no event")
    odd = run.invoke(command, ["explain", id, "-c", str(config), "-o", "pdf"])
    assert (odd.exit_code, odd.stderr.strip()) == (2, "-o takes text, json or html, not 'pdf'")
    nowhere = run.invoke(command, ["explain", id, "-c", str(config), "--out", str(config / "x")])
    assert nowhere.exit_code == 2
    assert "Not a directory" in nowhere.stderr


def test_the_service_knows_todays_rules(installation: tuple[Path, str]) -> None:
    config, id = installation
    (config.parent / "policies" / "tale.yaml").write_text(POLICY + "deadline: 2h\n")
    found = CliRunner().invoke(command, ["explain", id, "-c", str(config), "-o", "json"])
    policy = json.loads(found.stdout)["policy"]
    assert policy["differences"] == [{"where": "deadline", "then": "1d", "now": "2h"}]


async def test_a_terminal_gets_the_same_words_wrapped_to_its_width(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from orchestrator.explain import print_rich

    async with World(TALE) as world:
        (id,) = (await world.publish()).messages
        document = await explain(world, id)
    print_rich(document)
    shown = capsys.readouterr().out
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "".join(shown.split()) == "".join(as_text(document).split())
