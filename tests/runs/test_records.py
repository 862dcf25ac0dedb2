from __future__ import annotations

import json
from pathlib import Path

import pytest

from mindie_deploy.cluster.secret_names import is_secret_name
from mindie_deploy.errors import UsageError
from mindie_deploy.runs.records import KEPT_RUNS, RunRecord, runs_directory
from mindie_deploy.runs.redaction import Redactor, secrets_of


def test_records_lie_in_the_state_directory() -> None:
    assert runs_directory({"XDG_STATE_HOME": "/s"}) == Path("/s/mindie-deploy/runs")
    assert runs_directory({"XDG_STATE_HOME": "relative"}).is_absolute()


def test_a_record_is_private_and_its_name_sorts_by_time(tmp_path: Path) -> None:
    record = RunRecord.create("up", tmp_path / "runs")
    assert record.directory.stat().st_mode & 0o777 == 0o700
    assert record.run_id[8] == "T"
    assert "-up-" in record.run_id
    record.note(verdict="ok")
    assert json.loads((record.directory / "run.json").read_text())["verdict"] == "ok"


def test_a_state_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        RunRecord.create("up", tmp_path / "file" / "runs")


def test_old_records_go_and_those_of_living_launchers_stay(tmp_path: Path) -> None:
    living = tmp_path / "20200101T000000Z-up-aaaaaa"
    living.mkdir()
    (living / "run.json").write_text(json.dumps({"pid": 1}))
    for number in range(KEPT_RUNS + 5):
        old = tmp_path / f"20210101T{number:06d}Z-up-bbbbbb"
        old.mkdir()
        (old / "run.json").write_text(json.dumps({"pid": 2**22 + 1}))
    RunRecord.create("up", tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert living.name in left
    assert "20210101T000000Z-up-bbbbbb" not in left
    assert len(left) == KEPT_RUNS + 1


def test_working_files_of_a_killed_launcher_go(tmp_path: Path) -> None:
    killed = tmp_path / "20210101T000000Z-up-bbbbbb"
    (killed / "private" / "1").mkdir(parents=True)
    (killed / "run.json").write_text(json.dumps({"pid": 2**22 + 1}))
    RunRecord.create("up", tmp_path)
    assert killed.exists()
    assert not (killed / "private").exists()


def test_secrets_are_found_by_name_and_hidden_in_all_their_forms(tmp_path: Path) -> None:
    variables = {
        "ansible_become_password": 'a"b\\c',
        "ansible_password_file": "/keep/this",
        "mindie_max_prefill_tokens": 8192,
        "mindie_environment": {"HF_TOKEN": "hf_1234", "PLAIN": "visible"},
        "nested": [{"api_key": "key-9999"}],
        "mindie_token_timeout": "600",
    }
    secrets = set(secrets_of(variables))
    assert secrets == {'a"b\\c', "hf_1234", "key-9999"}
    redact = Redactor(secrets)
    assert redact(json.dumps({"x": 'a"b\\c', "y": "hf_1234!"})) == '{"x": "********", "y": "********!"}'
    assert redact('plain a"b\\c') == "plain ********"
    assert Redactor()("nothing") == "nothing"
    assert is_secret_name("ansible_ssh_pass")
    assert not is_secret_name("mindie_max_iter_times")
    record = RunRecord.create("up", tmp_path)
    record.redact = redact
    assert "hf_1234" not in record.write("x.txt", "hf_1234").read_text()


def test_a_secret_of_digits_breaks_no_file_of_a_record(tmp_path: Path) -> None:
    record = RunRecord.create("up", tmp_path)
    record.redact = Redactor(['": "', "1234"])
    record.note(pid=912345, started=1.1234, words="it is 1234")
    told = json.loads((record.directory / "run.json").read_text())
    assert (told["pid"], told["started"], told["words"]) == (912345, 1.1234, "it is ********")
