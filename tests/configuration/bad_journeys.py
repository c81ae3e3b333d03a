"""Journeys that are wrong, and what is said of them."""

from __future__ import annotations

HEAD = "journey: j\nenter: {event: e}\n"
STEPS = HEAD + "steps:\n"

BAD_JOURNEYS: list[tuple[str, list[str]]] = [
    ("", ["1:1: the file holds no journey; write `journey:`, `enter:` and `steps:`"]),
    ("- a", ["1:1: the journey is a list; write `journey:`, `enter:` and `steps:`"]),
    (
        "policy: p\ntrigger: {event: e}\ncascade: [{channel: sms}]",
        ["1:1: the file holds a policy, not a journey; move it to the directory of policies"],
    ),
    (
        "journey: j\ntests: []",
        [
            "1:1: the file holds tests, and its name does not end in .test.yaml;"
            " rename it to <journey>.test.yaml"
        ],
    ),
    (HEAD + "steps: []", ["3:8: the journey has no steps; write at least one: - send: welcome"]),
    (
        "journey: j\nsteps: [{send: a}]",
        ["1:1: the journey has no `enter`; say what starts it: enter: {event: …}"],
    ),
    (
        "journey: j\nenter: {event: e, again: sometimes}\nsteps: [{send: a}]",
        ["2:26: `again` cannot be 'sometimes'; write never, after_end or always"],
    ),
    (HEAD + "stage: retenton\nsteps: [{send: a}]", ["3:8: `stage` cannot be 'retenton'; did you"]),
    (STEPS + "  - send", ["4:5: the step is a text; write {send: send}"]),
    (STEPS + "  - {wiat: 3d}", ["4:6: the step has no key 'wiat'; did you mean 'wait'?"]),
    (STEPS + "  - {}", ["4:5: the step does nothing; write one of send, wait, until,"]),
    (
        STEPS + "  - {send: a, wait: 3d}",
        ["4:5: the step does 2 things: send or wait; write each as a step of its own"],
    ),
    (STEPS + "  - {wait: }", ["4:6: `wait` is empty; write a value, or remove the key"]),
    (
        STEPS + '  - {until: "25:00"}',
        ["4:13: `until` '25:00' is not a time of day; write the time of day: \"09:00\""],
    ),
    (
        STEPS + '  - {until: {weekday: fry, at: "18:00"}}',
        ["4:23: `weekday` cannot be 'fry'; did you mean 'fri'?"],
    ),
    (
        STEPS + "  - {until: {weekday: fri}}",
        ['4:13: `until` has no `at`; write the time of day: "09:00"'],
    ),
    (
        STEPS + "  - {until: {evnt: a}}",
        ["4:14: `until` has no key 'evnt'; did you mean 'event'?"],
    ),
    (
        STEPS + "  - {split: {calm: []}}",
        ["4:13: `split` has no `weights`; give each arm a weight: weights: {calm: 50, bold: 50}"],
    ),
    (
        STEPS + "  - {split: {weights: {calm: 50}, calm: []}}",
        [
            "4:23: a split with one arm splits nobody; name another arm, or write its steps"
            " without a split"
        ],
    ),
    (
        STEPS + "  - {split: {weights: {calm: 50, bold: 0}, calm: [], bold: []}}",
        ["4:40: `bold` cannot be 0; write a number from 1 to 1000000"],
    ),
    (
        STEPS + "  - {split: {weights: {calm: 50, bold: 20}, calm: [], brave: []}}",
        [
            "4:34: the arm 'bold' has no steps; write bold: [{send: …}], or bold: [] for nothing",
            "4:55: the arm 'brave' has no weight; write brave: 50 under `weights`, or remove it",
        ],
    ),
    (
        STEPS + "  - {branch: []}",
        ["4:14: `branch` has no branches; write branch: [{when: "],
    ),
    (
        STEPS + "  - {branch: {when: a}}",
        ["4:14: `branch` is a mapping; write a list of branches, each with a dash: - when: …"],
    ),
    (
        STEPS + "  - {repeat: {times: 0, steps: [{send: a}]}}",
        ["4:22: `times` cannot be 0; write a number from 1 to 1000"],
    ),
    (
        STEPS + "  - {repeat: {times: 2, steps: []}}",
        ["4:14: `repeat` repeats nothing; write what is repeated: steps: [{send: a}]"],
    ),
    (
        STEPS + "  - {wait: 3d, then: at_once}",
        ["4:16: `wait` has no `then`; write the next step"],
    ),
    (
        STEPS + "  - {send: a, then: [{send: b}]}",
        [
            "4:21: `then` of a send is a list of steps; write them as the next steps: a send is"
            " waited for anyway"
        ],
    ),
    (
        STEPS + "  - {send: a, then: atonce}",
        ["4:21: `then` cannot be 'atonce'; did you mean 'at_once'?"],
    ),
    (
        STEPS + "  - {send: a, else: [{send: b}]}",
        ["4:15: `send` has no `else`; write it after `until: {event: …}`, or as a branch"],
    ),
    (
        STEPS + "  - {until: {event: e}, then: at_once}",
        ["4:31: `then` is a text; write a list of steps: then: [at_once]"],
    ),
    (STEPS + "  - {set: {}}", ["4:11: `set` sets nothing; write set: {tier: \"'vip'\"}"]),
    (
        STEPS + "  - {set: {phone: \"'1'\"}}",
        [
            "4:12: `set` cannot set 'phone': it is a field of the profile, not an attribute;"
            " send it with an event or over the API"
        ],
    ),
    (
        STEPS + '  - {publish: {data: {a: "b"}}}',
        ["4:15: `publish` has no `type`; name the CloudEvents type: type: crm.done"],
    ),
    (
        STEPS + "  - {publish: {type: kaskad.reply}}",
        [
            "4:22: the event type 'kaskad.reply' is one of ours; write a type of your own, such as"
            " crm.trek.done"
        ],
    ),
]
