"""apply.py: files, programs and device nodes follow the state, and a fault that is taken back leaves no trace."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tools import apply, clock, processes, state
from tools.claims import read_claims


def node(path: str, mode: int, major: int, minor: int) -> None:
    """A file with the numbers in it: tests may have no right to make devices."""
    Path(path).write_text(f"{major},{minor}", encoding="utf-8")
    Path(path).chmod(mode)


def agree(root: Path, **changes: Any) -> list[str]:
    """Applies a healthy host with changed sections."""
    raw = {**state.healthy_host(0), **changes}
    return apply.Applier(state.validate(raw, "test"), str(root), node).run()


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_healthy_host_has_what_the_product_looks_at(tmp_path: Path) -> None:
    agree(tmp_path)
    found = tree(tmp_path)
    assert {f"dev/davinci{number}" for number in range(8)} < set(found)
    assert found["dev/davinci7"] == b"236,7"
    assert found["dev/devmm_svm"] == b"238,0"
    assert {"dev/davinci_manager", "dev/hisi_hdc", "usr/local/dcmi/libdcmi.so"} < set(found)
    assert b"Version=25.2.0\n" in found["usr/local/Ascend/driver/version.info"]
    assert b"compatible_version_fw=[7.0.0,7.8.99]\n" in found["usr/local/Ascend/driver/version.info"]
    assert b"[24.1,24.1.],[25.0,25.0.],[25.2,25.2.]\n" in found["usr/local/Ascend/firmware/version.info"]
    assert b"Driver_Install_Path_Param=/usr/local/Ascend\n" in found["etc/ascend_install.info"]
    for program in ("usr/local/bin/npu-smi", "usr/local/Ascend/driver/tools/hccn_tool"):
        assert os.access(tmp_path / program, os.X_OK)
    assert (tmp_path / "dev/davinci0").stat().st_mode & 0o777 == 0o660


def test_a_second_run_changes_nothing_and_keeps_every_file(tmp_path: Path) -> None:
    assert agree(tmp_path)
    inodes = {name: (tmp_path / name).stat().st_ino for name in tree(tmp_path)}
    assert agree(tmp_path) == []
    assert {name: (tmp_path / name).stat().st_ino for name in tree(tmp_path)} == inodes


@pytest.mark.parametrize(
    "changes",
    [
        {"npu_smi": {"is": "missing"}},
        {"npu_smi": {"is": "directory"}},
        {"npu_smi": {"path": "/usr/local/sbin/npu-smi"}},
        {"hccn_tool": {"is": "missing"}},
        {"driver": {"loaded": False}},
        {"driver": {"version": "24.1.rc3"}},
        {"driver": {"version_file": False}},
        {"files": {"hccn_conf": {"present": False}}},
        {"files": {"hccn_conf": {"lines": {"address_5": "1.2.3.4", "netmask_5": None}}}},
        {"files": {"hccn_conf": {"text": "address_0="}}},
        {"files": {"install_info": {"present": False}}},
        {"files": {"devices": {"missing": ["davinci5", "devmm_svm"]}}},
        {"files": {"devices": {"mode": "0600"}}},
        {"clock": {"offset_s": 90}},
        {"mindie": {"hang": True}},
        {"npus": state.healthy_host(0)["npus"][:7]},
    ],
)
def test_a_fault_shows_and_goes(tmp_path: Path, changes: dict[str, Any]) -> None:
    agree(tmp_path)
    before = {name: (tmp_path / name).stat().st_mode for name in tree(tmp_path)}
    content = tree(tmp_path)
    agree(tmp_path, **changes)
    after = {name: (tmp_path / name).stat().st_mode for name in tree(tmp_path)}
    assert (tree(tmp_path), after) != (content, before)
    agree(tmp_path)
    assert tree(tmp_path) == content
    assert {name: (tmp_path / name).stat().st_mode for name in tree(tmp_path)} == before
    assert not (tmp_path / "usr/local/sbin/npu-smi").exists()


def test_a_directory_stands_where_the_program_was(tmp_path: Path) -> None:
    agree(tmp_path)
    agree(tmp_path, npu_smi={"is": "directory"})
    assert (tmp_path / "usr/local/bin/npu-smi").is_dir()


def test_all_is_taken_away(tmp_path: Path) -> None:
    agree(tmp_path, clock={"offset_s": 5})
    apply.Applier(None, str(tmp_path), node).run()
    assert set(tree(tmp_path)) == {"etc/group", "etc/passwd"}


def test_a_users_group_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("staff:x:1000:\n", encoding="utf-8")
    agree(tmp_path)
    assert (tmp_path / "etc/group").read_text(encoding="utf-8") == "staff:x:1000:\n"


def test_the_daemon_gets_its_knobs_and_the_device_addresses(tmp_path: Path) -> None:
    agree(tmp_path, mindie={"load_seconds": 3, "never_register": True})
    knobs = json.loads((tmp_path / apply.KNOBS).read_text(encoding="utf-8"))
    assert knobs["load_seconds"] == 3
    assert knobs["device_ips"]["5"] == "10.20.5.11"


def test_apply_refuses_a_machine_that_is_no_simulated_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(state, "NAME_FILES", ("/nonexistent/simulated-host-name",))
    assert apply.main([]) == 2
    assert "this is no simulated host" in capsys.readouterr().err


def test_the_clock_of_python_is_shifted(tmp_path: Path) -> None:
    text = clock.files(3600.5)[clock.MODULE]
    assert text is not None
    (tmp_path / "simulated_clock.py").write_text(text, encoding="utf-8")
    code = (
        "import time; real = time.time(); import simulated_clock\n"
        "print(time.time() - real, time.time_ns() / 1e9 - real)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(3600.4 < float(shift) < 3601.5 for shift in done.stdout.split())


def test_stand_in_processes_start_once_and_end(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    raw = {
        **state.healthy_host(0),
        "foreign_processes": [{"npu": 2, "mib": 1234, "name": "left_over"}],
        "ports": {"taken": [port]},
    }
    full, owner = state.validate(raw, "test"), str(tmp_path)
    try:
        assert len(processes.agree(full, owner)) == 2
        assert processes.agree(full, owner) == []
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        # Other simulated hosts of the machine have claims too.
        assert (2, 1234, "left_over") in {(claim.npu, claim.mib, claim.name) for claim in read_claims(state.now())[0]}
    finally:
        ended = processes.agree(None, owner)
    assert len(ended) == 2
