"""mindie_fix: what it changes, what it refuses, and what it says, with programs that behave as the true ones do."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import run

# Keeps what is set in files beside it, and notes every call.
HCCN_TOOL = """\
#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >> calls
[ ! -e busy ] || { rm busy; echo "hccn_tool is busy, please try again."; exit 11; }
[ ! -e dead ] || { echo "Get device health status failed!" >&2; exit 3; }
case "$3 $4" in
"-tls -g") echo "dev_id:$2, tls switch[$(cat tls$2)](0:disable, 1:enable), tls preconfigured[1](0:non-preset)";;
"-tls -s") [ -e deaf ] || echo "$6" > tls$2; echo "Cmd executed successfully!";;
"-netdetect -g") echo "netdetect addr: $(cat detect$2)";;
"-netdetect -s") echo "$6" > detect$2; echo "Cmd executed successfully!";;
esac
"""
# One container, whose status and label are files.
DOCKER = """\
#!/bin/sh
cd "$(dirname "$0")"
[ ! -e down ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; }
case "$1" in
ps) case "$*" in
    *label=*) [ "$(cat status 2>/dev/null)" != running ] || echo id1;;
    *) [ ! -e status ] || echo id1;;
    esac;;
inspect) echo "$(cat status) $(cat label)";;
logs) echo "the last words of $4";;
rm) rm status;;
esac
"""


class Tools:
    """The programs of a host, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name, text in (("hccn_tool", HCCN_TOOL), ("docker", DOCKER)):
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)

    def put(self, name: str, text: str = "") -> None:
        (self.directory / name).write_text(text)

    def get(self, name: str) -> str:
        return (self.directory / name).read_text().strip()

    @property
    def calls(self) -> list[str]:
        return self.get("calls").splitlines() if (self.directory / "calls").exists() else []

    def fix(self, *actions: dict[str, Any], check: bool = False, **more: Any) -> dict[str, Any]:
        return run(
            "mindie_fix",
            check=check,
            actions=list(actions),
            deployment="r1",
            engine=str(self.directory / "docker"),
            hccn_tool=str(self.directory / "hccn_tool"),
            **more,
        )


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    directory = tmp_path / "tools"
    directory.mkdir()
    return Tools(directory)


def tls(before: str = "on", after: str = "off", npu: str = "3") -> dict[str, Any]:
    return {"kind": "tls", "target": npu, "what": f"TLS of NPU {npu}", "before": before, "after": after}


def mode(path: Path, before: str, after: str) -> dict[str, Any]:
    return {"kind": "mode", "target": str(path), "what": f"mode of {path}", "before": before, "after": after}


def removed(kind: str, target: object, before: str) -> dict[str, Any]:
    return {"kind": kind, "target": str(target), "what": str(target), "before": before, "after": "absent"}


def test_tls_is_switched_once_and_read_again(tools: Tools) -> None:
    tools.put("tls3", "1")
    told = tools.fix({**tls(), "undo": "hccn_tool -i 3 -tls -s enable 1"})
    assert told["changed"]
    assert tools.get("tls3") == "0"
    assert tools.calls == ["-i 3 -tls -g", "-i 3 -tls -s enable 0", "-i 3 -tls -g"]
    (action,) = told["actions"]
    assert (action["found"], action["changed"], action["error"]) == ("on", True, None)
    assert action["undo"] == "hccn_tool -i 3 -tls -s enable 1"
    again = tools.fix(tls())
    assert not again["changed"]
    assert again["actions"][0]["found"] == "off"


def test_it_is_switched_on_again(tools: Tools) -> None:
    tools.put("tls3", "0")
    assert tools.fix(tls("off", "on"))["changed"]
    assert tools.get("tls3") == "1"


def test_check_mode_shows_the_difference_and_sets_nothing(tools: Tools) -> None:
    tools.put("tls3", "1")
    told = tools.fix(tls(), check=True)
    assert told["changed"]
    assert told["diff"] == [
        {"before_header": "TLS of NPU 3", "after_header": "TLS of NPU 3", "before": "on\n", "after": "off\n"}
    ]
    assert tools.calls == ["-i 3 -tls -g"]


def test_a_busy_device_is_asked_again(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    tools.put("tls3", "1")
    tools.put("busy")
    assert tools.fix(tls())["changed"]
    assert tools.calls.count("-i 3 -tls -g") == 3


def test_a_setting_that_does_not_hold_is_a_failure(tools: Tools) -> None:
    tools.put("tls3", "1")
    tools.put("deaf")
    told = tools.fix(tls())
    assert told["failed"]
    assert told["msg"] == "TLS of NPU 3: it is on after the change, not off"
    assert not told["changed"]


def test_a_value_that_the_plan_did_not_see_is_refused(tools: Tools) -> None:
    tools.put("detect3", "10.0.0.9")
    action = {"kind": "netdetect", "target": "3", "what": "address", "before": "0.0.0.0", "after": "10.0.0.1"}
    told = tools.fix(action)
    assert told["failed"]
    assert "it is 10.0.0.9 now, and was 0.0.0.0 when the plan was made" in told["msg"]
    assert tools.get("detect3") == "10.0.0.9"


def test_a_detect_address_is_set(tools: Tools) -> None:
    tools.put("detect3", "0.0.0.0")
    action = {"kind": "netdetect", "target": "3", "what": "address", "before": "0.0.0.0", "after": "10.0.0.1"}
    assert tools.fix(action)["changed"]
    assert tools.get("detect3") == "10.0.0.1"


@pytest.mark.parametrize("said", ["", "2", "\x1b[31m0", "0](0:disable), tls switch[1"])
def test_an_answer_that_cannot_be_read_changes_nothing(tools: Tools, said: str) -> None:
    tools.put("tls3", said)
    told = tools.fix(tls())
    assert told["failed"]
    assert "the answer to -tls -g cannot be read" in told["msg"]
    assert tools.calls == ["-i 3 -tls -g"]


def test_one_device_that_fails_does_not_hinder_the_next(tools: Tools, tmp_path: Path) -> None:
    tools.put("dead")
    path = tmp_path / "config.json"
    path.touch(0o666)
    path.chmod(0o666)
    told = tools.fix(tls(), mode(path, "0666", "0664"))
    assert told["failed"]
    assert told["msg"] == "TLS of NPU 3: hccn_tool -i 3 -tls -g: Get device health status failed!"
    assert [one["changed"] for one in told["actions"]] == [False, True]
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


@pytest.mark.parametrize("npu", ["-1", "3 -tls", "", "../3"])
def test_only_an_index_is_given_to_the_tool(tools: Tools, npu: str) -> None:
    assert "is no index of an NPU" in tools.fix(tls(npu=npu))["msg"]
    assert tools.calls == []


def test_a_tool_that_is_not_there_is_said(tools: Tools) -> None:
    (tools.directory / "hccn_tool").unlink()
    assert "is not installed on this host" in tools.fix(tls())["msg"]


def test_nothing_is_touched_where_the_deployment_runs(tools: Tools) -> None:
    tools.put("tls3", "1")
    tools.put("status", "running")
    told = tools.fix(tls())
    assert told["failed"]
    assert "the deployment r1 runs on this host" in told["msg"]
    assert (tools.calls, told["actions"]) == ([], [])


def test_nothing_is_touched_where_nobody_can_tell_whether_it_runs(tools: Tools) -> None:
    tools.put("tls3", "1")
    tools.put("down")
    told = tools.fix(tls())
    assert "Cannot connect to the Docker daemon" in told["msg"]
    assert tools.calls == []


def test_nothing_to_do_asks_nobody(tools: Tools) -> None:
    tools.put("down")
    assert tools.fix() == {"changed": False, "actions": [], "diff": [], **_invocation(tools.fix())}


def _invocation(told: dict[str, Any]) -> dict[str, Any]:
    return {"invocation": told["invocation"]}


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_modes_are_set_and_a_second_run_changes_nothing(tools: Tools, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    path.touch() if kind == "file" else path.mkdir()
    path.chmod(0o757)
    assert tools.fix(mode(path, "0757", "0750"))["changed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert not tools.fix(mode(path, "0757", "0750"))["changed"]


def test_the_mode_of_a_links_target_is_left(tools: Tools, tmp_path: Path) -> None:
    target = tmp_path / "passwd"
    target.touch()
    target.chmod(0o666)
    (tmp_path / "config.json").symlink_to(target)
    told = tools.fix(mode(tmp_path / "config.json", "0666", "0664"))
    assert told["msg"].endswith("config.json: it is a link")
    assert stat.S_IMODE(target.stat().st_mode) == 0o666


def test_other_things_keep_their_mode(tools: Tools, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    told = tools.fix(mode(tmp_path / "pipe", "0644", "0640"))
    assert "it is no file, directory or character device" in told["msg"]
    assert "No such file" in tools.fix(mode(tmp_path / "nothing", "0644", "0640"))["msg"]
    assert "is no absolute path" in tools.fix(mode(Path("config.json"), "0644", "0640"))["msg"]


def test_a_stopped_container_is_removed_and_its_last_words_are_kept(tools: Tools) -> None:
    tools.put("status", "exited")
    tools.put("label", "r1")
    assert tools.fix(removed("container", "r1-mindie", "id1"), check=True)["changed"]
    assert tools.get("status") == "exited"
    told = tools.fix(removed("container", "r1-mindie", "id1"))
    assert told["changed"]
    assert told["log_tail"] == "the last words of id1\n"
    assert not tools.fix(removed("container", "r1-mindie", "id1"))["changed"]


@pytest.mark.parametrize(
    ("status", "label", "identity", "why"),
    [
        ("exited", "r2", "id1", "it is not ours: its label mindie-deploy.deployment is r2"),
        ("exited", "", "id1", "it is not ours: its label mindie-deploy.deployment is missing"),
        ("paused", "r1", "id1", "it is paused"),
        ("exited", "r1", "id0", "it is id1 now, and was id0"),
    ],
)
def test_other_containers_are_left(tools: Tools, status: str, label: str, identity: str, why: str) -> None:
    tools.put("status", status)
    tools.put("label", label)
    told = tools.fix(removed("container", "r1-mindie", identity))
    assert why in told["msg"]
    assert tools.get("status") == status


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of shared memory. Of all processes only those of this test are seen: others may be hidden here."""
    directory = tmp_path / "shm"
    directory.mkdir()
    listed = os.listdir

    def ours(path: Any = ".") -> list[str]:
        names = listed(path)
        return [name for name in names if _is_ours(name)] if path == "/proc" else names

    monkeypatch.setattr(os, "listdir", ours)
    return directory


def _is_ours(name: str) -> bool:
    if not name.isdigit():
        return False
    try:
        parent = (Path("/proc") / name / "stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return False
    return int(parent) == os.getpid()


def left_file(memory: Path, name: str = "llm_backend_0") -> tuple[Path, str]:
    (memory / name).write_bytes(b"x" * 4096)
    return memory / name, f"4096 bytes of user {os.getuid()}"


def test_a_file_that_no_process_has_open_is_removed(tools: Tools, memory: Path) -> None:
    path, before = left_file(memory)
    told = tools.fix(removed("shared-memory", path, before), shared_memory=str(memory))
    assert told["changed"]
    assert not path.exists()
    assert not tools.fix(removed("shared-memory", path, before), shared_memory=str(memory))["changed"]


USES = {
    "open": "file = open(path, 'rb')",
    "mapped": "file = os.open(path, os.O_RDWR); memory = mmap.mmap(file, 0); os.close(file)",
}


@pytest.mark.parametrize("use", USES)
def test_a_file_that_a_process_uses_is_left(tools: Tools, memory: Path, use: str) -> None:
    path, before = left_file(memory)
    program = f"import mmap, os, sys; path = sys.argv[1]; {USES[use]}; print('has it', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None
        user.stdout.readline()
        told = tools.fix(removed("shared-memory", path, before), shared_memory=str(memory))
        user.communicate("\n")
    assert f"process {user.pid} (" in told["msg"]
    assert path.exists()
    assert tools.fix(removed("shared-memory", path, before), shared_memory=str(memory))["changed"]


def test_where_a_process_is_hidden_nothing_is_removed(
    tools: Tools, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = left_file(memory)

    def refuse(_path: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as other:
        pid = str(other.pid)
        monkeypatch.setattr(os, "listdir", lambda place: [pid] if place == "/proc" else refuse(place))
        told = tools.fix(removed("shared-memory", path, before), shared_memory=str(memory))
        other.communicate("\n")
    assert f"nobody can tell what process {pid} has open" in told["msg"]
    assert path.exists()


@pytest.mark.parametrize("name", ["other", "llm_backends", "sub/llm_backend_0", "../llm_backend_0"])
def test_nothing_else_of_the_shared_memory_is_removed(tools: Tools, memory: Path, name: str) -> None:
    path = memory / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    told = tools.fix(removed("shared-memory", path, f"1 bytes of user {os.getuid()}"), shared_memory=str(memory))
    assert told["failed"]
    assert "it is no file of MindIE" in told["msg"]
    assert path.exists()


def test_a_link_and_a_file_that_grew_are_left(tools: Tools, memory: Path) -> None:
    path, _before = left_file(memory)
    told = tools.fix(removed("shared-memory", path, f"1 bytes of user {os.getuid()}"), shared_memory=str(memory))
    assert "4096 bytes" in told["msg"]
    (memory / "llm_backend_1").symlink_to(path)
    told = tools.fix(removed("shared-memory", memory / "llm_backend_1", "x"), shared_memory=str(memory))
    assert "it is no file" in told["msg"]
    assert path.exists()


def test_the_names_in_shared_memory_are_those_that_are_collected() -> None:
    from ansible.module_utils import mindie_fix_kinds

    from mindie_deploy.hosts.items_surroundings import SHARED_MEMORY, SHARED_MEMORY_FILES

    assert tuple(f"{SHARED_MEMORY}/{name}" for name in mindie_fix_kinds.LEFT_FILES) == SHARED_MEMORY_FILES
