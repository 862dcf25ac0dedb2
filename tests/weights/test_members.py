"""From what the hosts tell of themselves to the plan of an exchange."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.errors import UsageError
from mindie_deploy.weights.exchange import CONTROLLER, Exchange
from mindie_deploy.weights.manifest import ManifestError
from mindie_deploy.weights.members import cargo_of, exchange_of, joined
from mindie_deploy.weights.source import Source, SourceKind
from tests.weights.scans import SHARDS, good_files, manifest_of

sys.path.append(str(Path(__file__).resolve().parents[2] / "plugins"))
from mindie_exchange.plan import read_plan

MANIFEST = manifest_of(good_files())
SECRETS = {"secret": "0123456789abcdef" * 4, "tls": None}
SETTINGS = {"weights_port": 11200, "weights_rate_limit": 3}
ADDRESSES = {"host1": "10.1.0.1", "host2": "10.1.0.2", "host3": "10.1.0.3"}
SOURCE_SEEN = {"real_directory": "/srv/model", "cores": 32}


def seen(name: str, **changes: Any) -> dict[str, Any]:
    return {"real_directory": "/data/model", "status_file": f"/var/lib/{name}.json", "cores": 64, **changes}


MEMBERS = [
    joined("host1", seen("host1"), [], "/data/.model.incoming", ["ssh", "host1"]),
    joined("host2", seen("host2"), [SHARDS[1]], "/data/.model.incoming", ["ssh", "host2"]),
    joined("host3", seen("host3", cores=None), MANIFEST.by_name, "/data/.model.incoming"),
]


def arguments(source: Any = "controller:/srv/model") -> dict[str, Any]:
    return {
        "manifest": {**MANIFEST.to_dict(), "source": "controller:/srv/model"},
        "source": source,
        "source_seen": SOURCE_SEEN,
        "source_status_file": "/home/anna/progress.json",
        "owner": "1000",
        "group": 1001,
        "time_limit": "172800",
    }


def exchange(source: Any = "controller:/srv/model", reader: str = "host2") -> Exchange:
    return exchange_of(cargo_of(arguments(source)), MEMBERS, ADDRESSES, SETTINGS, SECRETS, reader)


def test_a_host_that_lacks_nothing_writes_nothing() -> None:
    plan = read_plan(json.dumps(exchange().plan("host1")))
    assert plan.place.read_only
    assert plan.place.incoming == ""
    assert plan.place.complete == frozenset(MANIFEST.by_name)


def test_a_host_that_lacks_a_file_gives_the_others() -> None:
    plan = read_plan(json.dumps(exchange().plan("host2")))
    assert not plan.place.read_only
    assert plan.place.complete == frozenset(MANIFEST.by_name) - {SHARDS[1]}
    assert (plan.place.owner, plan.place.group) == (1000, 1001)
    assert plan.rate_limit == 3 * 1024 * 1024
    assert plan.lifetime == 172800
    assert [member.address for member in plan.members] == ["10.1.0.1", "10.1.0.2", "10.1.0.3", "127.0.0.1"]
    number = [file.name for file in plan.files].index(SHARDS[1])
    assert [plan.members[one].name for one in plan.seeders(number)] == ["host1", CONTROLLER]


def test_all_members_follow_one_plan() -> None:
    names = ["host1", "host2", "host3", CONTROLLER]
    plans = [read_plan(json.dumps(exchange(reader=name).plan(name))) for name in names]
    assert len({plan.digest for plan in plans}) == 1
    assert {plan.lanes for plan in plans} == {1}, "a host that does not tell its cores has one"


def test_the_controller_alone_knows_the_ways_to_the_hosts() -> None:
    """Such a command holds names, users and paths of keys on the controller."""
    ways = {one.name: one.command for one in exchange(reader=CONTROLLER).participants}
    assert ways == {"host1": ("ssh", "host1"), "host2": ("ssh", "host2"), "host3": (), CONTROLLER: ()}
    assert not any(one.command for one in exchange(reader="host2").participants)


def test_the_controller_takes_part_only_when_it_is_the_source() -> None:
    (own,) = (one for one in exchange().participants if one.name == CONTROLLER)
    assert own.dials
    assert own.place.read_only
    assert (own.place.final, own.cores, own.status_file) == ("/srv/model", 32, "/home/anna/progress.json")
    for source in ("mount:/mnt/model", "host:host1:/data/model", "hosts"):
        assert CONTROLLER not in {one.name for one in exchange(source).participants}


def test_a_host_that_takes_no_part_gives_the_files_and_gets_none() -> None:
    addresses = {**ADDRESSES, "storage": "10.1.0.9"}
    cargo = cargo_of(arguments("host:storage:/srv/model"))
    names = ["host1", "host2", "host3", "storage"]
    runs = {name: exchange_of(cargo, MEMBERS, addresses, SETTINGS, SECRETS, name) for name in names}
    plans = [read_plan(json.dumps(runs[name].plan(name))) for name in names]
    assert len({plan.digest for plan in plans}) == 1
    own = plans[3]
    assert own.place.read_only
    assert own.place.complete == frozenset(MANIFEST.by_name)
    assert (own.place.final, own.status_file) == ("/srv/model", "/home/anna/progress.json")
    assert [(one.name, one.address) for one in own.members][3] == ("storage", "10.1.0.9")
    assert not any(one.dials for one in runs["host1"].participants)
    assert all(run.origin is None for run in runs.values())
    number = [file.name for file in own.files].index(SHARDS[1])
    assert [own.members[one].name for one in own.seeders(number)] == ["host1", "storage"]


def test_a_mount_is_read_by_those_that_lack_something_together() -> None:
    assert exchange("mount:/mnt/model").origin == {
        "kind": "directory",
        "path": "/mnt/model",
        "members": ["host2", "host3"],
    }
    assert exchange().origin is None
    assert exchange("host:host3:/other").origin == {"kind": "directory", "path": "/other", "members": ["host3"]}
    assert exchange("host:host1:/data/model").origin is None, "it has everything at its place"


def test_a_source_may_be_a_mapping() -> None:
    found = cargo_of(arguments({"kind": "controller", "path": "/srv/image"})).source
    assert found == Source(SourceKind.CONTROLLER, "/srv/image")


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError):
        cargo_of(arguments("ftp://x"))
    with pytest.raises(ManifestError):
        cargo_of({**arguments(), "manifest": {"files": [{"name": "../x", "size": 1, "sha256": "0" * 64}]}})


def test_encryption_reaches_all_members() -> None:
    secrets = {**SECRETS, "tls": {"certificate": "c", "key": "k"}}
    made = exchange_of(cargo_of(arguments()), MEMBERS, ADDRESSES, SETTINGS, secrets, "host2")
    assert read_plan(json.dumps(made.plan("host2"))).tls == secrets["tls"]
    assert "'k'" not in repr(made)
