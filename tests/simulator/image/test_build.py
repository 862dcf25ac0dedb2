"""The image archive: layers, configuration, layout and modes, and that it is the same each time."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

BUILD = Path(__file__).resolve().parents[3] / "molecule" / "simulator" / "image" / "build.py"
TAG = "mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts"
SERVICE = "usr/local/Ascend/mindie/2.0.RC2/mindie-service"


def base_tar(path: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        info = tarfile.TarInfo("./etc/os-release")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"ID=x\n"))
    return path


def build(base: Path, output: Path, tag: str = TAG) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BUILD), "--base-tar", str(base), "--output", str(output), "--tag", tag]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def parts(archive: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Manifest, configuration, and the upper layer."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            member = tar.extractfile(name)
            assert member is not None
            return member.read()

        manifest = json.loads(read("manifest.json"))[0]
        for name, digest in zip(
            manifest["Layers"], json.loads(read(manifest["Config"]))["rootfs"]["diff_ids"], strict=True
        ):
            assert f"sha256:{hashlib.sha256(read(name)).hexdigest()}" == digest
        return manifest, json.loads(read(manifest["Config"])), read(manifest["Layers"][1])


def test_archive(tmp_path: Path) -> None:
    done = build(base_tar(tmp_path / "base.tar"), tmp_path / "image.tar")
    assert done.returncode == 0, done.stderr
    manifest, config, upper = parts(tmp_path / "image.tar")
    assert manifest["RepoTags"] == [TAG]
    assert done.stdout.strip() == "sha256:" + manifest["Config"].removesuffix(".json")
    assert config["architecture"] == {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == "2.0.RC2"
    with tarfile.open(fileobj=io.BytesIO(upper)) as tar:
        modes = {member.name: oct(member.mode) for member in tar if member.isfile() or member.isdir()}
        links = {member.name: member.linkname for member in tar if member.issym()}
        assert {member.uid for member in tar} == {0}
    assert modes[f"{SERVICE}/conf/config.json"] == "0o640"
    assert modes[f"{SERVICE}/bin/mindieservice_daemon"] == "0o550"
    assert links["usr/local/Ascend/mindie/latest"] == "2.0.RC2"
    for name in ("ascend-toolkit", "nnal/atb", "atb-models", "mindie"):
        assert f"usr/local/Ascend/{name}/set_env.sh" in modes


def test_same_sources_give_the_same_image_also_from_a_gzipped_base(tmp_path: Path) -> None:
    base = base_tar(tmp_path / "base.tar")
    first = build(base, tmp_path / "one.tar")
    assert build(base, tmp_path / "two.tar").stdout == first.stdout
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert build(base_tar(tmp_path / "base.tar.gz", "w:gz"), tmp_path / "three.tar").stdout == first.stdout


@pytest.mark.parametrize(("tag", "base"), [("mindie:latest", "base.tar"), (TAG, "missing.tar")])
def test_refusals_leave_nothing(tmp_path: Path, tag: str, base: str) -> None:
    base_tar(tmp_path / "base.tar")
    done = build(tmp_path / base, tmp_path / "image.tar", tag)
    assert done.returncode == 1
    assert done.stderr.startswith("build.py: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.tar"]


def test_the_environment_files_set_what_the_daemon_looks_for(tmp_path: Path) -> None:
    build(base_tar(tmp_path / "base.tar"), tmp_path / "image.tar")
    root = tmp_path / "root"
    with tarfile.open(fileobj=io.BytesIO(parts(tmp_path / "image.tar")[2])) as tar:
        # Our own archive. Debian 12's Python 3.11.2 does not know the argument `filter` yet.
        tar.extractall(root)
    ascend = root / "usr/local/Ascend"
    for file in ascend.rglob("set_env.sh"):
        file.write_text(file.read_text().replace("/usr/local/Ascend", str(ascend)))
    script = f"""
      for part in ascend-toolkit nnal/atb atb-models mindie; do . {ascend}/$part/set_env.sh || exit 1; done
      cd {ascend}/mindie/latest/mindie-service
      echo $MIES_INSTALL_PATH; echo $MINDIE_LLM_HOME_PATH; echo $MINDIE_LOG_LEVEL; echo $ATB_SPEED_HOME_PATH
      {sys.executable} -IS ./bin/mindieservice_daemon
    """
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "SIMULATED_MINDIE_KNOBS": "/nonexistent"},
    )
    service = f"{ascend}/mindie/latest/mindie-service"
    assert done.stdout.splitlines()[:4] == [
        service,
        f"{ascend}/mindie/latest/mindie-llm",
        "ERROR",
        f"{ascend}/atb-models",
    ]
    # The shipped config.json is found, read and refused: it asks for certificates that are not there.
    assert f"ConfigManager: Load Config from {service}/conf/config.json." in done.stdout
    assert "path is invalid by:" in done.stdout
    assert done.returncode == 137
