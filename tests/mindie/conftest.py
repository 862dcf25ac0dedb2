"""The reference cluster as test data."""

from __future__ import annotations

import pytest

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.mindie.versions import Version, choose_version

IMAGE_ID = "sha256:" + "ab" * 32


@pytest.fixture
def hosts() -> list[Host]:
    return [Host(f"atlas{number}", f"192.0.2.{10 + number}", number - 1) for number in range(1, 5)]


@pytest.fixture
def addresses(hosts: list[Host]) -> dict[str, dict[int, str]]:
    return {host.name: {device: f"198.51.100.{host.rank * 8 + device + 1}" for device in range(8)} for host in hosts}


@pytest.fixture
def version() -> Version:
    settings = Settings()
    return choose_version(settings.version, settings.image).version
