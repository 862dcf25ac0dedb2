"""Two thousand broken saved forms: each gives a report, or the documented error. Nothing else is raised.

The mutations are drawn from a fixed seed, so a failure comes again.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.cli import application
from mindie_deploy.errors import ExitCode, UsageError
from mindie_deploy.preflight.html import html
from mindie_deploy.preflight.junit import junit
from mindie_deploy.preflight.report import Report
from mindie_deploy.preflight.saved import INDEX, from_documents
from mindie_deploy.runs.bundle import read_saved
from tests.preflight.saved_form import documents

MUTATIONS = 2_000
HUGE = 10**400
NUMBERS = (HUGE, -HUGE, 2**63, -1, 0, 9e11, 1e308, float("inf"), float("nan"), True, 253402300799.0)
ODD = (None, [], {}, [[]], "", "foo", "\ud800", "9" * 5000, ["x"], {"x": 1}, 5, False, *NUMBERS)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within a document."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, one in below for found in [(*path, key), *places(one, (*path, key))]]


def changed(chance: random.Random, told: Any, path: tuple[Any, ...]) -> None:
    """Changes the value of one place: a huge number, a list for a text, something else altogether, or nothing."""
    *above, last = path
    for key in above:
        told = told[key]
    value, action = told[last], chance.randrange(5)
    if action == 0:
        del told[last]
    elif action == 1 or not isinstance(value, (int, float, str)):
        told[last] = chance.choice(ODD)
    elif isinstance(value, str):
        at = chance.randint(0, len(value))
        words = value.split("\n")
        told[last] = chance.choice([
            words, f"{value[:at]}{'9' * 400}{value[at:]}", value[:at], value.replace("2026", "9999"),
            value.replace("0", "9" * 5000, 1), value + value,
        ])  # fmt: skip
    else:
        told[last] = chance.choice(NUMBERS)


def judged(told: dict[str, Any], *, pages: bool = True) -> Report | None:
    """The report in all its forms (`pages`: also as HTML and JUnit), None for what is refused as documented."""
    try:
        saved = from_documents(told)
    except (KeyError, TypeError, ValueError):
        return None
    report = saved.report()
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))).verdict == report.verdict
    assert report.to_text() and (not pages or (html(report) and junit(report)))
    return report


def test_the_form_that_is_broken_is_a_whole_one() -> None:
    """Else the mutations would break what nobody reads."""
    report = judged(documents())
    assert report is not None
    assert [row.cells["reachable"] for row in report.hosts.values()] == ["yes"] * 3
    assert [one.statement for one in report.findings if one.kind == "unknown" and one.severity == "block"] == []


def test_nothing_that_a_saved_form_holds_raises() -> None:
    chance = random.Random("saved")
    whole = documents()
    by_file = {name: places(document) for name, document in whole.items()}
    files = list(by_file)
    reports = 0
    for number in range(MUTATIONS):
        # The index is one file of four and small: half of the mutations would be refused there.
        name = chance.choices(files, [1 if file == INDEX else 3 for file in files])[0]
        told = {**whole, name: copy.deepcopy(whole[name])}
        for path in chance.sample(by_file[name], chance.randint(1, 4)):
            # An earlier change may have taken this place away.
            with contextlib.suppress(LookupError, TypeError):
                changed(chance, told[name], path)
        reports += judged(told, pages=number % 10 == 0) is not None
    assert reports > MUTATIONS / 2


def test_a_number_in_an_answer_may_be_of_any_length() -> None:
    """Python refuses to make a number of more than 4,300 digits."""
    whole = documents()
    items = whole["001-host2.json"]["collection"]["collection"]["items"]
    for key, item in items.items():
        where = next((name for name in ("stdout", "text") if name in item), None)
        # The other NPUs' answers are read like those of the first.
        if where is None or re.search(r"/[1-9](/|$)", key):
            continue
        text = item[where]
        for number in list(re.finditer(r"\d+", text))[:40]:
            item[where] = text[: number.start()] + "9" * 5000 + text[number.end() :]
            assert judged(whole, pages=False) is not None, key
        item[where] = text


def at(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        for key in path[:-1]:
            told = told[key]
        told[path[-1]] = value

    return change


ANSWERED = ("001-host2.json", "collection")
COLLECTED = (*ANSWERED, "collection")
ITEMS = (*COLLECTED, "items")
DEVICE_TIME = "current time        : Fri Dec 31 23:59:59 9999"


@pytest.mark.parametrize(
    "change",
    [
        at(*ITEMS, "uname", "seconds", value=HUGE),
        at(*ITEMS, "uname", "status", value=HUGE),
        at(*ANSWERED, "requested_at", value=HUGE),
        at(*ANSWERED, "answered_at", value=-HUGE),
        at(*COLLECTED, "started", value=9e11),
        at(*COLLECTED, "started", value=-9e11),
        at(*ITEMS, "disk/state", "total_bytes", value=HUGE),
        at(*ITEMS, "disk/state", "available_bytes", value=HUGE),
        at(*ITEMS, "weights", "entries", 0, "size", value=HUGE),
        at(*ITEMS, "weights/config", "text", value='{"torch_dtype": ' + "9" * 4000 + "}"),
        at(*ITEMS, "engine/info", "stdout", value='{"ServerVersion": "24", "Images": ' + "9" * 4000 + "}\n"),
    ],
)
def test_numbers_that_no_host_counts_are_no_facts(change: Callable[[dict[str, Any]], None]) -> None:
    told = documents()
    change(told)
    assert judged(told) is not None


def test_a_device_in_december_9999_has_no_time() -> None:
    told = documents()
    item = told["001-host2.json"]["collection"]["collection"]["items"]["hccn/0/link_stat"]
    assert "current time" in item["stdout"]
    lines = [DEVICE_TIME if "current time" in line else line for line in item["stdout"].split("\n")]
    item["stdout"] = "\n".join(lines)
    assert judged(told) is not None


BROKEN = [
    ({"settings": {"weights_disk_bytes": HUGE}}, "weights_disk_bytes"),
    ({"hosts": []}, "no hosts"),
    ({"hosts": [{"name": "host1", "address": "foo", "rank": 0}]}, "'foo' does not appear to be"),
    ({"hosts": [{"name": "host1", "address": "10.0.0.11", "rank": HUGE}]}, "rank of host host1"),
    ({"hosts": [{"name": "host1", "address": "10.0.0.11", "rank": True}]}, "rank of host host1"),
    ({"hosts": [{"name": "host1", "address": f"10.0.0.{rank}", "rank": rank} for rank in range(2)]}, "the same name"),
    ({"hosts": [{"name": f"host{n}", "address": "10.0.0.1", "rank": n} for n in range(2)]}, "the same address"),
    ({"hosts": [{"name": f"host{n}", "address": f"10.0.0.{n}", "rank": 0} for n in range(2)]}, "the same rank"),
]


@pytest.mark.parametrize(("change", "says"), BROKEN)
def test_hosts_and_settings_that_are_none_are_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    told = documents()
    told[INDEX] |= change
    written(tmp_path, told)
    with pytest.raises(UsageError, match=says):
        read_saved(tmp_path)


def test_check_from_ends_with_the_documented_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = documents()
    told[INDEX]["hosts"] = []
    written(tmp_path, told)
    assert application.run(["check", "--from", str(tmp_path)]) == ExitCode.USAGE
    assert "is no bundle of mindie-deploy: it has no hosts" in "".join(capsys.readouterr())

    written(tmp_path, documents())
    monkeypatch.setattr("mindie_deploy.preflight.saved.judge", lambda *_, **__: [][1])
    assert application.run(["check", "--from", str(tmp_path)]) == ExitCode.USAGE
    told_user = "".join(capsys.readouterr())
    assert "cannot be judged: IndexError" in told_user and "Traceback" not in told_user


def test_a_text_that_no_terminal_can_show_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = documents()
    told["001-host2.json"]["collection"]["collection"]["items"]["install-info"] = {"path": "/i", "error": "b\ud800d"}
    written(tmp_path, told)
    for words in ([], ["--html", str(tmp_path / "r.html"), "--junit", str(tmp_path / "r.xml")], ["--json"]):
        assert application.run(["check", "--from", str(tmp_path), *words]) == ExitCode.CHECK_FAILED
        out = capfd.readouterr().out
    found = [one for one in json.loads(out)["findings"] if one["check_id"] == "install-info"]
    assert found[0]["evidence"][0]["says"] == "/i: b\ud800d"


def written(place: Path, told: dict[str, Any]) -> None:
    for name, document in told.items():
        (place / name).write_text(json.dumps(document), encoding="utf-8")
