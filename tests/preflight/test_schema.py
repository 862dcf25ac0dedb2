"""The published JSON Schema fits every report, and refuses what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from mindie_deploy.preflight.finding import Unreachable
from mindie_deploy.preflight.report import Report
from tests.preflight.builders import UNKNOWN, cluster, healthy_host, judged, overview, ports
from tests.preflight.test_html_and_junit import faulty

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "check-report.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


@pytest.mark.parametrize(
    "report",
    [
        judged(cluster(4)),
        judged(cluster(2, host2=Unreachable("no route", "no-connection"))),
        judged(cluster(3, host2=healthy_host("host2", 1, overview=UNKNOWN, hccn=ports(1, 3, link_up=False)))),
        judged(cluster(3, host2=healthy_host("host2", 1, overview=overview(lost=(5,)))), checks_warn=["npu.count"]),
        faulty(),
    ],
)
def test_every_report_fits(report: Report) -> None:
    VALIDATOR.validate(json.loads(json.dumps(report.to_dict())))


def test_the_schema_names_every_field_and_no_other() -> None:
    told = faulty().to_dict()

    assert set(told) == set(SCHEMA["required"]) == set(SCHEMA["properties"])
    assert set(faulty().findings[0].to_dict()) == set(SCHEMA["$defs"]["finding"]["required"])
    assert all(f"| `{field}` |" in (DOCS / "check-report.md").read_text() for field in told)


@pytest.mark.parametrize("change", [{"verdict": "fine"}, {"findings": [{}]}, {"format": 2}, {"pings": [{"from": 1}]}])
def test_what_is_no_report_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate({**judged(cluster(2)).to_dict(), **change})
