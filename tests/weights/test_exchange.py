"""Plans of an exchange: what the controller writes, the agents read, and all members compute the same from it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindie_deploy.weights.exchange import (
    CONTROLLER,
    LARGEST_PIECE,
    MOST_LANES,
    SMALLEST_PIECE,
    Exchange,
    Participant,
    Place,
    agent_archive,
    lanes_for,
    piece_size,
)
from tests.weights.scans import good_files, manifest_of

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
sys.path.append(str(PLUGINS))
from mindie_exchange import plan as agent_plan  # noqa: E402
from mindie_exchange.layout import lanes_of, pieces_of  # noqa: E402

MANIFEST = manifest_of(good_files())
SECRET = "0123456789abcdef" * 4
TIB = 1 << 40


def participant(name: str, has: frozenset[str], **changes: Any) -> Participant:
    whole = has == frozenset(MANIFEST.by_name)
    place = Place("/data/model", "" if whole else "/data/.model.incoming", has, whole, 1000, 1001)
    return Participant(name, f"10.0.0.{len(name)}", place, f"/var/lib/{name}.json", **changes)


EVERYTHING = frozenset(MANIFEST.by_name)
SOME = frozenset(list(MANIFEST.by_name)[:2])
MEMBERS = (
    participant("a", EVERYTHING, cores=64),
    participant("bb", SOME, cores=8),
    participant("ccc", frozenset(), cores=16, command=("ssh", "-W", "10.0.0.3:18230", "ccc")),
    participant(CONTROLLER, EVERYTHING, dials=True),
)
EXCHANGE = Exchange(MANIFEST, MEMBERS, port=18230, secret=SECRET)


def read(exchange: Exchange, name: str) -> agent_plan.Plan:
    """Returns the plan as the agent of the member understands it."""
    return agent_plan.read_plan(json.dumps(exchange.plan(name)))


def test_the_agents_read_what_is_planned() -> None:
    found = read(EXCHANGE, "bb")
    assert found.members[found.me].name == "bb"
    assert [member.name for member in found.members] == ["a", "bb", "ccc", CONTROLLER]
    assert {member.port for member in found.members} == {18230}
    assert found.members[2].command == ("ssh", "-W", "10.0.0.3:18230", "ccc")
    assert [member.dials for member in found.members] == [False, False, False, True]
    assert [(file.name, file.size, file.sha256) for file in found.files] == [
        (entry.name, entry.size, entry.sha256) for entry in MANIFEST.files
    ]
    assert found.secret.hex() == SECRET
    assert found.place == agent_plan.Place("/data/model", "/data/.model.incoming", SOME, False, 1000, 1001)
    assert found.status_file == "/var/lib/bb.json"
    assert read(EXCHANGE, "a").place.read_only


def test_all_members_of_a_run_agree() -> None:
    plans = [read(EXCHANGE, one.name) for one in MEMBERS]
    assert len({plan.digest for plan in plans}) == 1
    assert len({(plan.piece_size, plan.lanes, plan.secret) for plan in plans}) == 1
    assert all(plan.seeds == plans[0].seeds for plan in plans)
    sizes = [file.size for file in plans[0].files]
    cuts = [[pieces_of(sizes, lane, plan.piece_size) for lane in lanes_of(sizes, plan.lanes)] for plan in plans]
    assert all(cut == cuts[0] for cut in cuts)


def test_seeds_are_what_stands_and_is_proven() -> None:
    plan = read(EXCHANGE, "ccc")
    names = [file.name for file in plan.files]
    seeds = {plan.members[member].name: {names[index] for index in files} for member, files in plan.seeds.items()}
    assert seeds == {"a": EVERYTHING, "bb": SOME, CONTROLLER: EVERYTHING}
    only = names.index(next(iter(EVERYTHING - SOME)))
    assert [plan.members[member].name for member in plan.seeders(only)] == ["a", CONTROLLER]


def test_members_of_different_runs_tell_themselves_apart() -> None:
    other = manifest_of({**good_files(), "config.json": b"{}"})
    changed = replace(EXCHANGE, manifest=other)
    fewer = replace(EXCHANGE, participants=MEMBERS[:3])
    assert len({read(one, "bb").digest for one in (EXCHANGE, changed, fewer)}) == 3


def test_who_takes_no_part_has_no_plan() -> None:
    with pytest.raises(KeyError):
        EXCHANGE.plan("dddd")


def test_what_is_optional_reaches_the_agents() -> None:
    origin = {"kind": "directory", "path": "/mnt/model", "members": ["bb", "ccc"]}
    tls = {"certificate": "c", "key": "k"}
    found = read(replace(EXCHANGE, origin=origin, tls=tls, rate_limit=123_456, lifetime=99, lanes=3), "bb")
    assert (found.origin, found.tls, found.rate_limit, found.lifetime, found.lanes) == (origin, tls, 123_456, 99, 3)
    plain = read(EXCHANGE, "bb")
    assert (plain.origin, plain.tls, plain.rate_limit) == (None, None, 0)


def test_the_key_is_in_no_text_of_an_exchange() -> None:
    assert "PRIVATE" not in repr(replace(EXCHANGE, tls={"certificate": "c", "key": "PRIVATE"}))


@pytest.mark.parametrize(
    ("total", "members", "size"),
    [
        (0, 4, SMALLEST_PIECE),
        (10**6, 4, SMALLEST_PIECE),
        (1_369_000_000_000, 4, LARGEST_PIECE),
        (1_369_000_000_000, 64, LARGEST_PIECE),
        (8 * 10**9, 5, 2 * 1024 * 1024 // 2),
    ],
)
def test_pieces_are_small_enough_for_the_end_and_large_enough_for_the_disk(total: int, members: int, size: int) -> None:
    assert piece_size(total, members) == size


@given(st.integers(0, 4 * TIB), st.integers(0, 128))
def test_any_size_of_a_piece_is_one_that_agents_accept(total: int, members: int) -> None:
    size = piece_size(total, members)
    assert agent_plan.SMALLEST_PIECE <= SMALLEST_PIECE <= size <= LARGEST_PIECE <= agent_plan.LARGEST_PIECE
    assert size & (size - 1) == 0


@pytest.mark.parametrize(
    ("cores", "lanes"), [([], 1), ([1], 1), ([3, 64], 1), ([8, 64], 2), ([192, 192], MOST_LANES), ([192, 16], 4)]
)
def test_the_weakest_host_decides_on_the_lanes(cores: list[int], lanes: int) -> None:
    assert lanes_for(cores) == lanes
    assert 1 <= lanes <= agent_plan.MOST_LANES


def test_the_agent_is_one_file_with_everything_and_always_the_same() -> None:
    archive = agent_archive(PLUGINS)
    assert archive == agent_archive(PLUGINS)
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        names = set(found.namelist())
    assert names == {"__main__.py"} | {
        f"mindie_exchange/{path.name}" for path in (PLUGINS / "mindie_exchange").glob("*.py")
    }


def test_the_agent_runs_as_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    path.write_bytes(agent_archive(PLUGINS))
    command = [sys.executable, "-I", str(path)]
    refused = subprocess.run(command, input=b"{}", capture_output=True, check=False, cwd="/")
    assert refused.returncode == 2
    assert refused.stderr.decode().strip() == "the plan is not of format 1"
    alone = Exchange(
        MANIFEST,
        (replace(participant("a", EVERYTHING), status_file=str(tmp_path / "status.json"), address="127.0.0.1"),),
        port=1,
        secret=SECRET,
    )
    plan = alone.plan("a")
    plan["members"][0]["dials"] = True  # it needs no port then
    done = subprocess.run(
        command, input=json.dumps(plan).encode(), capture_output=True, check=False, cwd="/", timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "done"


def test_a_package_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mindie_exchange"):
        agent_archive(tmp_path)
