"""JUnit XML, as CI systems read it: one suite of cases, on standard output."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

import typer

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2)."""


class JunitCase(NamedTuple):
    """``failure`` is its first line, "" for a case that passed; ``text`` is shown below it."""

    group: str
    name: str
    file: str
    line: int
    failure: str = ""
    text: str = ""


def print_junit(suite: str, cases: Collection[JunitCase], seconds: float = 0.0) -> None:
    """Print the cases as one ``<testsuite>``."""
    from xml.etree import ElementTree

    failures = sum(bool(case.failure) for case in cases)
    figures = {"tests": str(len(cases)), "failures": str(failures), "time": f"{seconds:.3f}"}
    root = ElementTree.Element("testsuites", figures)
    inside = ElementTree.SubElement(root, "testsuite", {"name": suite, "errors": "0", **figures})
    for case in cases:
        place = {"file": case.file, "line": str(case.line)}
        names = {"classname": readable(case.group), "name": readable(case.name)}
        one = ElementTree.SubElement(inside, "testcase", {**names, **place})
        if case.failure:
            failure = ElementTree.SubElement(one, "failure", {"message": readable(case.failure)})
            failure.text = readable(case.text)
        elif case.text:
            ElementTree.SubElement(one, "system-out").text = readable(case.text)
    ElementTree.indent(root)
    typer.echo('<?xml version="1.0" encoding="UTF-8"?>')
    typer.echo(ElementTree.tostring(root, encoding="unicode"))


def readable(text: str) -> str:
    """The text without what XML cannot hold."""
    return NOT_XML.sub("�", text)
