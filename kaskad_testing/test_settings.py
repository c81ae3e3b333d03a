"""Every adapter: what it is registered as, and its settings."""

from __future__ import annotations

import pydantic

from kaskad_testing.cases import of, runs
from kaskad_testing.checks import expect, short
from kaskad_testing.examples import Examples
from kaskad_testing.finding import brought

pytest_generate_tests = runs


def test_every_registered_adapter_brings_wire_examples(target: str, adapter: str) -> None:
    found = brought(target)
    expect(
        [one.adapter for one in found.examples].count(adapter) == 1,
        f"{adapter} is registered, but has not exactly one table of wire examples",
        f"write examples_{adapter}.py with EXAMPLES = Examples(adapter={adapter!r}, …)",
    )
    expect(
        found.adapters[adapter].name == adapter,
        f"it is registered as {adapter!r}, but its `name` is {found.adapters[adapter].name!r}",
        "give both the same name",
    )


@of()
def test_an_unknown_setting_is_refused_by_its_name(examples: Examples) -> None:
    said = ""
    try:
        examples.build(surprise=1)
    except pydantic.ValidationError as error:
        said = str(error)
    expect(
        "surprise" in said,
        "the setting `surprise`, which it does not have, was taken",
        'derive the settings from ch.AdapterSettings and leave its extra="forbid"',
    )


@of()
def test_secrets_are_in_no_representation(examples: Examples) -> None:
    adapter = examples.build()
    shown = (
        f"{adapter.settings!r} {adapter.settings} {adapter!r} {adapter.settings.model_dump_json()}"
    )
    leaked = [secret for secret in examples.secrets if secret in shown]
    expect(
        not leaked,
        f"printing the settings shows {len(leaked)} of its secrets",
        "declare each secret as ch.Secret (one) or ch.Secrets (several)",
    )


@of()
def test_the_settings_have_a_schema_for_editors(examples: Examples) -> None:
    schema = examples.adapter_type.settings_type.model_json_schema(by_alias=True)
    missing = sorted(set(examples.settings) - set(schema["properties"]))
    expect(
        not missing,
        f"the settings' schema does not know {short(missing)}",
        "declare every key as a field of the settings",
    )
