"""mindie_listen and the item `connect` of mindie_collect: a port of this machine, tried over loopback."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.hosts.answer import command, file_text
from mindie_deploy.hosts.facts import Unknown
from mindie_deploy.hosts.items_host import LISTENER_NAMES, system_items
from mindie_deploy.hosts.ports import listeners, listening
from tests.interpreters import interpreter, runs_with
from tests.modules.module_runner import MODULES, UTILITIES, load, run

WORD = "5ae0c1"


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def connected(port: int, expect: str = WORD, address: str = "127.0.0.1") -> dict[str, Any]:
    item = {"key": "p", "connect": {"address": address, "port": port, "expect": expect}, "patience": 0.5}
    found: dict[str, Any] = run("mindie_collect", items=[item])["collection"]["items"]["p"]
    return found


def is_alive(process: dict[str, int]) -> bool:
    return load("mindie_listen").born(process["pid"]) == process["born"]


def gone(process: dict[str, int]) -> bool:
    until = time.monotonic() + 15
    while is_alive(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(process)


@pytest.fixture
def port() -> Iterator[int]:
    number = free_port()
    started = run("mindie_listen", check=True, address="127.0.0.1", ports=[number], word=WORD, lifetime=30)
    assert started["changed"] is False and started["refused"] == {}
    assert is_alive(started["process"]) and started["process"]["pid"] != os.getpid()
    yield number
    run("mindie_listen", state="stopped", process=started["process"])
    assert gone(started["process"])


def test_the_word_is_heard_again_and_again(port: int) -> None:
    for _ in range(3):
        assert connected(port)["outcome"] == "answered"
    assert connected(port, expect="")["outcome"] == "answered"
    assert connected(port, expect="another")["outcome"] == "stranger"


def test_the_port_is_free_at_once_when_the_listener_is_gone() -> None:
    number = free_port()
    process = run("mindie_listen", address="127.0.0.1", ports=[number], word=WORD)["process"]
    assert connected(number)["outcome"] == "answered"
    run("mindie_listen", state="stopped", process=process)
    assert gone(process)
    with socket.socket() as daemon:  # without SO_REUSEADDR, as a strict daemon binds
        daemon.bind(("127.0.0.1", number))
    assert connected(number)["outcome"] == "refused"


def test_it_ends_by_itself_and_holds_no_stream_of_ours() -> None:
    process = run("mindie_listen", address="127.0.0.1", ports=[free_port()], lifetime=1)["process"]
    assert {str(Path(f"/proc/{process['pid']}/fd/{number}").readlink()) for number in (0, 1, 2)} == {os.devnull}
    assert gone(process)


def test_a_port_that_cannot_be_had_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        started = run("mindie_listen", address="127.0.0.1", ports=[taken])
        assert started["process"] == {} and "in use" in started["refused"][str(taken)]
        found = connected(taken)
        assert (found["outcome"], found["says"]) == ("stranger", "it took the connection and said nothing")
        assert connected(taken, expect="")["outcome"] == "answered"
    assert "assign" in run("mindie_listen", address="192.0.2.1", ports=[taken])["refused"][str(taken)]


def test_only_the_process_that_was_started_is_ended() -> None:
    for process in ({"pid": os.getpid(), "born": 1}, {}, {"pid": 0, "born": 0}, {"pid": os.getpid()}):
        assert run("mindie_listen", state="stopped", process=process)["was_running"] is False


def test_it_says_whether_it_was_there_until_the_end() -> None:
    process = run("mindie_listen", check=True, address="127.0.0.1", ports=[free_port()])["process"]
    assert run("mindie_listen", check=True, state="stopped", process=process)["was_running"] is True
    assert gone(process)
    assert run("mindie_listen", check=True, state="stopped", process=process)["was_running"] is False


def test_one_that_does_not_hang_up_hinders_nobody(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
        began = time.monotonic()
        assert connected(port)["outcome"] == "answered"
        assert time.monotonic() - began < 0.5


def test_one_that_comes_after_a_long_wait_is_heard_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("mindie_listen")
    monkeypatch.setattr(module, "PATIENCE", 0.4)
    number = free_port()
    sockets, _ = module.opened("127.0.0.1", [number])
    thread = threading.Thread(
        target=module.serve, args=(sockets, WORD.encode(), time.monotonic() + 2.0, 2.0, lambda: False)
    )
    thread.start()
    time.sleep(0.8)
    with socket.create_connection(("127.0.0.1", number), timeout=5) as slow:
        time.sleep(0.2)
        assert slow.recv(64) == WORD.encode()
    with socket.create_connection(("127.0.0.1", number), timeout=5) as stuck:
        assert stuck.recv(64) == WORD.encode()
        with pytest.raises(ConnectionResetError):
            stuck.recv(64)
    thread.join()


def test_it_ends_when_nobody_asks_any_more() -> None:
    number = free_port()
    process = run("mindie_listen", address="127.0.0.1", ports=[number], lifetime=60, quiet=5)["process"]
    for _ in range(4):  # each that asks gives it time
        time.sleep(1.5)  # far from its end, and longer than that in all
        assert connected(number, expect="")["outcome"] == "answered"
    assert is_alive(process)
    assert gone(process)


def test_without_more_words_it_lives_for_a_minute_or_three() -> None:
    text = (MODULES / "mindie_listen.py").read_text()
    assert '"lifetime": {"type": "int", "default": 180}' in text
    assert '"quiet": {"type": "int", "default": 60}' in text


def lock(path: Path, run_id: str) -> Path:
    path.write_text(json.dumps({"owner": "anna@control1", "run_id": run_id, "reason": "up"}))
    return path


def test_it_does_not_listen_while_another_run_holds_the_lock(tmp_path: Path) -> None:
    number, path = free_port(), lock(tmp_path / "lock", "theirs")
    started = run("mindie_listen", address="127.0.0.1", ports=[number], lock=str(path), run_id="ours")
    assert started["process"] == {}
    assert started["refused"] == {
        str(number): "not tried: anna@control1 holds the lock of the deployment (up, run theirs)"
    }
    assert connected(number)["outcome"] == "refused"
    path.write_text("damaged")
    assert "somebody holds" in run(
        "mindie_listen", address="127.0.0.1", ports=[number], lock=str(path), run_id="ours"
    )["refused"][str(number)]  # fmt: skip


def test_our_own_lock_is_no_hindrance(tmp_path: Path) -> None:
    path = lock(tmp_path / "lock", "ours")
    process = run("mindie_listen", address="127.0.0.1", ports=[free_port()], lock=str(path), run_id="ours")["process"]
    assert is_alive(process)
    run("mindie_listen", state="stopped", process=process)
    assert gone(process)


def test_it_gives_way_to_a_run_that_takes_the_lock(tmp_path: Path) -> None:
    number, path = free_port(), tmp_path / "lock"
    process = run("mindie_listen", address="127.0.0.1", ports=[number], lock=str(path), run_id="ours")["process"]
    with socket.create_connection(("127.0.0.1", number)):  # one that does not hang up
        lock(path, "theirs")
        assert gone(process)
        with socket.socket() as daemon:  # without SO_REUSEADDR, as a strict daemon binds
            daemon.bind(("127.0.0.1", number))


def test_the_port_is_free_at_once_after_a_kill_in_the_middle_of_a_connection() -> None:
    number = free_port()
    process = run("mindie_listen", address="127.0.0.1", ports=[number], word=WORD)["process"]
    with socket.create_connection(("127.0.0.1", number), timeout=5) as link:
        assert link.recv(64) == WORD.encode()
        run("mindie_listen", state="stopped", process=process)
        assert gone(process)
        with socket.socket() as daemon:
            daemon.bind(("127.0.0.1", number))


def test_a_collection_tells_its_sockets_from_those_of_others(port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        items = [one for one in system_items() if one["key"] in ("listeners", "ports/4", "ports/6")]
        collection = run("mindie_collect", items=items)["collection"]
        found = listening(
            [file_text(collection, key) for key in ("ports/4", "ports/6")], listeners(command(collection, "listeners"))
        )
        assert not isinstance(found, Unknown)
        told = {one.port: one.by_check for one in found}
        assert told[port] is True and told[other.getsockname()[1]] is False
    assert re.fullmatch(LISTENER_NAMES, load("mindie_listen").NAME)


def served(answer: bytes | None) -> dict[str, Any]:
    """What comes of a connection to a listener that gives this answer and hangs up, or resets the connection."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def serve() -> None:
            link, _ = other.accept()
            if answer is None:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                link.sendall(answer)
            link.close()

        thread = threading.Thread(target=serve)
        thread.start()
        found = connected(other.getsockname()[1])
        thread.join()
        return found


@pytest.mark.parametrize(("answer", "says"), [
    (b"SSH-2.0-OpenSSH", "it said something else"), (b"5a", "it hung up"), (b"", "it hung up"),
    (None, "Connection reset by peer"),
])  # fmt: skip
def test_what_is_not_our_listener_is_told_from_it(answer: bytes | None, says: str) -> None:
    found = served(answer)
    assert (found["outcome"], found["says"], found["error"]) == ("stranger", says, None)


@pytest.mark.parametrize(("number", "outcome"), [
    (errno.EHOSTUNREACH, "no-route"), (errno.ENETUNREACH, "no-route"), (errno.EPERM, "no-route"),
    (errno.ETIMEDOUT, "silent"), (errno.ECONNREFUSED, "refused"), (errno.ECONNRESET, "stranger"),
    (errno.ENOBUFS, None),
])  # fmt: skip
def test_what_the_network_says(monkeypatch: pytest.MonkeyPatch, number: int, outcome: str | None) -> None:
    def refuse(*place: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    load("mindie_collect")
    from ansible.module_utils import mindie_read

    monkeypatch.setattr(mindie_read.socket, "create_connection", refuse)
    found = mindie_read.connect({"address": "127.0.0.1", "port": 1, "expect": ""}, 1.0)
    assert found["outcome"] == outcome
    assert found["error"] == (None if outcome else os.strerror(number))


def test_what_is_no_address_is_an_error_and_no_verdict() -> None:
    found = connected(1, address="no such host")
    assert found["outcome"] is None and found["error"]


@runs_with("3.7")
def test_it_runs_with_python_3_7(tmp_path: Path) -> None:
    package = tmp_path / "ansible" / "module_utils"
    package.mkdir(parents=True)
    for name in ("mindie_read.py", "mindie_process.py"):
        shutil.copy(UTILITIES / name, package)
    (package / "basic.py").write_text("class AnsibleModule(object):\n    pass\n")
    port = free_port()
    script = (
        "import json, sys; sys.path[:0] = sys.argv[1:3]; import mindie_listen as module; "
        "from ansible.module_utils.mindie_read import connect; port = int(sys.argv[3]); "
        "until = module.time.monotonic() + 20; "
        "pid = module.detach(module.opened('127.0.0.1', [port])[0], b'word', until, 20, lambda: False); "
        "process = {'pid': pid, 'born': module.born(pid)}; "
        "found = connect({'address': '127.0.0.1', 'port': port, 'expect': 'word'}, 3.0); "
        "print(json.dumps([found, module.stop(process)]))"
    )
    ended = subprocess.run(
        [interpreter("3.7") or "", "-B", "-c", script, str(tmp_path), str(MODULES), str(port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [{"outcome": "answered", "says": "", "error": None}, True]
