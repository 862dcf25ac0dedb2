"""The role image, run by ansible-playbook on three hosts: directories and loopback addresses of this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.image.fake_engine import REFERENCE, FakeEngine
from tests.weights.test_role import HOSTS, Cluster, Outcome

NAME = "mindie 2.0.tar"


class Images:
    """The hosts of a cluster, each with an engine, and an archive on the controller."""

    def __init__(self, base: Path) -> None:
        self.cluster = Cluster(base)
        self.engines = {name: FakeEngine(base / name / "engine") for name in HOSTS}
        self.archive = base / "images" / NAME
        self.archive.parent.mkdir()
        self.archive.write_bytes(os.urandom(3_000_000))
        # Whatever else is beside it: nobody reads it, and nobody brings it.
        (self.archive.parent / "other.tar").write_bytes(b"other")
        (play,) = json.loads((base / "play.yml").read_text())
        settings = play["tasks"][0]["ansible.builtin.set_fact"]["mindie_settings"]
        settings["engine"] = f"{base}/{{{{ inventory_hostname }}}}/engine/docker"
        settings["image"] = REFERENCE
        settings["image_archive"] = "{{ archive }}"
        play["tasks"][1] = {"ansible.builtin.import_role": {"name": "image"}}
        (base / "play.yml").write_text(json.dumps([play]))

    def state(self, host: str) -> Path:
        return self.cluster.base / host / "state"

    def archives(self, host: str) -> list[str]:
        return [path.name for path in self.state(host).glob("*image_archive*")]

    def have(self, *arguments: str, **variables: Any) -> Outcome:
        return self.cluster.sync("", *arguments, **{"archive": str(self.archive), **variables})


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path)


def test_the_archive_goes_to_the_hosts_that_lack_the_image(images: Images) -> None:
    images.engines["host2"].image.write_text("here already")

    looked = images.have("--check", "--diff")
    assert looked.changed == {"host1": 1, "host2": 0, "host3": 1}
    assert f"+loaded from {NAME}" in looked.text
    assert not any(images.state(host).exists() for host in HOSTS)

    first = images.have()
    assert first.changed == {"host1": 2, "host2": 0, "host3": 2}, first.text
    content = images.archive.read_bytes()
    assert images.engines["host1"].image.read_bytes() == content
    assert images.engines["host3"].image.read_bytes() == content
    assert images.engines["host2"].loads == []
    assert not list(images.state("host2").rglob("exchange*")), "who has the image takes no part"
    assert not any(images.archives(host) for host in HOSTS)

    again = images.have()
    assert set(again.changed.values()) == {0}
    assert "Look at the archive" not in again.text


def test_without_an_archive_a_missing_image_is_not_our_business(images: Images) -> None:
    assert set(images.have(archive="").changed.values()) == {0}


def test_after_a_failed_load_the_archive_is_brought_again_but_not_read_again(images: Images) -> None:
    (images.engines["host3"].directory / "broken").touch()
    failed = images.have()
    assert failed.status != 0
    assert "no space left on device" in failed.text
    (images.engines["host3"].directory / "broken").unlink()
    mended = images.have()
    assert mended.changed["host3"] == 2
    assert mended.changed["host1"] == 0
    assert "Begin to read the archive" in mended.text
    assert not re.search(r"reading the archive of the image", mended.text), "its sha256 is remembered"


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_an_archive_that_is_not_there_is_told(images: Images, arguments: tuple[str, ...]) -> None:
    images.archive.unlink()
    refused = images.have(*arguments)
    assert refused.status != 0
    said = " ".join(refused.text.split())
    assert f"host1, host2, host3 lack the image {REFERENCE}" in said
    assert "(mindie_image_archive) is no file on the controller" in said


@pytest.mark.parametrize("place", ["host:host1:", "mount:"])
def test_the_archive_may_be_where_the_image_is_missing(images: Images, place: str) -> None:
    """Then a host reads it beside its place, or all of them a part of the mount."""
    images.engines["host2"].image.write_text("here already")
    first = images.have(archive=f"{place}{images.archive}")
    assert first.changed == {"host1": 2, "host2": 0, "host3": 2}, first.text
    for host in ("host1", "host3"):
        assert images.engines[host].image.read_bytes() == images.archive.read_bytes()
    assert images.archive.exists()
    assert not any(images.archives(host) for host in HOSTS)


@pytest.mark.parametrize("giver", ["host2", "storage"])
def test_the_archive_may_be_on_a_host_that_needs_nothing(images: Images, giver: str) -> None:
    """On one that has the image, or on one that is none of the deployment."""
    images.engines["host2"].image.write_text("here already")
    state = {"__image_archive_state_directory": str(images.state(giver))}
    first = images.have(archive=f"host:{giver}:{images.archive}", **state)
    assert first.changed == {"host1": 2, "host2": 0, "host3": 2}, first.text
    for host in ("host1", "host3"):
        assert images.engines[host].image.read_bytes() == images.archive.read_bytes()
    assert images.engines["host2"].loads == []


def test_an_archive_that_is_not_on_its_host_is_told_with_the_host(images: Images) -> None:
    images.archive.unlink()
    refused = images.have(archive=f"host:storage:{images.archive}")
    assert refused.status != 0
    assert f"{images.archive} (mindie_image_archive) is no file on storage" in " ".join(refused.text.split())


def test_a_broken_run_goes_on_where_it_was_and_leaves_nothing(images: Images) -> None:
    images.archive.write_bytes(os.urandom(60_000_000))
    broken = images.cluster.start("", archive=str(images.archive), rate=1)
    until = time.monotonic() + 120
    while min(images.cluster.progress(host).get("bytes_done", 0) for host in HOSTS) < 1 << 20:
        assert time.monotonic() < until and broken.poll() is None, images.cluster.outcome(broken)
        time.sleep(0.05)
    broken.kill()
    broken.communicate()
    agents = {host: images.cluster.progress(host)["pid"] for host in HOSTS}
    os.kill(agents["host1"], signal.SIGKILL)
    # Meanwhile somebody loads the image on one host by hand; its agent still runs.
    images.engines["host3"].image.write_text("loaded by hand")

    gone_on = images.have()
    assert gone_on.changed == {"host1": 2, "host2": 2, "host3": 1}, gone_on.text
    told = re.search(r"the archive of the image: ([0-9.]+) MB to 2 hosts", " ".join(gone_on.text.split()))
    assert told
    assert float(told[1]) < 118, "what was there was not brought again"
    assert images.engines["host2"].image.read_bytes() == images.archive.read_bytes()
    assert images.engines["host3"].loads == []
    assert not any(images.archives(host) for host in HOSTS)
    assert images.cluster.progress("host2")["bytes_before"] >= 1 << 20
    assert not any(Path(f"/proc/{pid}").exists() for pid in agents.values()), "no agent of the broken run is left"
