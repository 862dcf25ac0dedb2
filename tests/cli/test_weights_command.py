"""mindie-deploy weights: what it prints, writes, and ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.weights.manifest import Manifest
from mindie_deploy.weights.scan import Scan
from mindie_deploy.weights.source import parse_source
from mindie_deploy.weights.verify import verify
from tests.cli.test_commands import Command, last_record
from tests.runs.stub_content import StubContent
from tests.weights.scans import SHARDS, good_files, manifest_of, scan

KEPT = manifest_of(good_files())
BROKEN = {**good_files(), SHARDS[1]: bytes(len(good_files()[SHARDS[1]]))}


@pytest.fixture
def command(content: StubContent, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(content, capsys, 1025)


def kept(files: dict[str, bytes] | None = None, **changes: Any) -> Scan:
    return scan(files, manifest=KEPT.to_dict(), **changes)


def answer(command: Command, mode: Any = "stat", **scans: Scan) -> None:
    report = verify(scans, parse_source("controller:/models/r1"), mode)
    told = {"report": report.to_dict(), "failed": bool(report.blocking), "msg": "see above"}
    command.answer(weights_verify=told)


def good(command: Command) -> None:
    answer(command, host1=kept(), host2=kept())


def broken(command: Command) -> None:
    answer(command, "full", host1=kept(), host2=kept(BROKEN, broken={SHARDS[1]: [[0, 8]]}))


def test_status_shows_what_is_there(command: Command) -> None:
    good(command)
    code, out, _err = command("weights", "status")
    assert code == 0
    assert "host2" in out
    assert f"signature of the manifest: {KEPT.digest} (all hosts agree)" in out


def test_status_judges_nothing(command: Command) -> None:
    broken(command)
    code, out, _err = command("weights", "status", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["agree"] is False
    assert told["hosts"]["host2"]["differing"] == [SHARDS[1]]


def test_verify_of_good_hosts(command: Command) -> None:
    good(command)
    code, out, _err = command("weights", "verify")
    assert code == 0
    assert "OK: all 2 hosts have the weights" in out
    assert "\x1b" not in out


def test_verify_names_host_shard_and_offset_and_ends_with_3(command: Command) -> None:
    broken(command)
    code, out, err = command("weights", "verify", "--full")
    assert code == 3
    assert f"{SHARDS[1]}: bytes 0 to 7" in out
    assert "error: the weights on host2 are not proven to be right (weights-broken)" in err
    assert err.rstrip().splitlines()[-1].startswith("next: mindie-deploy sync brings only what is wrong")
    saved = json.loads((last_record(command.content) / "weights-report.json").read_text())
    assert saved["hosts"]["host2"]["broken"] == {SHARDS[1]: [[0, 8]]}


def test_verify_json_is_one_document(command: Command) -> None:
    broken(command)
    code, out, _err = command("weights", "verify", "--json", "--sample", "--seed", "x")
    assert code == 3
    assert json.loads(out)["findings"][0]["id"] == "weights-broken"


@pytest.mark.parametrize(
    "words", [("verify", "--full", "--sample"), ("verify", "--seed", "x"), ("manifest", "--sums", "--json")]
)
def test_options_that_do_not_go_together(command: Command, words: tuple[str, ...]) -> None:
    code, _out, err = command("weights", *words)
    assert code == 2
    assert "next: " in err


def test_manifest_for_people_sha256sum_and_programs(command: Command, tmp_path: Path) -> None:
    good(command)
    code, out, _err = command("weights", "manifest")
    assert code == 0
    assert f"signature: {KEPT.digest}" in out
    code, out, _err = command("weights", "manifest", "--sums")
    assert out.splitlines()[0] == f"{KEPT.files[0].sha256}  {KEPT.files[0].name}"
    assert len(out.splitlines()) == len(KEPT.files)
    code, out, _err = command("weights", "manifest", "--json")
    assert Manifest.from_json(out) == KEPT
    code, out, _err = command("weights", "manifest", "-o", str(tmp_path / "m.json"))
    assert (code, out) == (0, "")
    assert Manifest.from_json((tmp_path / "m.json").read_text()) == KEPT
    assert command("weights", "manifest", "-o", str(tmp_path / "none" / "m.json"))[0] == 2


def test_manifest_names_hosts_that_differ(command: Command) -> None:
    broken(command)
    code, out, err = command("weights", "manifest", "--sums")
    assert code == 3
    assert len(out.splitlines()) == len(KEPT.files)
    assert "error: host2: not everything of the manifest" in err


def test_without_a_manifest_there_is_none_to_print(command: Command) -> None:
    answer(command, host1=scan(read=False), host2=scan(read=False))
    code, out, err = command("weights", "manifest")
    assert (code, out) == (3, "")
    assert "no manifest is known" in err


def test_a_lost_host_ends_with_4_after_the_others_were_shown(command: Command) -> None:
    good(command)
    lost = {"host2": {"raise": "Connection timed out"}, "*": {}}
    command.content.answer({**command.content.scenario, "mindie_weights_scan": lost})
    for words in (("status",), ("verify",), ("manifest",)):
        code, out, err = command("weights", *words)
        assert code == 4, err
        assert KEPT.digest[:12] in out
        assert "host2: " in err


def test_a_host_that_cannot_be_looked_at_ends_with_5(command: Command) -> None:
    good(command)
    odd = {"host2": {"failed": True, "msg": "/data is not a directory"}, "*": {}}
    command.content.answer({**command.content.scenario, "mindie_weights_scan": odd})
    code, _out, err = command("weights", "verify")
    assert code == 5
    assert "/data is not a directory" in err


def test_a_report_of_another_form_is_a_fault_of_ours(command: Command) -> None:
    command.answer(weights_verify={"report": {"mode": "stat"}})
    code, _out, err = command("weights", "verify")
    assert code == 1
    assert "please report this" in err
