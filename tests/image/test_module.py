"""The module mindie_image with an engine that is a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.image.fake_engine import REFERENCE, FakeEngine
from tests.modules.module_runner import run


class Host:
    """An engine, and the place where archives come to."""

    def __init__(self, base: Path) -> None:
        self.engine = FakeEngine(base / "engine")
        self.place = base / "image_archive"
        self.incoming = base / ".image_archive.incoming"
        self.archive = self.place / "mindie.tar"

    def bring(self) -> None:
        for directory in (self.place, self.incoming):
            directory.mkdir()
        self.archive.write_text("archive")
        (self.incoming / "mindie.tar.partial").write_text("arch")

    def run(self, *, check: bool = False, **more: Any) -> dict[str, Any]:
        return run(
            "mindie_image",
            check=check,
            engine=str(self.engine.client),
            reference=REFERENCE,
            archive_directory=str(self.place),
            **more,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_looking_changes_nothing(host: Host) -> None:
    host.bring()
    missing = host.run()
    assert (missing["changed"], missing["image"], missing["left"]) == (False, None, [])
    host.engine.image.write_text("")
    found = host.run()
    assert (found["changed"], found["image"]) == (False, {"id": "sha256:16aa", "architecture": "arm64"})
    assert found["left"] == [str(host.place), str(host.incoming)], "nobody needs them any more"
    assert host.archive.exists()


def test_an_archive_is_loaded_once_and_goes(host: Host) -> None:
    host.bring()
    would = host.run(check=True, archive=str(host.archive))
    assert would["changed"]
    assert (would["diff"]["after_header"], would["diff"]["after"]) == (REFERENCE, "loaded from mindie.tar\n")
    assert host.engine.loads == []
    done = host.run(archive=str(host.archive))
    assert done["changed"]
    assert done["image"]["id"] == "sha256:16aa"
    assert not host.place.exists()
    assert not host.incoming.exists()
    again = host.run(archive=str(host.archive))
    assert not again["changed"]
    assert host.engine.loads == [str(host.archive)]


@pytest.mark.parametrize(
    ("how", "said"), [("broken", "no space left on device"), ("other", "mindie.tar was loaded, but holds other images")]
)
def test_an_archive_that_brings_no_image_goes_too_and_the_engine_is_quoted(host: Host, how: str, said: str) -> None:
    host.bring()
    (host.engine.directory / how).touch()
    failed = host.run(archive=str(host.archive))
    assert failed["failed"]
    assert said in failed["msg"]
    assert not host.place.exists()


def test_an_engine_that_is_missing_or_says_something_else_is_no_missing_image(host: Host) -> None:
    host.engine.client.write_text("#!/bin/sh\necho Cannot connect to the daemon >&2; exit 1\n")
    assert "Cannot connect to the daemon" in host.run()["msg"]
    host.engine.client.unlink()
    assert "is not installed on this host" in host.run()["msg"]


def test_without_a_directory_nothing_is_looked_for(host: Host) -> None:
    host.engine.image.write_text("")
    found = run("mindie_image", engine=str(host.engine.client), reference=REFERENCE)
    assert found["left"] == []
