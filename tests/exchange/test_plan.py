"""Plans are read strictly: whatever comes in one, nothing is written where it must not be."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from mindie_exchange.plan import MOST_FILES, Plan, PlanError, name_problem, read_plan

DIGEST = "ab" * 32
GOOD: dict[str, Any] = {
    "format": 1,
    "id": "ab",
    "secret": "cd" * 32,
    "me": "m1",
    "members": [
        {"name": "m0", "address": "127.0.0.1", "port": 1, "dials": False},
        {"name": "m1", "address": "127.0.0.2", "port": 2, "dials": True, "command": ["ssh", "m0"]},
    ],
    "files": [
        {"name": "a.safetensors", "size": 100_000, "sha256": DIGEST},
        {"name": "sub/b c-ä.json", "size": 0, "sha256": DIGEST},
    ],
    "piece_size": 4096,
    "lanes": 2,
    "seeds": {"m0": [0, 1]},
    "store": {"final": "/x", "incoming": "/x/.in", "complete": [], "read_only": False, "owner": 3, "group": None},
    "origin": None,
    "rate_limit": 0,
    "tls": None,
    "status_file": "/s",
    "lifetime": 10,
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    plan = copy.deepcopy(GOOD)
    change(plan)
    return plan


def read(plan: object) -> Plan:
    return read_plan(json.dumps(plan))


def test_a_good_plan() -> None:
    plan = read(GOOD)
    assert plan.me == 1
    assert plan.members[1].command == ("ssh", "m0")
    assert [plan.seeders(0), plan.seeders(1)] == [(0,), (0,)]
    assert (plan.place.owner, plan.place.group) == (3, None)
    assert read({**GOOD, "something": "of a later version"}) == plan


def test_members_agree_on_what_is_exchanged_whoever_they_are_and_wherever_they_keep_it() -> None:
    mine = read(GOOD)
    other = read(changed(lambda plan: (plan.update(me="m0", status_file="/t"), plan["store"].update(final="/y"))))
    assert mine.digest == other.digest
    for change in (
        {"id": "ac"},
        {"piece_size": 8192},
        {"lanes": 1},
        {"seeds": {"m0": [0]}},
        {"files": GOOD["files"][:1], "seeds": {}},
    ):
        assert read({**GOOD, **change}).digest != mine.digest, change


NAMES = [
    "", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", ".hidden", "a/.hidden/b", "a\\b", "a\nb", "a\0b", "a\tb",
    "a\x7fb", "a\u202eb", "\ud800", "x" * 1025, "x" * 250, None, 7, ["a"],
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_names_that_lead_elsewhere_or_cannot_be_shown(name: object) -> None:
    assert name_problem(name)
    with pytest.raises(PlanError, match="files: the name"):
        read(changed(lambda plan: plan["files"][0].update(name=name)))


@pytest.mark.parametrize("name", ["a", "a b.txt", "词表-ä.json", "sub/sub/a", "a.b..c", "x" * 247])
def test_names_that_are_good(name: str) -> None:
    assert name_problem(name) is None
    assert read(changed(lambda plan: plan["files"][0].update(name=name))).files[0].name == name


BAD: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("is not of format 1", lambda p: p.update(format=2)),
    ("secret", lambda p: p.update(secret="short")),
    ("secret", lambda p: p.update(secret="CD" * 32)),
    ("secret", lambda p: p.update(secret=None)),
    ("me is", lambda p: p.update(me="m7")),
    ("me is", lambda p: p.update(me=["m0"])),
    ("members", lambda p: p.update(members=[])),
    ("members", lambda p: p.update(members=None)),
    ("members", lambda p: p.update(members=p["members"] * 100)),
    ("members: a name stands twice", lambda p: p["members"].append(p["members"][0])),
    ("port", lambda p: p["members"][0].update(port=0)),
    ("port", lambda p: p["members"][0].update(port=True)),
    ("port", lambda p: p["members"][0].update(port="1")),
    ("command", lambda p: p["members"][0].update(command=["ssh", 5])),
    ("address", lambda p: p["members"][0].update(address="")),
    ("files", lambda p: p.update(files=[])),
    ("files", lambda p: p.update(files={})),
    ("files", lambda p: p.update(files=p["files"] * MOST_FILES)),
    ("files", lambda p: p.update(files=["a"])),
    ("the size -1", lambda p: p["files"][0].update(size=-1)),
    ("the size 1.5", lambda p: p["files"][0].update(size=1.5)),
    ("the size True", lambda p: p["files"][0].update(size=True)),
    ("the size", lambda p: p["files"][0].update(size=1 << 60)),
    ("the sha256", lambda p: p["files"][0].update(sha256="AB" * 32)),
    ("the sha256", lambda p: p["files"][0].update(sha256=DIGEST + "\n")),
    ("a name stands twice", lambda p: p["files"][1].update(name="a.safetensors")),
    ("a file and a directory", lambda p: p["files"][1].update(name="a.safetensors/b")),
    (".partial after it", lambda p: p["files"][1].update(name="a.safetensors.partial")),
    (".partial after it", lambda p: p["files"][1].update(name="a.safetensors.partial/b")),
    ("more than 4000000 pieces", lambda p: p["files"][0].update(size=1 << 50)),
    ("piece_size", lambda p: p.update(piece_size=0)),
    ("piece_size", lambda p: p.update(piece_size=1 << 40)),
    ("lanes", lambda p: p.update(lanes=0)),
    ("lanes", lambda p: p.update(lanes=10_000)),
    ("seeds", lambda p: p.update(seeds={"m9": []})),
    ("seeds", lambda p: p.update(seeds={"m0": [2]})),
    ("seeds", lambda p: p.update(seeds={"m0": [-1]})),
    ("seeds", lambda p: p.update(seeds={"m0": ["a"]})),
    ("seeds", lambda p: p.update(seeds=[])),
    ("store is missing", lambda p: p.update(store=None)),
    ("complete", lambda p: p["store"].update(complete=["b"])),
    ("complete", lambda p: p["store"].update(complete=[["a.safetensors"]])),
    ("complete", lambda p: p["store"].update(complete="a.safetensors")),
    ("no absolute path", lambda p: p["store"].update(final="x")),
    ("no absolute path", lambda p: p["store"].update(incoming="/x\0y")),
    ("incoming", lambda p: p["store"].update(incoming=None)),
    ("owner", lambda p: p["store"].update(owner=-1)),
    ("owner", lambda p: p["store"].update(owner=(1 << 32) - 1)),
    ("group", lambda p: p["store"].update(group="root")),
    ("read_only", lambda p: p["store"].update(read_only=True)),
    ("origin", lambda p: p.update(origin="http://x")),
    ("rate_limit", lambda p: p.update(rate_limit=-1)),
    ("tls", lambda p: p.update(tls="yes")),
    ("tls", lambda p: p.update(tls={"key": "x"})),
    ("status_file", lambda p: p.update(status_file=None)),
    ("lifetime", lambda p: p.update(lifetime=0)),
]


@pytest.mark.parametrize(("words", "change"), BAD, ids=lambda one: one if isinstance(one, str) else "")
def test_plans_that_are_refused(words: str, change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(PlanError, match=words):
        read(changed(change))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"format": 1}', "[" * 100_000, '{"format": NaN}'])
def test_texts_that_are_no_plan(text: str) -> None:
    with pytest.raises(PlanError):
        read_plan(text)
