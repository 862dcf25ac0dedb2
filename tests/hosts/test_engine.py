"""The container engine's answers: Docker, Podman, a daemon that is down, an image that is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mindie_deploy.hosts import engine
from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import ContainerFacts, EngineFacts, ImageFacts, Unknown

DOCKER_INFO = {
    "ServerVersion": "24.0.7",
    "DockerRootDir": "/data/docker",
    "Architecture": "aarch64",
    "ServerErrors": None,
}
DIGEST = "a" * 64


def container(**changes: Any) -> dict[str, Any]:
    """One line as CONTAINER_FORMAT makes it."""
    return {
        "Id": "c" * 64,
        "Name": "/other",
        "Image": "mindie:2.0",
        "ImageId": f"sha256:{DIGEST}",
        "State": {"Status": "running", "Running": True, "Pid": 77, "ExitCode": 0, "StartedAt": "2026-01-01T00:00:00Z"},
        "Devices": [{"PathOnHost": "/dev/davinci0", "PathInContainer": "/dev/davinci0", "CgroupPermissions": "rwm"}],
        "Privileged": False,
        "Runtime": "runc",
        "Labels": {"mindie-deploy.deployment": "r1"},
        "VisibleDevices": [""],
        **changes,
    }


def listed(*records: dict[str, Any], status: int = 0, stderr: str = "") -> tuple[ContainerFacts, ...]:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    found = engine.engine(Answer(0, json.dumps(DOCKER_INFO)), Answer(status, lines, stderr))
    assert isinstance(found, EngineFacts), found
    return found.containers


def test_docker_with_a_container_on_an_npu() -> None:
    (found,) = listed(container())
    assert (found.name, found.pid, found.devices) == ("other", 77, ("/dev/davinci0",))
    assert found.labels == {"mindie-deploy.deployment": "r1"}


def test_only_containers_that_concern_npus_are_facts() -> None:
    web = container(Devices=None, Labels=None)
    assert listed(web) == ()
    assert len(listed(container(Devices=[], Labels={}, Privileged=True))) == 1
    assert len(listed(container(Devices=[], Labels={"mindie-deploy.deployment": "r1"}))) == 1
    assert listed(container(Devices=[{"PathOnHost": "/dev/fuse"}], Labels={})) == ()


def test_devices_that_huaweis_runtime_adds_for_a_variable() -> None:
    (found,) = listed(container(Devices=None, Labels=None, Runtime="ascend", VisibleDevices=["0-2,5", ""]))
    assert found.devices == ("/dev/davinci0", "/dev/davinci1", "/dev/davinci2", "/dev/davinci5")
    assert listed(container(Devices=None, Labels=None, Runtime="ascend", VisibleDevices=["void", ""])) == ()


def test_a_container_that_vanished_meanwhile_is_no_failure() -> None:
    assert len(listed(container(), status=1, stderr="Error: No such container: 1234")) == 1


@pytest.mark.parametrize(
    ("information", "containers"),
    [
        (
            Answer(0, json.dumps({"ServerErrors": ["Cannot connect to the Docker daemon"], "ServerVersion": ""})),
            Answer(0, ""),
        ),
        (Answer(1, "", "Cannot connect to the Docker daemon"), Answer(0, "")),
        (Answer(0, json.dumps(DOCKER_INFO)), Answer(1, "", "permission denied")),
        (Answer(0, json.dumps(DOCKER_INFO)), Answer(0, "not json")),
        (Answer(0, json.dumps(DOCKER_INFO)), Answer(0, "{}")),
        (Answer(0, "[" * 100000), Answer(0, "")),
        (Unknown("docker was not found"), Answer(0, "")),
    ],
)
def test_an_engine_that_does_not_answer_is_unknown(information: Answer | Unknown, containers: Answer) -> None:
    found = engine.engine(information, containers)
    assert isinstance(found, Unknown) and found.reason


def test_podman_says_it_elsewhere() -> None:
    information = {
        "version": {"Version": "4.9.4"},
        "store": {"graphRoot": "/var/lib/containers"},
        "host": {"arch": "arm64"},
    }
    found = engine.engine(Answer(0, json.dumps(information)), Answer(0, ""))
    assert found == EngineFacts("4.9.4", "/var/lib/containers", "arm64", ())


def test_images() -> None:
    record = {"Id": f"sha256:{DIGEST}", "Architecture": "arm64", "Size": 7, "Config": {"Labels": {"a": "b"}}}
    wanted = ImageFacts("mindie:2.0", f"sha256:{DIGEST}", "arm64", {"a": "b"}, 7)
    assert engine.image(Answer(0, json.dumps([record])), "mindie:2.0") == wanted
    assert engine.image(Answer(0, json.dumps([{**record, "Id": DIGEST}])), "mindie:2.0") == wanted  # Podman
    missing = Answer(1, "[]\n", "Error response from daemon: No such image: mindie:2.0")
    assert engine.image(missing, "mindie:2.0") is None
    for answer in (Answer(1, "[]", "Cannot connect to the Docker daemon"), Answer(0, "[]"), Answer(0, '[{"Id":"x"}]')):
        assert isinstance(engine.image(answer, "mindie:2.0"), Unknown)
