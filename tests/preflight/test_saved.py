"""What is saved judges to the same report, and what is no saved form is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mindie_deploy.preflight.saved import INDEX, Saved, from_documents
from tests.preflight.builders import hosts_of, settings

ANSWERS: dict[str, Any] = {
    "host1": {"collection": {"collection": {"items": {}, "started": 1.0, "finished": 1.0, "seconds": 0.0}}},
    "host/2 \u4e3b": {"collection": {"unreachable": True, "msg": "ssh: connect to host 10.0.0.12: No route to host"}},
    "host3": {},
}


def saved(**changes: Any) -> Saved:
    values: dict[str, Any] = {
        "settings": settings(checks_warn=["npu.count"]),
        "hosts": tuple(hosts_of(ANSWERS)),
        "answers": ANSWERS,
        "absent": ("/r1",),
        "model_types": ("deepseek_v3",),
    }
    return Saved(**{**values, **changes})


def documents() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(saved().documents()))
    return told


def test_the_same_is_judged_the_same() -> None:
    again = from_documents(documents())

    assert again == saved()
    assert again.report().to_dict() == saved().report().to_dict()
    found = {one.check_id for one in again.report().findings}
    assert {"host.unreachable", "host.collection"} <= found


def test_names_of_files_are_safe_whatever_hosts_are_called() -> None:
    assert sorted(documents()) == ["000-host1.json", "001-host_2__.json", "002-host3.json", INDEX]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"hosts": [{"name": "host1", "address": "x", "rank": "first"}]},
        {"hosts": "host1"},
        {"files": {}},
        {"settings": {"port": "eighty"}},
        {"settings": []},
        {"absent": None},
    ],
)
def test_an_index_of_another_form_is_refused(change: dict[str, Any]) -> None:
    told = documents()
    told[INDEX] |= change
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_documents(told)


@pytest.mark.parametrize(
    "answers", [{"collection": 5}, {"collection": {"collection": []}, "reach": "x"}, {"reach": {}}]
)
def test_answers_of_another_form_are_no_facts(answers: dict[str, Any]) -> None:
    report = saved(answers={"host1": answers}).report()

    assert report.verdict == "block" and "host1" in report.findings[0].hosts
