"""The report as JUnit XML, which continuous integration systems read: a test case for every check."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from mindie_deploy.preflight.finding import Finding
from mindie_deploy.preflight.registry import all_checks
from mindie_deploy.preflight.report import Report

# Letters that XML 1.0 cannot carry, not even escaped.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """Returns the document. A finding that blocks is a failure, missing evidence an error, the rest is output.

    A check whose findings others explain all is skipped: what it would say without them is not known.
    """
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(finding.check_id, []).append(finding)
    hidden = {finding.check_id: finding.caused_by for finding in report.hidden if finding.check_id not in found}
    checks = list(dict.fromkeys([*all_checks(), *found]))
    blocking = [one for one in report.findings if one.severity == "block"]
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(f"mindie-deploy check of {report.deployment}"),
        tests=str(len(checks)),
        failures=str(len({one.check_id for one in blocking if one.kind == "fail"})),
        errors=str(len({one.check_id for one in blocking} - {one.check_id for one in blocking if one.kind == "fail"})),
        skipped=str(len({*report.skipped, *hidden})),
    )
    for check_id in checks:
        room = check_id.partition(".")[0]
        case = ElementTree.SubElement(suite, "testcase", classname=f"mindie-deploy.{room}", name=check_id)
        if check_id in report.skipped:
            ElementTree.SubElement(case, "skipped", message="mindie_checks_skip")
        elif check_id in hidden:
            ElementTree.SubElement(
                case, "skipped", message=f"explained by {hidden[check_id]}, or not known because of it"
            )
        _add(case, found.get(check_id, []))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _add(case: ElementTree.Element, findings: list[Finding]) -> None:
    """Adds one failure or error, which is all that a test case may have, and everything as its text."""
    blocking = sorted((one for one in findings if one.severity == "block"), key=lambda one: one.kind != "fail")
    if blocking:
        first = blocking[0]
        kind = "failure" if first.kind == "fail" else "error"
        told = ElementTree.SubElement(
            case, kind, type=first.severity, message=_xml(f"{first.statement} ({first.where})")
        )
        told.text = _xml("\n\n".join(map(_text, blocking)))
    others = [one for one in findings if one not in blocking]
    if others:
        ElementTree.SubElement(case, "system-out").text = _xml("\n\n".join(map(_text, others)))


def _text(finding: Finding) -> str:
    lines = [f"{finding.severity}: {finding.statement}", f"where: {finding.where}"]
    lines += [f"seen: {evidence.command}: {evidence.says}" for evidence in finding.evidence]
    return "\n".join([*lines, f"next: {finding.remedy}"])


def _xml(text: str) -> str:
    return NOT_XML.sub("?", text)
