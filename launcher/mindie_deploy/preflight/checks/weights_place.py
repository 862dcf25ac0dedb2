"""Where the weights are on a host: modes, space, and the file system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import NOT_COLLECTED, DiskFacts, HostFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.weights_directory import is_of_the_model
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.majority import odd_hosts
from mindie_deploy.preflight.registry import check
from mindie_deploy.preflight.sizes import size_text
from mindie_deploy.preflight.weights_size import SLACK_BYTES, is_there, missing_bytes, model_bytes

PRESENT = ("weights.present",)
NETWORK_FILESYSTEMS = (
    "nfs",
    "nfs4",
    "cifs",
    "smb",
    "smb3",
    "glusterfs",
    "fuse.glusterfs",
    "lustre",
    "ceph",
    "fuse.ceph",
)


@check(
    "weights.perm",
    title="MindIE may not read the weights with these modes",
    severity="block",
    command="stat of mindie_model_path and its files",
    needs=("weights",),
    caused_by=PRESENT,
    why="MindIE checks modes and owner itself. Root may read any; another user must own the directory (at most 750) "
    "and config.json (at most 640). The workers refuse files that others may write, also for root.",
    remedy="chown -R UID:GID and chmod 750 the directory, chmod 640 config.json, chmod o-w the rest.",
    source="MindIE-LLM: SafePath::Check; atb_llm, file_utils.py",
    fix="weights-modes",
)
def permissions(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.weights, Unknown) or not is_there(host.weights):
        return
    weights, user = host.weights, context.settings.container_user.split(":")[0]
    modes = weights.file_modes.items()
    open_files = [name for name, mode in modes if is_of_the_model(name) and mode_bits(mode) & 0o002]
    if open_files:
        says = f"others may write {open_files[0]}" + (f" and {len(open_files) - 1} more" if open_files[1:] else "")
        yield Problem(host.name, says, severity="warn")
    if user == "0":
        return
    if weights.uid is not None and str(weights.uid) != user:
        yield Problem(host.name, f"{weights.path} belongs to user {weights.uid}, the container's user is {user}")
    if mode_bits(weights.mode) & ~0o750 & 0o777:
        yield Problem(host.name, f"{weights.path} has mode {weights.mode}, at most 0750")
    if mode_bits(weights.file_modes.get("config.json")) & ~0o640 & 0o777:
        yield Problem(host.name, f"config.json has mode {weights.file_modes['config.json']}, at most 0640")


@check(
    "weights.disk",
    title="the disk is too small for the weights",
    severity="block",
    scope="cluster",
    command="df of mindie_model_path",
    why="The BF16 weights of a 671B model take 1.34 TB on every host; a copy that fills the disk fails after hours.",
    remedy="Free the space, or set mindie_model_path to a larger file system. A model of another size: set "
    "mindie_weights_disk_bytes.",
    source="671e9 parameters x 2 bytes; DeepSeek-V3 README (about 1.3 TB)",
    needs=("weights",),
    caused_by=PRESENT,
)
def disk(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    """Judged only where something has to be copied."""
    path = context.settings.model_path
    whole = model_bytes(context.settings, hosts.values())
    for name, host in hosts.items():
        if isinstance(host.weights, Unknown) or not context.settings.weights_source:
            continue
        needed = missing_bytes(host.weights, whole)
        if not needed:
            continue
        space = host.disks.get(path, NOT_COLLECTED)
        if isinstance(space, Unknown):
            yield Problem(name, space.reason, kind="unknown")
        elif space.read_only:
            yield Problem(name, f"{space.ancestor} is mounted read-only", title="the weights' disk is read-only")
        elif space.available_bytes < needed + SLACK_BYTES:
            free = f"{size_text(space.available_bytes)} free at {space.ancestor}"
            yield Problem(name, f"{free}, needed {size_text(needed)}")


@check(
    "weights.path-same",
    title="the weights lead to different places on the hosts",
    severity="info",
    scope="cluster",
    command="realpath of mindie_model_path",
    needs=("weights",),
    caused_by=PRESENT,
    why="The path in the configuration is the same; where links lead is each host's own affair, but worth knowing.",
    remedy="Nothing, if it is wanted.",
    source="GPUStack's tutorial (the same path on all hosts)",
)
def same_path(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    values = {
        name: host.weights.real_path
        for name, host in hosts.items()
        if isinstance(host.weights, WeightsFacts) and host.weights.exists and host.weights.real_path
    }
    yield from odd_hosts(values, "it leads to")


@check(
    "weights.filesystem",
    title="the weights are on a network file system",
    severity="info",
    command="df -T of mindie_model_path",
    needs=("weights",),
    caused_by=PRESENT,
    why="MindIE warns that slow reading may break the start; loading 1.3 TB over a shared mount takes long.",
    remedy="Nothing, if it is fast. Else keep a copy on a local disk of every host.",
    source="MindIE-LLM: check_path_is_mounted",
)
def filesystem(host: HostFacts, context: Context) -> Iterator[Problem]:
    space = host.disks.get(context.settings.model_path, NOT_COLLECTED)
    if isinstance(space, DiskFacts) and (space.filesystem or "").lower() in NETWORK_FILESYSTEMS:
        yield Problem(host.name, f"{space.ancestor} is {space.filesystem}")


def mode_bits(mode: str | None) -> int:
    """Returns the bits of a mode in octal text; 0, which forbids all, where it is not known or no such text."""
    try:
        return int(mode or "0", 8)
    except ValueError:
        return 0
