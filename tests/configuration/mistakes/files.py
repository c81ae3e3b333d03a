"""Mistakes of YAML itself, of files and folders, and of policy tests."""

from __future__ import annotations

from tests.configuration.mistakes.mistake import Mistake, edits, renamed, whole
from tests.configuration.mistakes.project import CART, GOVERNANCE, KASKAD

SETTINGS = "config/kaskad.yaml"
RULES = "config/governance.yaml"
POLICY = "config/policies/cart.yaml"
TEST = "config/policies/cart.test.yaml"


def yaml_mistakes(path: str, text: str, first: str) -> list[Mistake]:
    """What can be wrong with any YAML file, played on one of them."""
    line = text.splitlines().index(first) + 1
    key = first.partition(":")[0]
    rest = first.partition(":")[2]
    swapped = {
        f"\t{first}": ("a tab", "spaces"),
        f"{first}\n{first}": (f"'{key}' is here twice", "remove one"),
        f'{key}: "unclosed': ("", "quote"),
        f"{key}: [unclosed": ("", "bracket"),
        f"{key}: {{unclosed": ("", "bracket"),
        f"{key}{rest.strip() and ' ' + rest.strip()}": ("", "key: value"),
        f"{key}: a: b": ("", "quote"),
        f"{key}: @at": ("", "quote"),
        f"{key}: %x": ("", "quote"),
        f"{key}: `x`": ("", "quote"),
        f"{key}: *nowhere": ("*nowhere has no anchor", "&nowhere"),
        f"{key}: !!python/object:os.system x": ("tag", "remove it"),
        f"{key}: !env X": ("tag !env", "remove it"),
        f"{key}: a\x00b": ("U+0000", "remove it"),
        f"{key}: a\x07b": ("U+0007", "remove it"),
        f"{key}: {'[' * 60}{']' * 60}": ("levels deep", "flatten"),
        f"? [a, b]\n: c\n{first}": ("a key must be a word", "plain word"),
        f"<<: {{a: b}}\n{first}": ("merge keys", "write the keys out"),
        f" {first}": ("", "indentation"),
        f"---\n{first}\n---\na: b": ("second YAML document", "one document"),
        f"“{key}”:{rest}": ("no key", f"'{key}'"),
        f"{key} :{rest}\n{key}:{rest}": ("is here twice", "remove one"),
    }
    made: list[Mistake] = []
    for wrong, (said, fix) in swapped.items():
        broken = text.replace(first + "\n", wrong + "\n", 1)
        assert broken != text
        made.append(whole(path, broken, said, fix, first=line + (" is here twice" in said)))
    return made


BYTES = [
    whole(SETTINGS, KASKAD.encode("utf-16"), "not UTF-8", "save it as UTF-8"),
    whole(RULES, ("# Київ\n" + GOVERNANCE).encode("cp1251"), "not UTF-8", "save it as UTF-8"),
    whole(POLICY, ("# Кошик\n" + CART).encode("cp1251"), "not UTF-8", "save it as UTF-8"),
    whole(SETTINGS, ("# Кошик\n" + KASKAD).encode("cp1251"), "not UTF-8", "save it as UTF-8"),
    whole(POLICY, CART + "#" * 1_100_000, "larger than", "split it"),
    whole(SETTINGS, "", "the configuration is empty", "channels:"),
    whole(SETTINGS, "# nothing\n", "the configuration is empty", "channels:"),
    whole(SETTINGS, "- a\n", "the configuration is a list", "channels:"),
    whole(SETTINGS, "kaskad\n", "the configuration is a text", "channels:"),
    whole(SETTINGS, "channels: {}\n", "names no channel", "sms:"),
    whole(SETTINGS, "channels:\n", "no `channels`", "channels:"),
    whole(SETTINGS, "channels: [sms]\n", "`channels` is a list", "mapping"),
    whole(RULES, "- a\n", "the governance is a list", "mapping"),
    whole(RULES, "UA\n", "the governance is a text", "mapping"),
]

FOLDERS = [
    renamed(POLICY, "config/policies/cart.yml", "warning: this file is not read", "cart.yaml"),
    renamed(POLICY, "config/policies/cart", "warning: this file is not read", "cart.yaml"),
    renamed(POLICY, "config/policies/cart.yaml.txt", "warning: this file is not", "cart.yaml"),
    renamed(POLICY, "config/policies/promo/cart.yaml", "warning: this file is not", "policies"),
    renamed(TEST, "config/policies/cart.tests.yaml", "tests", "cart.test.yaml"),
    renamed(TEST, "config/policies/cart_test.yaml", "tests", "cart.test.yaml"),
    renamed(TEST, "config/policies/test_cart.yaml", "tests", "cart.test.yaml"),
    renamed(TEST, "config/policies/cart.test.yml", "warning: this file", "cart.test.yaml"),
    renamed(TEST, "config/policies/cart-test.yml", "warning: this file", "cart.test.yaml"),
    renamed(TEST, "config/policies/cart.Test.yaml", "tests", "cart.test.yaml"),
    renamed(RULES, "config/policies/governance.yaml", "governance", "config/governance.yaml"),
]

STEPS = "      steps: [0s send viber]\n"
TESTS = edits(
    TEST,
    [
        ("policy: cart\n", "policy: carts\n", "warning: there is no policy 'carts'", "'cart'"),
        ("policy: cart\n", "polcy: cart\n", "warning: the test file has no key", "'policy'"),
        ("tests:\n", "test:\n", "warning: the test file has no key 'test'", "'tests'"),
        ("    expect:\n", "    expects:\n", "warning: the test has no key", "'expect'"),
        ("    expect:\n", "    then:\n", "warning: the test has no key 'then'", "expect"),
        (STEPS, "      steps: [0s sent viber]\n", "warning:", "send"),
        (STEPS, "      steps: [send viber]\n", "warning:", "0s"),
        (STEPS, "      steps: [0s send vibr]\n", "warning:", "'viber'"),
        (STEPS, "      step: [0s send viber]\n", "warning:", "'steps'"),
        ("succeeded by viber", "succeded by viber", "warning:", "succeeded"),
        ("succeeded by viber", "delivered by viber", "warning:", "succeeded"),
        ("{viber: {delivered: 30s", "{vibr: {delivered: 30s", "warning:", "'viber'"),
        ("{viber: {delivered: 30s", "{viber: {deliverd: 30s", "warning:", "'delivered'"),
        ("{viber: {delivered: 30s", "{viber: {delivered: 30", "warning:", "30s"),
        ("locale: uk-UA", "locale: ukrainian", "warning:", "uk-UA"),
        ("phone: true", 'phone: "12"', "warning:", "+380"),
        ('"2026-11-21T10:00:00+02:00"', "tomorrow", "warning:", "2026"),
        ("given:\n  now", "givn:\n  now", "warning: the test file has no key", "'given'"),
    ],
)

MISTAKES = [*BYTES, *FOLDERS, *TESTS]
YAML_LEVEL = [
    *yaml_mistakes(SETTINGS, KASKAD, "migrate: auto"),
    *yaml_mistakes(RULES, GOVERNANCE, "time_zone: Europe/Kyiv"),
    *yaml_mistakes(POLICY, CART, "topic: cart_reminders"),
]
