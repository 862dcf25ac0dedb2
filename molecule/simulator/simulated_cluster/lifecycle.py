"""Brings a cluster up, from whatever is there, and takes it down again with all that belongs to it."""

from __future__ import annotations

import contextlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from simulated_cluster import base_image, content, host, inventory, leftovers, machine, network, record
from simulated_cluster import engine as engines
from simulated_cluster.cache import cache_directory, key_of, key_of_tree, locked
from simulated_cluster.commands import say
from simulated_cluster.engine import Engine
from simulated_cluster.errors import MachineError, SimulatorError
from simulated_cluster.keys import Keys
from simulated_cluster.names import LABEL, MAXIMAL_HOSTS, MAXIMAL_NPUS, Names, host_names
from simulated_cluster.running import Cluster

BASE_LABEL = f"{LABEL}.base"
IMPORT_SECONDS = 300.0
# What `up` writes into the work directory; `down` removes no other file there.
WRITTEN = ("inventory", "hosts", "ssh", "weights", "log", "cluster.json")
# Hosts that start at once: each start is mostly waiting, but loading an image takes a core.
PARALLEL = 4


def _engine_data(cache: Path, names: Names) -> Path:
    return cache / "engines" / names.key


def up(work: Path, count: int, npus: int = 8) -> Cluster:
    """Bring `count` hosts of `npus` NPUs up. What is up already stays untouched, but for a host whose recipe changed.

    Raises MachineError (exit 2) when this machine cannot carry hosts, SimulatorError when something fails.
    """
    if not 1 <= count <= MAXIMAL_HOSTS:
        raise MachineError(f"{count} hosts are not possible.", f"ask for 1 to {MAXIMAL_HOSTS}")
    if not 1 <= npus <= MAXIMAL_NPUS:
        raise MachineError(f"{npus} NPUs on a host are not possible.", f"ask for 1 to {MAXIMAL_NPUS}")
    names, cache = Names.of(work), cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f".cluster-{names.key}.lock"):
        machine.need("ip", "ssh", "ssh-keygen")
        engine = machine.ensure_engine(names, _engine_data(cache, names), names.work / "log" / "engine.log")
        cluster, mindie_tar = _prepare(names, engine, cache, count, npus)
        _start_hosts(cluster, mindie_tar)
        inventory.write(names.work, cluster.hosts, cluster.subnet, cluster.keys, npus)
        return cluster


def _prepare(names: Names, engine: Engine, cache: Path, count: int, npus: int) -> tuple[Cluster, Path | None]:
    """All that hosts need before they can start."""
    hosts = host_names(count)
    earlier = record.read(names.work)
    host_tar = base_image.host_tar(engine, cache)
    with ThreadPoolExecutor(max_workers=2) as pool:
        imported = pool.submit(_import_base, engine, names, host_tar)
        mindie_tar = content.mindie_image(base_image.slim_tar(host_tar, cache), cache)
        content.weights(names.work / "weights")
        content.host_states(names.work / "hosts", hosts, npus)
        imported.result()
    subnet = network.ensure(engine, names, earlier.subnet if earlier else None)
    record.write(names.work, record.Record(subnet, hosts))
    Keys(names.work).ensure(hosts, subnet)
    return Cluster(names, engine, subnet, hosts), mindie_tar


def _import_base(engine: Engine, names: Names, host_tar: Path) -> None:
    """Give the engine the hosts' image unless it has it."""
    label = f'{{{{index .Config.Labels "{BASE_LABEL}"}}}}'
    there = engine.docker("image", "inspect", f"--format={label}", names.image, check=False)
    if there.returncode == 0 and there.stdout.strip() == host_tar.name:
        return
    say("hosts' image: importing")
    labels = (f"--change=LABEL {BASE_LABEL}={host_tar.name}", f"--change=LABEL {LABEL}={names.key}")
    engine.docker("import", *labels, str(host_tar), names.image, timeout=IMPORT_SECONDS)


def _start_hosts(cluster: Cluster, mindie_tar: Path | None) -> None:
    names, engine = cluster.names, cluster.engine
    base = key_of(base_image.host_key(), key_of_tree(host.SIMULATOR / "host"))
    present = host.containers(engine, names)
    for extra in present.keys() - set(cluster.hosts):
        engine.docker("rm", "--force", "--volumes", names.container(extra))
    wanted = [
        host.HostSpecification(
            names=names,
            host=name,
            address=cluster.address(name),
            identity=cluster.keys.identity(name),
            weights=names.work / "weights",
            mindie_image=mindie_tar,
            base=base,
        )
        for name in cluster.hosts
    ]
    # A paused host is one with a fault that someone applied; it stays as it is.
    missing = [
        specification
        for specification in wanted
        if (container := present.get(specification.host)) is None
        or container.state not in ("running", "paused")
        or container.specification != specification.key()
    ]
    if missing:
        say(f"hosts: starting {', '.join(specification.host for specification in missing)}")
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            list(pool.map(lambda specification: host.start(engine, specification), missing))
    say(f"hosts: {len(wanted)} up, {len(missing)} of them started now, at {cluster.subnet}")


def down(work: Path, purge_cache: bool = False) -> None:
    """Take the cluster down: nothing of it is left on the machine but the cache. Without a cluster nothing happens."""
    names, cache = Names.of(work), cache_directory()
    with locked(cache / f".cluster-{names.key}.lock"):
        engine = engines.find(names)
        if engine is not None:
            _remove_from(engine, names)
        if engine is None or engine.private:
            engines.stop_private(names, _engine_data(cache, names))
        _remove_files(names.work)
    (cache / f".cluster-{names.key}.lock").unlink(missing_ok=True)
    if purge_cache:
        _purge(cache)
    say("down: nothing of the cluster is left")


def _remove_from(engine: Engine, names: Names) -> None:
    """Remove the cluster's containers, their volumes, network and image from an engine."""
    present = host.containers(engine, names)
    if present:
        engine.docker("rm", "--force", "--volumes", *(names.container(name) for name in present), timeout=120)
    if os.geteuid() != 0 and engine.docker("image", "inspect", names.image, check=False).returncode == 0:
        _remove_cgroups_as_root(engine, names)
    network.remove(engine, names)
    engine.docker("image", "rm", "--force", names.image, check=False)
    if os.geteuid() == 0:
        leftovers.remove_cgroups(names.cgroup)


def _remove_cgroups_as_root(engine: Engine, names: Names) -> None:
    """A user who may use the engine may not remove control groups, but a container may."""
    script = f"find /sys/fs/cgroup -depth -type d -path '*/{names.cgroup}*' -exec rmdir {{}} +"
    engine.docker(
        "run",
        "--rm",
        "--cgroupns=host",
        "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
        "--security-opt=apparmor=unconfined",
        "--entrypoint=/bin/sh",
        names.image,
        "-c",
        script,
        check=False,
    )


def _remove_files(work: Path) -> None:
    for name in WRITTEN:
        path = work / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        # Stays where something else lies in it.
        work.rmdir()


def _purge(cache: Path) -> None:
    """Remove the cache, unless a private engine of another cluster still lives in it."""
    engines_left = [path.name for path in (cache / "engines").glob("*")]
    if engines_left:
        raise SimulatorError(
            f"{cache} still holds the engines of other clusters: {', '.join(engines_left)}.", "take them down first"
        )
    shutil.rmtree(cache, ignore_errors=True)
