"""mindie-deploy fix, against playbooks whose hosts answer what the test says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.cli.application import run
from mindie_deploy.cli.terminal import Terminal
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.preflight.finding import Evidence, Finding
from mindie_deploy.preflight.fix_action import FixAction, FixPlan, HostFixes, HostPlaces, Left
from mindie_deploy.preflight.fix_changes import mode_change, netdetect_change
from tests.cli import reports
from tests.runs.stub_content import StubContent

ACTION = FixAction(
    check_id="hccn.tls-uniform",
    kind="tls",
    target="3",
    what="TLS of NPU 3",
    before="on",
    after="off",
    command="hccn_tool -i 3 -tls -s enable 0",
    undo="hccn_tool -i 3 -tls -s enable 1",
)
NAME = f"{Settings().deployment}-mindie"
GONE = FixAction(
    "docker.stopped", "container", NAME, f"container {NAME}", "id1", "absent", f"docker rm --volumes {NAME}", None
)
PLAN = FixPlan({"host2": HostFixes((ACTION,), "/usr/bin/hccn_tool", "/lib")})
NO_PLAN = FixPlan({})


def report(severity: str = "") -> dict[str, Any]:
    """The report of hosts whose TLS differs; with no severity, of good ones."""
    told = reports.good()
    if severity:
        evidence = Evidence("hccn_tool -i N -tls -g", "TLS is on", {"host2": (3,)})
        finding = Finding(
            check_id="hccn.tls-uniform",
            kind="fail",
            severity=severity,  # type: ignore[arg-type]
            title="the TLS switch of NPUs differs",
            hosts=("host2",),
            devices={"host2": (3,)},
            evidence=(evidence,),
            remedy="set the switch",
        )
        told.update(verdict=severity, findings=[finding.to_dict()])
    return told


def looked(plan: FixPlan, severity: str = "", hosts: tuple[str, ...] = ("host1", "host2")) -> dict[str, Any]:
    places = {host: HostPlaces("/usr/bin/hccn_tool", "/lib", "/data/model").to_dict() for host in hosts}
    return {"plan": plan.to_dict(), "report": report(severity), "hosts": list(hosts), "places": places}


def done(*actions: FixAction, **more: Any) -> dict[str, Any]:
    made = [{**action.to_dict(), "found": action.before, "changed": True, "error": None} for action in actions]
    return {"changed": True, "actions": made, **more}


class Fix:
    """Runs the command; hosts answer first in check mode, then when they are changed."""

    def __init__(self, content: StubContent, capsys: pytest.CaptureFixture[str]) -> None:
        self.content, self._capsys = content, capsys
        self.inventory = content.inventory()

    def answer(self, plan: dict[str, Any], **more: Any) -> None:
        """Sets the answer of the look, and those of mindie_<name> by host."""
        scenario: dict[str, Any] = {"mindie_fix_plan": {"*": plan}, "mindie_lock": {"*": {"lock": None}}}
        self.content.answer({**scenario, **{f"mindie_{name}": answers for name, answers in more.items()}})

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = run(["fix", *words, "-i", str(self.inventory)])
        told = self._capsys.readouterr()
        return code, told.out, told.err

    @property
    def records(self) -> list[Path]:
        return sorted(
            path.parent for path in (self.content.directory.parent / "state").glob("mindie-deploy/runs/*/run.json")
        )


@pytest.fixture
def fix(content: StubContent, capsys: pytest.CaptureFixture[str]) -> Fix:
    return Fix(content, capsys)


def test_nothing_to_mend_ends_with_0(fix: Fix) -> None:
    fix.answer(looked(NO_PLAN))
    code, out, _err = fix("--yes")
    assert (code, out.startswith("nothing to mend")) == (0, True)


def test_the_plan_is_shown_before_anything_is_asked(fix: Fix) -> None:
    fix.answer(looked(PLAN, "block"))
    code, _out, err = fix()
    assert code == 2
    assert "TLS of NPU 3: on -> off  (hccn.tls-uniform)" in err
    assert "run:  hccn_tool -i 3 -tls -s enable 0" in err
    assert "undo: hccn_tool -i 3 -tls -s enable 1" in err
    assert "add --yes" in err
    assert not list(fix.records[0].glob("fix.json"))


def test_json_without_a_terminal_is_the_plan_and_how_to_agree(fix: Fix) -> None:
    fix.answer(looked(PLAN, "block"))
    code, out, _err = fix("--json")
    told = json.loads(out)
    assert (code, told["exit_code"]) == (2, 2)
    assert told["plan"] == PLAN.to_dict()
    assert (told["changed"], told["undo"]) == ({}, None)
    assert told["error"] == "this changes hosts, and there is no terminal to ask on; nothing was changed"
    assert "--yes" in told["next"]


def test_json_of_a_cancelled_question_is_the_plan(fix: Fix, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Terminal, "interactive", True)
    monkeypatch.setattr("builtins.input", interrupted)
    fix.answer(looked(PLAN, "block"))
    code, out, err = fix("--json")
    told = json.loads(out)
    assert (code, told["exit_code"], told["plan"]) == (130, 130, PLAN.to_dict())
    assert "cancelled at the question: nothing was changed" in err


def test_what_was_changed_is_kept_with_the_way_back(fix: Fix) -> None:
    fix.answer(looked(PLAN, "block"), fix={"host2": done(ACTION)})
    code, out, err = fix("hccn.tls-uniform", "--yes")
    assert "1 change on host2" in out
    run_id = fix.records[0].name
    assert f"to take it back: mindie-deploy fix --undo {run_id}" in err
    kept = json.loads((fix.records[0] / "fix.json").read_text())
    assert kept["hosts"]["host2"]["actions"] == [ACTION.to_dict()]
    # The second look still sees the finding, because these hosts always answer the same.
    assert code == 3
    assert "not everything is mended: hccn.tls-uniform" in err


def test_json_is_one_document(fix: Fix) -> None:
    fix.answer(looked(PLAN, "warn"), fix={"host2": done(ACTION)})
    code, out, _err = fix("--yes", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["changed"] == {"host2": [ACTION.to_dict()]}
    assert told["undo"] == f"mindie-deploy fix --undo {fix.records[0].name}"
    assert told["remaining"] == [{"check_id": "hccn.tls-uniform", "severity": "warn", "where": "host2: NPU 3"}]


def test_a_failure_in_the_middle_keeps_what_was_changed_before(fix: Fix) -> None:
    failed = done(ACTION, failed=True, msg="container x: it is paused")
    failed["actions"].append({**GONE.to_dict(), "found": None, "changed": False, "error": "it is paused"})
    plan = FixPlan({"host2": HostFixes((ACTION, GONE), "/usr/bin/hccn_tool", "/lib")})
    fix.answer(looked(plan, "block"), **{"fix (check)": {"host2": {}}, "fix": {"host2": failed}})
    code, _out, err = fix("--yes")
    assert code == 5
    assert "container x: it is paused" in err
    assert "changed before that: 1 change on host2" in err
    kept = json.loads((fix.records[0] / "fix.json").read_text())
    assert kept["hosts"]["host2"]["actions"] == [ACTION.to_dict()]


def test_what_is_left_is_said_and_what_blocks_ends_with_3(fix: Fix) -> None:
    left = FixPlan({}, (Left("hccn.tls-uniform", "host2", "the deployment runs here"),))
    fix.answer(looked(left, "block"))
    code, out, err = fix("--yes")
    assert code == 3
    assert "host2: left as it is: the deployment runs here" in err
    assert out.startswith("nothing was changed")
    assert "next: set the switch" in err


def test_what_is_on_other_hosts_than_those_asked_for_does_not_count(fix: Fix) -> None:
    fix.answer(looked(NO_PLAN, "block", hosts=("host1",)))
    code, out, _err = fix("--limit", "host1", "--yes")
    assert (code, out.startswith("nothing to mend")) == (0, True)


def test_a_limit_that_names_nobody_is_a_wrong_argument(fix: Fix) -> None:
    fix.answer(looked(NO_PLAN, hosts=()))
    code, _out, err = fix("--limit", "host9", "--yes")
    assert code == 2
    assert "the hosts are host1, host2" in err


def test_hosts_that_do_not_answer_have_their_own_code(fix: Fix) -> None:
    fix.answer({**looked(NO_PLAN), "report": reports.lost()})
    code, _out, err = fix("--yes")
    assert code == 4
    assert "host1, host2" in err


def test_a_lock_of_another_run_stops_it(fix: Fix) -> None:
    lock = {"failed": True, "locked": True, "msg": "anna@c1 holds the lock. Wait for it", "lock": {}}
    fix.answer(looked(PLAN, "block"), lock={"host2": lock, "host1": {"lock": None}})
    assert fix("--yes")[0] == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hccn.link-up",), "hccn.tls-uniform"),
        (("hccn.tls-unifrom",), "did you mean hccn.tls-uniform?"),
        (("--undo", "nothing"), "no run nothing has changed anything"),
        (("hccn.tls-uniform", "--undo", "x"), "--undo takes back a whole run"),
    ],
)
def test_a_wrong_argument_ends_with_2(fix: Fix, words: tuple[str, ...], said: str) -> None:
    fix.answer(looked(PLAN, "block"))
    code, _out, err = fix(*words, "--yes")
    assert code == 2
    assert said in err


def test_undo_turns_every_change_round_and_says_what_nothing_brings_back(fix: Fix) -> None:
    plan = FixPlan({"host2": HostFixes((ACTION, GONE), "/usr/bin/hccn_tool", "/lib")})
    fix.answer(looked(plan, "warn"), fix={"host2": done(ACTION, GONE, log_tail="the last words\n")})
    assert fix("--yes")[0] == 0
    assert (fix.records[0] / "host2.log").read_text() == "the last words\n"
    back = ACTION.reversed()
    assert back is not None
    fix.answer(looked(NO_PLAN), fix={"host2": done(back)})
    code, out, err = fix("--undo", fix.records[0].name, "--yes", "--json")
    assert code == 0
    assert json.loads(out)["changed"] == {"host2": [back.to_dict()]}
    assert "TLS of NPU 3: off -> on" in err
    assert f"nothing takes this back: container {NAME}" in err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 1, "hosts": {}, "left": []}',
        '{"format": 2, "hosts": {}, "left": []}',
        '{"format": 2, "deployment": "x", "hosts": {"host2": {"actions": [{"kind": "tls"}]}}, "left": []}',
    ],
)
def test_a_record_that_cannot_be_read_is_a_wrong_argument(fix: Fix, tmp_path: Path, text: str) -> None:
    (tmp_path / "fix.json").write_text(text)
    code, _out, err = fix("--undo", str(tmp_path / "fix.json"), "--yes")
    assert code == 2
    assert "cannot be read" in err


def test_a_record_of_other_hosts_is_refused(fix: Fix, tmp_path: Path) -> None:
    kept(tmp_path, FixPlan({"elsewhere": PLAN.hosts["host2"]}))
    code, _out, err = fix("--undo", str(tmp_path), "--yes")
    assert code == 2
    assert "names elsewhere" in err


def test_a_record_of_another_deployment_is_refused(fix: Fix, tmp_path: Path) -> None:
    kept(tmp_path, PLAN, deployment="other")
    code, _out, err = fix("--undo", str(tmp_path), "--yes")
    assert code == 2
    assert f"is of the deployment other, and that of the inventory is {Settings().deployment}" in err


def kept(directory: Path, made: FixPlan, deployment: str = Settings().deployment) -> None:
    document = {"format": 2, "run": "r", "deployment": deployment, **made.to_dict()}
    (directory / "fix.json").write_text(json.dumps(document))


def of_mode(path: str, before: int, after: int, check_id: str = "weights.perm") -> FixAction:
    return mode_change(check_id, path, before, after)


@pytest.mark.parametrize(
    "forged",
    [
        replace(ACTION, check_id="hccn.link-up"),
        replace(ACTION, check_id="weights.perm"),
        replace(ACTION, target="8"),
        replace(ACTION, target="-1"),
        replace(ACTION, undo="rm -rf /"),
        replace(ACTION, what="nothing of importance"),
        netdetect_change("hccn.netdetect", 3, "0.0.0.0", "10.0.0.1; reboot"),
        of_mode("/data/model/config.json", 0o600, 0o666),
        of_mode("/data/model/config.json", 0o4755, 0o755),
        of_mode("/dev/mem", 0o600, 0o660, "devices.svm-hdc"),
        of_mode("/dev/hisi_hdc", 0o666, 0o600, "devices.svm-hdc"),
        replace(GONE, target="another"),
        replace(GONE, undo="docker start"),
        FixAction("os.shm-left", "shared-memory", "/dev/shm/../etc/x_llm_backend_1", "x", "1", "absent", "rm", None),
        FixAction("os.shm-left", "file", "/dev/shm/llm_backend_1", "x", "1", "absent", "rm", None),
    ],
    ids=lambda action: f"{action.check_id}-{action.target}",
)
def test_a_record_of_what_no_fix_does_is_refused_before_a_host_is_asked(
    fix: Fix, tmp_path: Path, forged: FixAction
) -> None:
    kept(tmp_path, FixPlan({"host2": HostFixes((ACTION, forged))}))
    fix.answer(looked(NO_PLAN), fix={"host2": done(ACTION)})
    code, _out, err = fix("--undo", str(tmp_path), "--yes")
    assert code == 2
    assert f"{tmp_path}/fix.json holds what no fix of this deployment has done: host2: " in err
    assert "nothing was changed" in err
    assert not (fix.records[0] / "ansible.log").exists()


@pytest.mark.parametrize("path", ["/etc", "/etc/passwd", "/data/model/sub/config.json", "/data/model/.hidden.json"])
def test_a_path_that_is_not_the_models_on_the_host_is_refused(fix: Fix, tmp_path: Path, path: str) -> None:
    kept(tmp_path, FixPlan({"host2": HostFixes((of_mode(path, 0o666, 0o664),))}))
    fix.answer(looked(NO_PLAN), **{"fix (check)": {}, "fix": {"host2": {"failed": True, "msg": "it was changed"}}})
    code, _out, err = fix("--undo", str(tmp_path), "--yes")
    assert code == 2
    assert f"host2: {path} is no file of the model, whose directory is /data/model; nothing was changed" in err


def test_tools_are_those_of_the_host_and_not_of_the_record(fix: Fix, tmp_path: Path) -> None:
    mine = of_mode("/data/model/config.json", 0o666, 0o664)
    kept(tmp_path, FixPlan({"host2": HostFixes((ACTION, mine), "/tmp/evil", "/tmp/evil.d")}))
    back = [one.reversed() for one in (mine, ACTION)]
    fix.answer(looked(NO_PLAN), fix={"host2": done(*[one for one in back if one])})
    assert fix("--undo", str(tmp_path), "--yes")[0] == 0
    planned = json.loads((fix.records[0] / "fix-plan.json").read_text())["hosts"]["host2"]
    assert (planned["hccn_tool"], planned["libraries"]) == ("/usr/bin/hccn_tool", "/lib")
    # What was taken back can be done again, and again.
    assert fix("--undo", fix.records[0].name, "--yes")[0] == 0


def test_a_host_that_cannot_be_asked_is_not_changed_back(fix: Fix, tmp_path: Path) -> None:
    kept(tmp_path, PLAN)
    fix.answer({**looked(NO_PLAN), "report": reports.lost()})
    code, _out, err = fix("--undo", str(tmp_path), "--yes")
    assert code == 4
    assert "host2: " in err
