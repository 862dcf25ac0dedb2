"""mindie_collect on this machine: commands, files, limits, and the promise to come back in time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.hosts.collection import specification
from mindie_deploy.hosts.facts import HostFacts, Unknown
from mindie_deploy.hosts.read import read
from tests.hosts.test_read import SETTINGS
from tests.hosts.typecheck import mismatch
from tests.interpreters import interpreter, runs_with
from tests.modules.module_runner import MODULES, UTILITIES, load, run

MODULE = MODULES / "mindie_collect.py"


def collect(*items: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """Returns the collection of some items."""
    result = run("mindie_collect", items=list(items), **arguments)
    assert result["changed"] is False, result
    collection: dict[str, Any] = result["collection"]
    return collection


def answer_of(*words: str, **more: Any) -> dict[str, Any]:
    """Returns the answer of one command."""
    answer: dict[str, Any] = collect({"key": "it", "command": list(words), **more})["items"]["it"]
    return answer


def test_a_command_returns_both_streams_and_its_status() -> None:
    answer = answer_of("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (answer["status"], answer["stdout"], answer["stderr"]) == (7, "out\n", "err\n")
    assert answer["error"] is None and answer["attempts"] == 1 and not answer["timed_out"]


def test_a_command_has_a_plain_locale_no_input_and_usual_signals() -> None:
    answer = answer_of("sh", "-c", "echo $LC_ALL; cat; kill -PIPE $$; echo survived")
    assert answer["stdout"] == "C\n" and answer["status"] == 128 + 13


def test_variables_are_set_where_the_host_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "host")
    monkeypatch.delenv("TWO", raising=False)
    answer = answer_of("sh", "-c", "echo $ONE $TWO", environment={"ONE": "ours", "TWO": "ours"})
    assert answer["stdout"] == "host ours\n"


def test_output_that_is_no_text_is_kept_as_escapes() -> None:
    assert answer_of("printf", r"a\377\000b")["stdout"] == "a\\xff\x00b"


def test_much_output_is_cut_and_said_so() -> None:
    answer = answer_of("sh", "-c", "yes | head -c 3000000")
    assert len(answer["stdout"]) == 1 << 20 and answer["truncated"] and answer["status"] == 0


def test_a_command_over_its_time_is_ended_with_all_its_children(tmp_path: Path) -> None:
    script = f"trap '' TERM; sh -c 'echo $$ > {tmp_path}/pid; sleep 60' & sleep 60"
    began = time.monotonic()
    answer = answer_of("sh", "-c", script, timeout=0.5)
    assert time.monotonic() - began < 4
    assert answer["timed_out"] and answer["status"] is None and answer["error"] == "no answer within 0.5 s"
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        if "State:\tZ" in Path(f"/proc/{child}/status").read_text():
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()


def test_output_held_open_by_a_background_process_is_not_waited_for() -> None:
    began = time.monotonic()
    answer = answer_of("sh", "-c", "sleep 60 & echo done")
    assert time.monotonic() - began < 3 and answer["stdout"] == "done\n" and answer["status"] == 0


def test_a_process_that_cannot_be_killed_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that waits for a device in the kernel: signals change nothing."""
    module = load("mindie_collect")
    pids: list[int] = []
    monkeypatch.setattr(module.Child, "signal_group", lambda self, number: pids.append(self.pid))
    items = [
        {"key": "stuck", "command": ["sleep", "20"], "timeout": 0.3, "exclusive": "device"},
        {"key": "next", "command": ["true"], "exclusive": "device"},
        {"key": "other", "command": ["true"], "exclusive": "another"},
    ]
    began = time.monotonic()
    collection = module.Collection({}, {}, items, 60, 4).run()
    assert time.monotonic() - began < 6
    assert "cannot be ended" in collection["items"]["stuck"]["error"]
    assert collection["items"]["next"]["error"].startswith("skipped")
    assert collection["items"]["other"]["status"] == 0
    for pid in set(pids):
        try:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def test_the_whole_collection_ends_by_its_limit() -> None:
    items = [{"key": str(n), "command": ["sleep", "30"]} for n in range(6)]
    began = time.monotonic()
    collection = collect(*items, limit=1.0, parallel=2)
    assert time.monotonic() - began < 4
    errors = [collection["items"][str(n)]["error"] for n in range(6)]
    assert all("no answer within" in error for error in errors[:2])
    assert all("not started" in error for error in errors[2:])


def test_commands_of_one_word_never_run_at_once_and_others_do() -> None:
    script = "date +%s.%N; sleep 0.3; date +%s.%N"
    items = [
        {"key": f"{word}{n}", "command": ["sh", "-c", script], "exclusive": word} for word in "ab" for n in range(3)
    ]
    began = time.monotonic()
    answers = collect(*items)["items"]
    assert time.monotonic() - began < 1.6  # six times 0.3 s one after another would be 1.8
    for word in "ab":
        spans = sorted(tuple(map(float, answers[f"{word}{n}"]["stdout"].split())) for n in range(3))
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_busy_is_tried_again_and_then_told(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    script = f"echo x >> {counter}; [ $(wc -l < {counter}) -ge 3 ] && echo fine || {{ echo it is busy; exit 11; }}"
    retries = {"times": 3, "patterns": ["is busy"], "pause": 0.05}
    answer = answer_of("sh", "-c", script, retries=retries, exclusive="device")
    assert (answer["status"], answer["attempts"], answer["stdout"]) == (0, 3, "fine\n")
    answer = answer_of("sh", "-c", "echo it is busy; exit 11", retries=retries)
    assert (answer["status"], answer["attempts"]) == (11, 4)


def test_after_two_time_outs_on_a_device_the_rest_is_skipped() -> None:
    items = [{"key": str(n), "command": ["sleep", "9"], "timeout": 0.2, "exclusive": "7"} for n in range(4)]
    answers = collect(*items)["items"]
    assert [answers[str(n)]["timed_out"] for n in range(4)] == [True, True, False, False]
    assert answers["3"]["error"].startswith("skipped")


def test_programs_are_found_in_their_places(tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()  # what a container leaves that mounted a missing file
    real = tmp_path / "real"
    real.write_text("#!/bin/sh\necho $1\n")
    real.chmod(0o755)
    record = tmp_path / "install.info"
    record.write_text(f'# made by hand\nOther=1\nPlace="{tmp_path}"\n')
    collection = collect(
        {"key": "it", "command": ["tool", "hello"]},
        {"key": "no", "command": ["nothing", "hello"]},
        programs={"tool": [f"{tmp_path}/tool", "{place}/real"], "nothing": ["{other}/nothing"]},
        values={
            "place": {"file": str(record), "key": "Place", "default": "/x"},
            "other": {"file": "/nonexistent", "key": "Place", "default": "/usr/local"},
        },
    )
    assert collection["programs"] == {"tool": str(real), "nothing": None}
    assert collection["values"] == {"place": str(tmp_path), "other": "/usr/local"}
    assert collection["items"]["it"]["stdout"] == "hello\n"
    assert collection["items"]["no"]["missing"] and "/usr/local/nothing" in collection["items"]["no"]["error"]


def test_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("läng\nother\nlast\n".encode())
    os.mkfifo(tmp_path / "pipe")
    answers = collect(
        {"key": "second", "file": [f"{tmp_path}/none", f"{tmp_path}/text"]},
        {"key": "some", "file": f"{tmp_path}/text", "lines": "^(l|x)"},
        {"key": "cut", "file": f"{tmp_path}/text", "limit": 3},
        {"key": "none", "file": f"{tmp_path}/none"},
        {"key": "pipe", "file": f"{tmp_path}/pipe"},
        {"key": "directory", "file": str(tmp_path)},
        {"key": "proc", "file": "/proc/self/status"},
    )["items"]
    assert answers["second"]["text"] == "läng\nother\nlast\n" and answers["second"]["path"] == f"{tmp_path}/text"
    assert answers["some"]["text"] == "läng\nlast\n"
    assert answers["cut"]["truncated"] and answers["cut"]["text"] == "lä"
    assert answers["none"]["exists"] is False
    assert answers["pipe"]["error"] == answers["directory"]["error"] == "not a regular file"
    assert "Name:" in answers["proc"]["text"] and not answers["proc"]["truncated"]


def test_wanted_lines_of_a_file_that_was_not_read_to_its_end_are_not_whole(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"wanted\nother\n")
    os.truncate(text, 40 << 20)
    answer = collect({"key": "long", "file": str(text), "lines": "^wanted"})["items"]["long"]
    assert (answer["text"], answer["truncated"]) == ("wanted\n", True)


def test_stat_directory_and_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("123")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("nowhere")
    (tmp_path / "d").symlink_to("d")
    (tmp_path / "e").symlink_to("e" * 300)
    answers = collect(
        {
            "key": "stat",
            "stat": [f"{tmp_path}/none", f"{tmp_path}/[ab]", f"{tmp_path}/a", f"{tmp_path}/c", "/dev/null"],
        },
        {"key": "directory", "directory": str(tmp_path)},
        {"key": "none", "directory": f"{tmp_path}/none"},
        {"key": "disk", "disk": f"{tmp_path}/not/yet/there"},
    )["items"]
    states = {Path(state["path"]).name: state for state in answers["stat"]["paths"]}
    assert list(states) == ["none", "a", "b", "c", "null"]
    assert states["none"] == {"path": f"{tmp_path}/none", "exists": False, "error": None}
    assert (states["b"]["kind"], states["b"]["target"], states["b"]["target_kind"]) == ("link", f"{tmp_path}/a", "file")
    assert states["c"]["exists"] and states["c"]["target_kind"] is None and "nowhere" in states["c"]["error"]
    assert states["null"]["kind"] == "char" and states["null"]["device"] == [1, 3]
    entries = {entry["name"]: entry for entry in answers["directory"]["entries"]}
    assert entries["b"]["size"] == 3 and entries["b"]["link"] and entries["b"]["kind"] == "file"
    assert entries["c"]["error"] and entries["c"]["exists"] is entries["d"]["exists"] is False
    assert entries["e"]["error"] and entries["e"]["exists"] is True  # refused for another reason: it may be there
    assert answers["none"]["exists"] is False
    assert answers["disk"]["ancestor"] == str(tmp_path) and answers["disk"]["total_bytes"] > 0
    assert answers["disk"]["filesystem"]


@pytest.mark.parametrize(
    "items",
    [
        [{"command": ["true"]}],
        [{"key": "a", "command": ["true"]}, {"key": "a", "command": ["true"]}],
        [{"key": "a"}],
        [{"key": "a", "command": ["true"], "file": "/x"}],
        [{"key": "a", "command": "true"}],
        [{"key": "a", "stat": []}],
    ],
)
def test_a_wrong_list_is_refused(items: list[dict[str, Any]]) -> None:
    result = run("mindie_collect", items=items)
    assert result["failed"] and result["msg"].startswith("items: ")


def test_check_mode_reads_as_well() -> None:
    result = run("mindie_collect", check=True, items=[{"key": "a", "command": ["true"]}])
    assert result["collection"]["items"]["a"]["status"] == 0 and result["changed"] is False


def test_the_real_request_of_this_machine_becomes_facts_in_seconds() -> None:
    """No NPU here: everything about NPUs is unknown with a reason, the machine itself is known."""
    requested_at = time.time()
    request: dict[str, Any] = specification(SETTINGS)
    result = run("mindie_collect", **request)
    answered_at = time.time()
    collection = json.loads(json.dumps(result["collection"]))
    assert collection["seconds"] < 60
    facts = read("here", collection, SETTINGS, requested_at=requested_at, answered_at=answered_at)
    assert mismatch(facts, HostFacts) is None
    assert not isinstance(facts.system, Unknown) and facts.system.page_size and facts.system.kernel
    assert not isinstance(facts.clock, Unknown) and abs(facts.clock.skew_s) <= facts.clock.uncertainty_s + 0.05
    assert not isinstance(facts.listening, Unknown)
    assert not isinstance(facts.disks["/var/lib/mindie-deploy"], Unknown)


def test_it_runs_through_ansible() -> None:
    arguments = {"items": [{"key": "it", "command": ["echo", "hello"]}]}
    command = [
        str(Path(sys.executable).parent / "ansible"),
        *("localhost", "-i", "localhost,", "-c", "local", "-m", "mindie_collect", "-a", json.dumps(arguments)),
        *("-e", f"ansible_python_interpreter={sys.executable}"),
    ]
    environment = {
        **os.environ,
        "ANSIBLE_LIBRARY": str(MODULES),
        "ANSIBLE_MODULE_UTILS": str(UTILITIES),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = json.loads(ended.stdout[ended.stdout.index("{") :])
    assert result["collection"]["items"]["it"]["stdout"] == "hello\n"


@runs_with("3.7")
def test_it_runs_with_python_3_7(tmp_path: Path) -> None:
    package = tmp_path / "ansible" / "module_utils"
    package.mkdir(parents=True)
    (tmp_path / "ansible" / "__init__.py").touch()
    (package / "__init__.py").touch()
    for path in UTILITIES.glob("*.py"):
        shutil.copy(path, package)
    (package / "basic.py").write_text("class AnsibleModule(object):\n    pass\n")
    script = (
        "import json, sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]; import mindie_collect as module; "
        "request = json.load(sys.stdin); print(json.dumps(module.Collection(request['programs'], request['values'], "
        "request['items'], 60, 16).run()))"
    )
    ended = subprocess.run(
        [interpreter("3.7") or "", "-B", "-c", script, str(tmp_path), str(MODULES)],
        input=json.dumps(specification(SETTINGS)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    facts = read("old", json.loads(ended.stdout), SETTINGS)
    assert not isinstance(facts.system, Unknown) and facts.system.python.startswith("3.7")
