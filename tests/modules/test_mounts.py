"""A directory that a running container has mounted is not changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.modules.module_runner import run
from tests.modules.weights_world import World


def engine(base: Path, mounted: str = "", ps: str = "echo abc", status: int = 0) -> str:
    """Returns a container engine's client with one running container."""
    client = base / "engine"
    client.write_text(
        f"""#!/bin/sh
[ "$1" = ps ] && {{ {ps}; exit {status}; }}
printf '/r1-host2\\t["/etc/localtime","{mounted}"]\\n'
"""
    )
    client.chmod(0o755)
    return str(client)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world", {"config.json": 10, "model.safetensors": 1000})


def prepare(world: World, client: str) -> dict[str, Any]:
    values = {"directory": str(world.final), "state_directory": str(world.state), "manifest": world.manifest}
    return run("mindie_weights_place", state="prepared", host="host2", engine=client, **values)


def test_a_mounted_directory_is_refused_by_the_name_of_the_container(world: World, tmp_path: Path) -> None:
    world.final.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(world.final)
    refused = prepare(world, engine(tmp_path, str(link)))
    assert refused["failed"]
    assert "2 files would change" in refused["msg"] and "host2" in refused["msg"] and "r1-host2" in refused["msg"]
    assert not world.incoming.exists()


@pytest.mark.parametrize("mounted", ["/elsewhere", ""])
def test_another_mount_is_in_nobodys_way(world: World, tmp_path: Path, mounted: str) -> None:
    world.final.mkdir(parents=True)
    assert not prepare(world, engine(tmp_path, mounted)).get("failed")


def test_without_containers_or_without_an_engine_nothing_is_in_use(world: World, tmp_path: Path) -> None:
    world.final.mkdir(parents=True)
    assert not prepare(world, engine(tmp_path, str(world.final), ps="true")).get("failed")
    assert not prepare(world, str(tmp_path / "no-engine")).get("failed")


def test_an_engine_that_fails_is_no_permission(world: World, tmp_path: Path) -> None:
    world.final.mkdir(parents=True)
    refused = prepare(world, engine(tmp_path, ps="echo cannot connect >&2", status=1))
    assert refused["failed"] and "cannot connect" in refused["msg"]
