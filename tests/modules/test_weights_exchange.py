"""mindie_weights_exchange: real agents on loopback addresses, started, watched, killed and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import run
from tests.modules.weights_world import AGENT, SECRET, World, exchange_of, free_port, whole

SIZES = {
    "model-00001-of-00002.safetensors": 3_000_000,
    "model-00002-of-00002.safetensors": 2_000_001,
    "model.safetensors.index.json": 1000,
    "config.json": 10,
    "empty.txt": 0,
    "figures/a b.png": 77,
    "模型.md": 5,
}
MIB = 1 << 20


class Pair:
    """Two hosts: one has the model, the other has nothing."""

    def __init__(self, base: Path, sizes: dict[str, int]) -> None:
        self.giver, self.taker = World(base / "giver", sizes), World(base / "taker", sizes)
        self.giver.bring()
        self.port = free_port()

    def plans(self, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        exchange = exchange_of(self.port, {"giver": self.giver}, {"taker": self.taker}, **more)
        return exchange.plan("giver"), exchange.plan("taker")

    def start(self, **more: Any) -> None:
        giving, taking = self.plans(**more)
        assert not self.taker.place("prepared").get("failed")
        for world, plan in ((self.giver, giving), (self.taker, taking)):
            started = world.start_agent(plan)
            assert started.get("changed"), started

    def stop(self) -> None:
        for world in (self.giver, self.taker):
            assert not world.exchange("stopped").get("failed")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    found = Pair(tmp_path, SIZES)
    yield found
    found.stop()


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Pair]:
    """24 MiB, so that there is a middle."""
    found = Pair(tmp_path, {f"model-0000{n}-of-00003.safetensors": 8 * MIB for n in (1, 2, 3)})
    yield found
    found.stop()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def family(pid: int) -> list[int]:
    """Returns the agent's process and its lanes."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


def left(world: World) -> set[str]:
    """Returns what an agent leaves in the directory of the state, but for what it says of itself."""
    names = {path.name for path in (world.state / "weights").iterdir()}
    return {name for name in names if name.startswith("exchange") and name != "exchange.log"}


# the whole road on one machine


def test_two_hosts_exchange_and_the_model_gets_its_place(pair: Pair) -> None:
    pair.start()
    status = pair.taker.wait_for(whole)
    assert status["bytes_done"] == status["received"] == sum(SIZES.values())
    assert not pair.taker.final.exists(), "its place is given by another step"
    pair.giver.wait_for(whole)
    pair.stop()
    published = pair.taker.place("published")
    assert published["changed"], published
    assert published["placed"] == sorted(SIZES)
    assert pair.taker.at_final() == pair.taker.contents
    assert {path.stat().st_mode & 0o7777 for path in pair.taker.final.rglob("*") if path.is_file()} == {0o640}
    assert not pair.taker.incoming.exists()
    where = {"directory": str(pair.taker.final), "state_directory": str(pair.taker.state)}
    assert run("mindie_weights_scan", **where, mode="remembered")["hashed"] == 0, "what was proven is not read again"


def test_only_what_lacks_travels_into_a_directory_that_is_there(pair: Pair) -> None:
    shard = "model-00002-of-00002.safetensors"
    pair.taker.bring()
    (pair.taker.final / shard).write_bytes(bytes(SIZES[shard]))
    (pair.taker.final / "notes.txt").write_text("mine")
    giving, taking = pair.plans()
    have = sorted(set(SIZES) - {shard})
    taking["store"]["complete"] = have
    numbers = [number for number, row in enumerate(taking["files"]) if row["name"] in have]
    for plan in (giving, taking):
        plan["seeds"]["taker"] = numbers
    assert [row["name"] for row in pair.taker.place("prepared")["missing"]] == [shard]
    pair.giver.start_agent(giving)
    pair.taker.start_agent(taking)
    assert pair.taker.wait_for(whole)["received"] <= SIZES[shard] + 2000
    pair.stop()
    assert pair.taker.place("published")["placed"] == [shard]
    assert pair.taker.at_final() == {**pair.taker.contents, "notes.txt": b"mine"}


def test_killed_again_and_again_it_goes_on_where_it_was(large: Pair) -> None:
    giving, taking = large.plans(rate_limit=6 * MIB)
    large.taker.place("prepared")
    large.giver.start_agent(giving)
    received, kept = 0, -1
    for _ in range(3):
        large.taker.start_agent(taking)
        status = large.taker.wait_for(lambda status: status.get("received", 0) >= 3 * MIB or whole(status))
        assert status["bytes_before"] > kept, "what an earlier agent received is kept"
        kept = status["bytes_before"]
        received += status["received"]
        pids = family(status["pid"])
        os.kill(status["pid"], signal.SIGKILL)
        assert gone(pids), "lanes end with their agent"
        assert large.taker.exchange("status")["running"] is False
        assert not large.taker.final.exists()
        prepared = {row["name"]: row["have"] for row in large.taker.place("prepared")["missing"]}
        assert 0 < sum(prepared.values()) <= 24 * MIB
    large.taker.start_agent(taking)
    received += large.taker.wait_for(whole)["received"]
    # What was on its way at a kill comes again; a status is up to a second old, so more may have come than it says.
    assert received <= 24 * MIB + 3 * 2 * taking["piece_size"] * 8
    large.stop()
    assert large.taker.place("published")["changed"]
    assert large.taker.at_final() == large.taker.contents


# one agent


def test_an_agent_of_an_earlier_run_is_replaced(pair: Pair) -> None:
    pair.start(rate_limit=100_000)
    first = family(pair.taker.exchange("status")["status"]["pid"])
    again = pair.taker.start_agent(pair.plans(rate_limit=100_000)[1])
    assert again["running"] is True
    assert again["status"]["pid"] not in first
    assert gone(first)
    assert len({name for name in left(pair.taker) if name.endswith(".pyz")}) == 1


def test_stopped_leaves_no_process_and_no_agent(pair: Pair) -> None:
    pair.start(rate_limit=100_000)
    (pair.taker.state / "weights" / "exchange-0123456789ab.pyz.new").write_bytes(b"of a run that was killed")
    pids = family(pair.taker.exchange("status")["status"]["pid"])
    assert all(map(alive, pids))
    assert len(pids) > 1
    assert {path.suffix for path in map(Path, left(pair.taker))} == {".pid", ".pyz", ".new"}
    looked = pair.taker.exchange("stopped", check=True)
    assert looked["changed"] and looked["running"]
    stopped = pair.taker.exchange("stopped")
    assert stopped["changed"]
    assert stopped["running"] is False
    assert stopped["status"]["state"] == "stopped"
    assert gone(pids)
    assert left(pair.taker) == set()
    again = pair.taker.exchange("stopped")
    assert not again["changed"]
    assert not pair.taker.exchange("stopped", check=True)["changed"]


def test_an_agent_that_does_not_listen_to_anybody_is_ended_all_the_same(pair: Pair) -> None:
    pair.start(rate_limit=100_000)
    pids = family(pair.taker.exchange("status")["status"]["pid"])
    os.kill(pids[0], signal.SIGSTOP)
    assert pair.taker.exchange("stopped")["changed"]
    assert gone(pids)


def test_only_our_own_process_is_ended(pair: Pair) -> None:
    note = pair.taker.state / "weights" / "exchange.pid"
    note.parent.mkdir(parents=True)
    for text in (
        json.dumps({"pid": os.getpid(), "born": 1}),
        json.dumps({"pid": 1, "born": 1}),
        json.dumps({"pid": -1, "born": 1}),
        "[]",
        "damaged",
        "",
    ):
        note.write_text(text)
        assert pair.taker.exchange("status")["running"] is False
        assert not pair.taker.exchange("stopped")["changed"]
        assert not note.exists()


def test_one_that_was_done_before_is_no_failure(pair: Pair) -> None:
    """Alone in its exchange an agent has nothing to do; it may have ended before anybody looked."""
    alone = exchange_of(pair.port, {"giver": pair.giver}, {}).plan("giver")
    started = pair.giver.start_agent(alone)
    assert started.get("changed"), started
    assert pair.giver.wait_for(whole)["state"] in ("serving", "done")


def test_nothing_runs_and_nothing_is_known_before_the_first_start(pair: Pair) -> None:
    for check in (True, False):
        shown = pair.taker.exchange("status", check=check)
        assert (shown["changed"], shown["running"], shown["status"], shown["log"]) == (False, False, {}, "")
        assert not pair.taker.exchange("stopped", check=check)["changed"]
    assert not pair.taker.state.exists()


def test_check_mode_starts_nothing(pair: Pair) -> None:
    looked = pair.taker.start_agent(pair.plans()[1], check=True)
    assert looked["changed"]
    assert looked["running"] is False
    assert not pair.taker.state.exists()


# what goes wrong at the start


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secret": "5e"}, "secret is not 64 hex letters"),
        ({"me": "host9"}, "me is 'host9', which is no member"),
        ({"format": 2}, "format 1"),
        ({"files": []}, "files is no list, empty"),
        ({"files": [{"name": "../x", "size": 1, "sha256": "0" * 64}]}, "leads elsewhere"),
        ({"lanes": 0}, "lanes is 0"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_told(pair: Pair, change: dict[str, Any], said: str) -> None:
    result = pair.taker.start_agent({**pair.plans()[1], **change})
    assert result["failed"]
    assert said in result["msg"]
    assert SECRET not in json.dumps(result)
    assert pair.taker.exchange("status")["running"] is False


def test_a_plan_that_is_none_is_told(pair: Pair) -> None:
    for text in ("", "damaged", "[]"):
        assert "the plan is not" in pair.taker.start_agent(text)["msg"]
    assert "the archive" not in str(pair.taker.exchange("status"))


def test_an_agent_that_came_damaged_is_told(pair: Pair) -> None:
    plan = json.dumps(pair.plans()[1])
    assert pair.taker.exchange("started", agent="x", plan=plan)["failed"]
    broken = pair.taker.exchange("started", agent=AGENT[: len(AGENT) // 2 // 4 * 4], plan=plan)
    assert broken["failed"]
    assert broken["msg"]


def test_a_port_that_is_taken_is_told_with_the_setting(pair: Pair) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.3", pair.port))
        other.listen()
        pair.taker.place("prepared")
        result = pair.taker.start_agent(pair.plans()[1])
    assert result["failed"]
    assert f"port {pair.port} on 127.0.0.3 is taken by another program" in result["msg"]
    assert "mindie_weights_port" in result["msg"]


def test_an_address_of_another_host_is_told(pair: Pair) -> None:
    plan = pair.plans()[1]
    plan["members"][1]["address"] = "192.0.2.1"
    pair.taker.place("prepared")
    assert "192.0.2.1 is not an address of this host" in pair.taker.start_agent(plan)["msg"]


def test_a_directory_that_cannot_be_made_is_told(pair: Pair) -> None:
    pair.taker.state.write_text("a file")
    result = pair.taker.start_agent(pair.plans()[1])
    assert result["failed"]
    assert f"{pair.taker.state}" in result["msg"]
    pair.taker.state.unlink()


# secrets


def test_the_secret_is_in_no_file_and_in_nothing_that_others_see(pair: Pair) -> None:
    pair.start(rate_limit=1_000_000)
    status = pair.taker.wait_for(lambda status: status.get("received", 0) > 0)
    forms = (SECRET.encode(), bytes.fromhex(SECRET))
    for pid in family(status["pid"]):
        for name in ("cmdline", "environ"):
            seen = Path(f"/proc/{pid}/{name}").read_bytes()
            assert not any(form in seen for form in forms)
        assert Path(f"/proc/{pid}/fd/0").readlink().as_posix().startswith("pipe:")
    result = pair.taker.exchange("status")
    assert SECRET not in json.dumps(result)
    pair.taker.wait_for(whole)
    pair.stop()
    files = [path for world in (pair.giver, pair.taker) for path in world.base.rglob("*") if path.is_file()]
    assert any(path.name == "exchange.log" for path in files)
    for path in files:
        content = path.read_bytes()
        assert not any(form in content for form in forms), path


def test_another_secret_gets_nothing(pair: Pair) -> None:
    giving, taking = pair.plans()
    pair.taker.place("prepared")
    pair.giver.start_agent(giving)
    pair.taker.start_agent({**taking, "secret": "a0" * 32})
    status = pair.taker.wait_for(lambda status: any((status.get("unreached") or {}).values()))
    assert status["received"] == 0
    assert "giver" in status["unreached"]
