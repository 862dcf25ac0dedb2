"""mindie_container: the command that makes a container, and the changes that each wanted state asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.modules.module_runner import load, run

container = load("mindie_container")

SPECIFICATION = {
    "name": "r1",
    "image": "mindie:1",
    "image_id": "sha256:abc",
    "user": "0:0",
    "network": "host",
    "ipc": "host",
    "env_file": "/state/environment",
    "devices": ["/dev/davinci0:/dev/davinci0:rwm"],
    "mounts": ["/data:/data:ro"],
    "labels": {"mindie-deploy.deployment": "r1", "mindie-deploy.digest": "new"},
    "command": ["/bin/bash", "/state/launch.sh"],
    "pids_limit": -1,
}


def found(running: bool, digest: str = "new") -> dict[str, object]:
    return {"Id": "1", "State": {"Running": running}, "Config": {"Labels": {"mindie-deploy.digest": digest}}}


def test_the_command_names_devices_mounts_and_the_image_by_its_id() -> None:
    words = container.create_arguments(SPECIFICATION)
    text = " ".join(words)
    assert words[0] == "create"
    assert "--device /dev/davinci0:/dev/davinci0:rwm" in text
    assert "--volume /data:/data:ro" in text
    assert "--network host" in text
    assert "--restart no" in text
    assert "--env-file /state/environment" in text
    assert text.endswith("--entrypoint /bin/bash sha256:abc /state/launch.sh")


@pytest.mark.parametrize(
    ("state", "there", "changes"),
    [
        ("observed", found(True), False),
        ("absent", None, False),
        ("absent", found(False), True),
        ("stopped", found(True), True),
        ("stopped", found(False), False),
        ("started", found(False), True),
        ("started", found(True), False),
        ("created", None, True),
        ("created", found(False), False),
        ("created", found(True, "old"), True),
    ],
)
def test_what_changes(state: str, there: dict[str, object] | None, changes: bool) -> None:
    assert bool(container.change_of(state, there, SPECIFICATION)) is changes


def engine(tmp_path: Path, containers: list[dict[str, object]]) -> str:
    """A client that knows the given containers, and writes down what it was asked."""
    client = tmp_path / "engine"
    (tmp_path / "containers.json").write_text(json.dumps(containers))
    client.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/asked
case "$1" in
  ps) [ "$(cat {tmp_path}/containers.json)" = "[]" ] || echo 1 ;;
  inspect) cat {tmp_path}/containers.json ;;
esac
"""
    )
    client.chmod(0o755)
    return str(client)


def test_a_container_of_somebody_else_is_never_touched(tmp_path: Path) -> None:
    client = engine(tmp_path, [{"Id": "1", "Name": "/r1", "State": {"Running": True}, "Config": {"Labels": {}}}])
    refused = run("mindie_container", engine=client, name="r1", deployment="r1", state="absent")
    assert refused["failed"]
    assert "is not ours" in refused["msg"]
    assert "stop" not in (tmp_path / "asked").read_text()


def test_check_mode_only_looks(tmp_path: Path) -> None:
    labels = {"mindie-deploy.deployment": "r1", "mindie-deploy.digest": "old"}
    client = engine(tmp_path, [{"Id": "1", "Name": "/r1", "State": {"Running": True}, "Config": {"Labels": labels}}])
    shown = run("mindie_container", check=True, engine=client, name="r1", deployment="r1", state="absent")
    assert shown["changed"]
    assert shown["diff"]["after"] == "absent\n"
    assert {line.split()[0] for line in (tmp_path / "asked").read_text().splitlines()} == {"ps", "inspect"}


def test_a_missing_engine_is_said_by_name(tmp_path: Path) -> None:
    missing = run("mindie_container", engine=str(tmp_path / "docker"), name="r1", deployment="r1", state="observed")
    assert missing["failed"]
    assert "is not installed on this host" in missing["msg"]
