"""Gangs of simulated daemons on 127.0.0.x, all ended after each test by their own pids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulator.image import gang
from tests.simulator.image.gang import Host

KNOBS = {
    "load_seconds": 0.15,
    "tokens_per_second": 2000,
    "weights_gib_per_npu": 43.1,
    "stop_pause_seconds": 0.1,
    "child_grace_seconds": 2,
    "refuse_pause_seconds": 0,
    "register_tries": 100,
    "register_pause_seconds": 0.05,
    "shm_free_mib": 4096,
}

MakeGang = Callable[..., list[Host]]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gang.write_weights(tmp_path_factory.mktemp("weights") / "DeepSeek-R1-BF16")


@pytest.fixture
def make_gang(tmp_path: Path, weights: Path) -> Iterator[MakeGang]:
    """make_gang(hosts, npus): hosts ready to start, the leader first; hosts=1 is a single node."""
    made: list[Host] = []

    def make(hosts: int = 2, npus: int = 2) -> list[Host]:
        ports = gang.free_ports(4)
        addresses = [f"127.0.0.{11 + place}" for place in range(hosts)]
        table = gang.rank_table(addresses, npus)
        for address in addresses:
            directory = tmp_path / address
            (directory / "home").mkdir(parents=True)
            host = Host(
                directory=directory,
                address=address,
                config=gang.configuration(weights, addresses[0], npus, hosts, ports),
                table=table,
                environ={
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(directory / "home"),
                    "MIES_CONFIG_JSON_PATH": str(directory / "config.json"),
                    "RANK_TABLE_FILE": str(directory / "ranktable.json"),
                    "MIES_CONTAINER_IP": address,
                    "MIES_CONTAINER_MANAGEMENT_IP": address,
                    "NPU_MEMORY_FRACTION": "0.95",
                    "SIMULATED_MINDIE_KNOBS": str(directory / "knobs.json"),
                },
                knobs=dict(KNOBS),
            )
            made.append(host)
        return made[-hosts:]

    yield make
    for host in made:
        host.end()


@pytest.fixture
def single(make_gang: MakeGang) -> Host:
    """A single node with two NPUs."""
    return make_gang(hosts=1)[0]


@pytest.fixture
def follower(make_gang: MakeGang) -> Host:
    """A follower of a leader that is not there, which gives up quickly: for what is refused before the meeting."""
    host = make_gang(hosts=2)[1]
    host.knobs["register_tries"] = 1
    return host
