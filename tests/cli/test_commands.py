"""Every command as an operator types it, against playbooks whose hosts answer what the test says."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.cli import patience
from mindie_deploy.cli.application import run
from tests.cli import reports
from tests.endpoint.server import serving
from tests.runs.stub_content import StubContent

READY = {"gang": {"state": "ready", "answer": "Hello there", "host": "host1"}}
STATUS = {
    "status": {
        "container": {"running": True},
        "state": "listening",
        "message": "loaded [ok]",
        "listening": True,
        "since": "2026-01-01T00:00:00.123456789Z",
        "npus": [{"id": 0, "health": "OK", "hbm_used_mib": 1024, "hbm_total_mib": 65536, "aicore_percent": 3}],
        "npus_unknown": None,
    }
}
DIFF = {
    "changed": True,
    "diff": [
        {"before_header": "/d/config.json", "after_header": "/d/config.json", "before": "a\nb\n", "after": "a\nc\n"},
        {
            "before_header": "/d/environment",
            "after_header": "/d/environment",
            "before": "",
            "after": "HF_TOKEN=hf_9999\n",
        },
    ],
}


class Command:
    """Runs commands in the way of the shell."""

    def __init__(self, content: StubContent, capsys: pytest.CaptureFixture[str], port: int) -> None:
        self.content, self._capsys = content, capsys
        self.inventory = content.inventory(
            settings={"mindie_port": port}, leader="127.0.0.1", ansible_become_password="hf_9999"
        )
        self.answer()

    def answer(self, **changes: Any) -> None:
        """Sets what hosts answer; "x__check" is the answer of action mindie_x in check mode."""
        scenario: dict[str, Any] = {
            "mindie_judge": {"*": {"report": reports.good()}},
            "mindie_wait": {"*": READY},
            "mindie_status": {"*": STATUS},
            "mindie_lock": {"*": {"lock": None}},
            "mindie_container": {"*": {"container": None}},
        }
        for name, value in changes.items():
            action, _, check = name.partition("__")
            scenario[f"mindie_{action}" + (" (check)" if check else "")] = (
                value if "*" in value or "host2" in value else {"*": value}
            )
        self.content.answer(scenario)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = run([words[0], *words[1:], "-i", str(self.inventory)])
        told = self._capsys.readouterr()
        return code, told.out, told.err


@pytest.fixture
def served() -> Iterator[int]:
    with serving() as (url, _server):
        yield int(url.rpartition(":")[2])


@pytest.fixture
def command(content: StubContent, capsys: pytest.CaptureFixture[str], served: int) -> Command:
    return Command(content, capsys, served)


def last_record(content: StubContent) -> Path:
    return max((content.directory.parent / "state" / "mindie-deploy" / "runs").iterdir())


def test_check_of_good_hosts(command: Command) -> None:
    code, out, err = command("check")
    assert code == 0
    assert "Check of deepseek-r1: OK" in out
    assert "host2" in out
    assert "\x1b" not in out + err


def test_check_json_is_one_document_with_the_verdict(command: Command) -> None:
    command.answer(judge={"report": reports.blocking(), "failed": True, "msg": "see above"})
    code, out, err = command("check", "--json")
    assert code == 3
    assert json.loads(out)["verdict"] == "block"
    assert "hccn.link-up" in err


def test_check_that_blocks_ends_with_where_how_and_next(command: Command) -> None:
    command.answer(judge={"report": reports.blocking(), "failed": True, "msg": "see above"})
    code, out, err = command("check")
    assert code == 3
    assert "host2: NPU 5" in out
    assert "link status: DOWN" in out
    assert "error: 1 finding would make the launch fail (hccn.link-up)" in err
    assert "record: " in err
    assert err.rstrip().splitlines()[-1] == "next: check cable [A] and optical module"


def test_hosts_that_do_not_answer_have_a_code_of_their_own(command: Command) -> None:
    command.answer(judge={"report": reports.lost(), "failed": True, "msg": "see above"})
    code, _out, err = command("check")
    assert code == 4
    assert "host1, host2" in err


def test_plan_shows_what_would_change_and_no_secret(command: Command) -> None:
    command.answer(files=DIFF)
    code, out, err = command("plan")
    assert code == 0
    assert "all hosts: /d/config.json" in out
    assert "-b" in out
    assert "+c" in out
    assert "HF_TOKEN=********" in out
    assert "hf_9999" not in out + err


def test_plan_without_a_change_says_so(command: Command) -> None:
    code, out, _err = command("plan")
    assert code == 0
    assert "nothing to change" in out


def test_up_without_a_terminal_and_without_yes_is_a_usage_error(command: Command) -> None:
    command.answer(files=DIFF)
    code, _out, err = command("up")
    assert code == 2
    assert "next: add --yes" in err
    assert "all hosts: /d/config.json" in err


def test_up_plans_applies_and_proves(command: Command) -> None:
    command.answer(files=DIFF)
    code, out, err = command("up", "--yes")
    assert code == 0
    assert "up: DeepSeek-R1 answers at http://127.0.0.1:" in out
    assert "proof: 'Hello there'" in out
    assert "curl http://127.0.0.1:" in out
    assert "plan: 2 changes" in err
    record = last_record(command.content)
    assert json.loads((record / "plan.json").read_text())["changes"][0]["hosts"] == ["host1", "host2"]
    assert "hf_9999" not in "".join(path.read_text() for path in record.iterdir())


def test_a_second_up_changes_nothing_and_asks_the_model(command: Command) -> None:
    command.answer(wait={"failed": True, "msg": "a second run must not come here"}, wait__check={})
    code, out, _err = command("up", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["changed"] is False
    assert told["answer"] == "Hello world"


def test_up_does_not_touch_hosts_that_a_finding_blocks(command: Command) -> None:
    report = {"report": reports.blocking(), "failed": True, "msg": "see above"}
    command.answer(judge=report, files={"changed": True, "failed": True, "msg": "touched"})
    code, _out, err = command("up", "--yes")
    assert code == 3
    assert "touched\n" not in err.replace("nothing was touched", "")


def test_up_ends_with_the_cause_of_a_dead_member(command: Command) -> None:
    dead = {
        "failed": True,
        "msg": "host2 died: exit 255\n\nlikely cause: the rank table is wrong",
        "gang": {"state": "dead", "host": "host2", "causes": [{"id": "x", "remedy": "write it again"}]},
    }
    command.answer(files=DIFF, wait={"host2": dead, "*": {}}, wait__check={})
    code, _out, err = command("up", "--yes")
    assert code == 7
    assert "host2 died: exit 255" in err
    assert err.rstrip().splitlines()[-1] == "next: write it again"


def test_a_lock_that_another_holds_says_who(command: Command) -> None:
    held = {"failed": True, "locked": True, "msg": "anna@c2 holds the lock since 10:00. Wait for it, or", "lock": {}}
    command.answer(lock=held)
    code, _out, err = command("down", "--yes")
    assert code == 6
    assert "anna@c2 holds the lock since 10:00" in err
    assert "mindie-deploy lock release" in err


def test_down_says_what_was_stopped(command: Command) -> None:
    command.answer(container={"changed": True, "container": None})
    code, out, _err = command("down", "--yes")
    assert (code, out.split("  (")[0]) == (0, "down: stopped on host1, host2")
    command.answer()
    code, out, _err = command("down", "--yes")
    assert code == 0
    assert "nothing to change" in out


def test_status_for_people_and_for_programs(command: Command) -> None:
    code, out, _err = command("status")
    assert code == 0
    assert "answering" in out
    assert "1/1 OK" in out
    code, out, _err = command("status", "--json")
    told = json.loads(out)
    assert told["answering"] is True
    assert told["hosts"]["host2"]["rank"] == 1


def test_status_of_what_does_not_run_ends_with_7_and_says_what_to_do(command: Command) -> None:
    absent = {"status": {"state": "absent", "message": "", "listening": None, "npus": []}}
    command.answer(status={"*": STATUS, "host2": absent})
    code, out, err = command("status")
    assert code == 7
    assert "not answering" in out
    assert "next: mindie-deploy up starts all members again" in err
    command.answer(status=absent)
    code, _out, err = command("status")
    assert (code, err.rstrip().splitlines()[-1]) == (7, "next: mindie-deploy up")


def test_status_of_some_hosts_does_not_judge_the_others(command: Command) -> None:
    code, out, _err = command("status", "--json", "--limit", "host2")
    told = json.loads(out)
    assert (code, told["answering"], told["not_asked"], list(told["hosts"])) == (0, None, ["host1"], ["host2"])


@pytest.mark.parametrize("limit", ["nohost", "host1,nohost"])
@pytest.mark.parametrize("verb", ["check", "status", "sync"])
def test_a_limit_that_names_no_host_is_refused(command: Command, verb: str, limit: str) -> None:
    code, _out, err = command(verb, "--limit", limit)
    assert code == 2
    assert "the hosts are host1, host2" in err
    assert "WARNING" not in err


def test_status_fits_a_narrow_terminal(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    code, out, _err = command("status")
    assert code == 0
    assert max(len(line) for line in out.splitlines()[1:]) <= 40


def test_status_of_a_lost_host_shows_the_others_and_ends_with_4(command: Command) -> None:
    command.answer(status={"host2": {"raise": "Connection timed out"}, "*": STATUS})
    code, out, err = command("status")
    assert code == 4
    assert "unknown" in out
    assert "host2: " in err


def test_sync_says_what_is_there(command: Command) -> None:
    command.answer(weights_plan={"plan": {"summary": "all 163 files are right"}})
    code, out, err = command("sync", "--yes")
    assert code == 0
    assert "host1: all 163 files are right" in err
    assert "nothing to copy" in out


def test_chat_streams_to_standard_output_only_the_answer(command: Command) -> None:
    code, out, err = command("chat", "hi")
    assert code == 0
    assert out == "Hello world\n"
    assert "Hm. " in err
    assert "direct" in err
    assert not any("-chat-" in path.name for path in last_record_root(command.content))


def last_record_root(content: StubContent) -> list[Path]:
    root = content.directory.parent / "state" / "mindie-deploy" / "runs"
    return list(root.iterdir()) if root.exists() else []


def test_chat_with_a_dead_member_names_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience, "LOOK_S", 0.2)
    monkeypatch.setattr(patience, "SHOW_S", 0.1)
    over = threading.Event()
    dead = {"status": {"state": "dead", "message": "exit status 137", "listening": None, "npus": []}}
    command.answer(status={"*": STATUS, "host2": dead})
    with serving(lambda _handler, _body: bool(over.wait(30))) as (url, _server):
        command.inventory = command.content.inventory(
            settings={"mindie_port": int(url.rpartition(":")[2])}, leader="127.0.0.1"
        )
        code, out, err = command("chat", "hi")
        over.set()
    assert code == 7
    assert out == ""
    assert "host2: nothing runs (exit status 137)" in err
    assert "next: mindie-deploy up" in err


@pytest.mark.parametrize("question", [b"\xff\xfe", b"", b" \n"])
def test_chat_refuses_what_is_no_question(question: bytes, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(question)))
    for words in (("chat",), ("chat", "-"), ("chat", os.fsdecode(question))):
        code, _out, err = command(*words)
        assert code == 2
        assert "Traceback" not in err
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(question)))


def test_chat_reads_standard_input(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("chat",), ("chat", "-")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("天空为什么是蓝的".encode())))
        assert command(*words)[0] == 0


def test_chat_with_any_url(served: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chat", "--url", f"http://127.0.0.1:{served}", "--json", "--no-stream", "hi"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["answer"], told["model"], told["usage"]["total_tokens"]) == ("Hello world", "DeepSeek-R1", 7)


def test_lock_status_and_release(command: Command) -> None:
    held = {"owner": "anna@c2", "run_id": "r1", "reason": "up", "age_s": 61}
    command.answer(lock={"lock": held, "broken": {"changed": True, "lock": None, "removed": held}})
    code, out, _err = run_lock(command, "status")
    assert code == 0
    assert "host1: held by anna@c2 for 1 min 01 s: up, run r1" in out
    code, out, _err = run_lock(command, "release", "--yes")
    assert code == 0
    assert "removed on host1, host2" in out


def run_lock(command: Command, *words: str) -> tuple[int, str, str]:
    return command("lock", *words)


def test_config_show_says_where_values_come_from(command: Command) -> None:
    code, out, _err = command("config", "show", "--changed", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["mindie_port"]["from"].split(":")[0].endswith("group_vars/all.yml")


def test_a_secret_among_the_settings_is_refused_and_not_repeated(command: Command) -> None:
    command.inventory = command.content.inventory(settings={"mindie_environment": {"HF_TOKEN": "hf_1234"}})
    code, out, err = command("check")
    assert code == 2
    assert "mindie_environment" in err
    assert "hf_1234" not in out + err


def test_settings_written_as_templates_are_asked_of_ansible(command: Command) -> None:
    settings = {"mindie_port": "{{ 1000 + 25 }}"}
    command.inventory = command.content.inventory(settings=settings)
    read = {
        "settings": {"port": 1025, "deployment": "other"},
        "hosts": [{"name": "host1", "address": "192.0.2.1", "rank": 0}],
    }
    command.answer(settings=read)
    code, out, _err = command("config", "show", "--changed")
    assert code == 0
    assert "other" in out
