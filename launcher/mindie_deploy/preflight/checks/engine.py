"""The container engine, the image, and other containers on the NPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.cluster.names import DEPLOYMENT_LABEL
from mindie_deploy.hosts.facts import HostFacts, ImageFacts, Unknown
from mindie_deploy.hosts.text import whole
from mindie_deploy.preflight.context import Context, container_npus, is_foreign, is_left_over
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.majority import odd_hosts
from mindie_deploy.preflight.registry import check

RUNNING = ("docker.running",)
OLDEST_NAMED = 24  # MindIE's image guide names Docker 24 or later
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


@check(
    "docker.running",
    title="the container engine gives no answer",
    severity="block",
    command="docker info, docker ps",
    why="Every member of the deployment is a container.",
    remedy="systemctl status docker; systemctl start docker; journalctl -u docker tells why it stopped. If it is not "
    "installed, install it. With mindie_engine: podman, read podman for docker.",
    source="GPUStack's tutorial",
)
def running(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.engine, Unknown):
        yield Problem(host.name, host.engine.reason)


@check(
    "docker.version",
    title="the container engine is older than MindIE's guide names",
    severity="info",
    command="docker info",
    needs=("engine",),
    caused_by=RUNNING,
    why="MindIE's image guide names Docker 24 or later; older ones are seen in the field too.",
    remedy="Upgrade Docker when you can.",
    source="MindIE-LLM, image usage guide",
)
def version(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.engine, Unknown) or context.settings.engine != "docker":
        return
    major = whole(host.engine.version.split(".")[0])
    if major is not None and major < OLDEST_NAMED:
        yield Problem(host.name, f"version {host.engine.version}")


@check(
    "docker.image",
    title="the image is missing",
    severity="block",
    command="docker image inspect",
    needs=("image",),
    caused_by=RUNNING,
    why="Clusters are often cut off from registries: nothing is pulled behind your back.",
    remedy="Load it on the host: docker load -i FILE, or docker pull where a registry is in reach. Or set "
    "mindie_image_archive to a file made by docker save, on the controller, a host or a shared mount: it is then "
    "loaded where the image is missing.",
    source="GPUStack's tutorial",
)
def image(host: HostFacts, context: Context) -> Iterator[Problem]:
    if host.image is not None:
        return
    says, archive = f"there is no {context.settings.image}", context.settings.image_archive
    if archive in context.absent:
        yield Problem(
            host.name,
            f"{says}, and {archive} (mindie_image_archive) is not on the controller, or not readable",
            remedy="Correct mindie_image_archive: a file on the controller made by docker save.",
        )
    elif archive:
        title, remedy = "the image is missing and will be loaded", "Nothing: `up` does it."
        yield Problem(host.name, f"{says}; it comes from {archive}", severity="info", title=title, remedy=remedy)
    else:
        yield Problem(host.name, says)


@check(
    "docker.image-same",
    title="the image differs between hosts",
    severity="block",
    scope="cluster",
    command="docker image inspect",
    needs=("image",),
    caused_by=("docker.image", *RUNNING),
    why="The same tag may stand for different builds; ranks with different software fail or hang.",
    remedy="Remove the tag on the hosts named (docker rmi IMAGE) and load the same image as on the others.",
    source="MindIE's FAQ (versions must not be mixed)",
)
def same_image(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    values = {name: host.image.id for name, host in hosts.items() if isinstance(host.image, ImageFacts)}
    yield from odd_hosts(values, "image id")


@check(
    "docker.image-arch",
    title="the image is made for another kind of processor",
    severity="block",
    command="docker image inspect and uname -m",
    needs=("image", "system"),
    caused_by=("docker.image", "docker.image-same", "os.arch", *RUNNING),
    unknown="info",  # not every engine tells it
    why="An image for amd64 does not run on arm64, and the other way round.",
    remedy="Load the image that is made for the host's processor.",
    source="practice",
)
def image_architecture(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.image, Unknown) or host.image is None or isinstance(host.system, Unknown):
        return
    if not host.image.architecture:
        yield Problem(host.name, "the image does not tell its architecture", kind="unknown")
        return
    made_for = ARCHITECTURES.get(host.image.architecture, host.image.architecture)
    if made_for != ARCHITECTURES.get(host.system.architecture, host.system.architecture):
        says = f"the image is for {host.image.architecture}, the host is {host.system.architecture}"
        yield Problem(host.name, says)


@check(
    "docker.name-free",
    title="another container has the name that ours needs",
    severity="block",
    command="docker ps, docker inspect",
    needs=("engine",),
    caused_by=RUNNING,
    why="Containers are found by name. One that does not carry the label of this deployment is not ours, and is never "
    "touched.",
    remedy="Rename it (docker rename NAME OTHER) or remove it, or give this deployment another name: "
    "mindie_deployment.",
    source="design: only what is ours is changed",
    skippable=False,
)
def name_free(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.engine, Unknown):
        return
    for container in host.engine.containers:
        if is_foreign(container, context.settings):
            yield Problem(host.name, f"container {container.name} ({container.image or container.image_id[:19]})")


@check(
    "docker.stopped",
    title="a container of an earlier start is still there, stopped",
    severity="info",
    command="docker ps, docker inspect",
    needs=("engine",),
    caused_by=RUNNING,
    why="A failed start leaves its container, so that its log can be read. The next start replaces it.",
    remedy="Nothing: `up` replaces it, `down` removes it. docker logs NAME shows what it printed.",
    source="design: a failed start leaves its log",
    fix="container",
)
def stopped(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.engine, Unknown):
        return
    for container in host.engine.containers:
        if is_left_over(container, context.settings):
            yield Problem(host.name, f"container {container.name} is {container.status} ({container.exit_code})")


@check(
    "docker.conflict",
    title="another container uses NPUs",
    severity="block",
    command="docker ps, docker inspect",
    needs=("engine",),
    caused_by=RUNNING,
    why="An NPU serves one member only; two of them share its memory, and one of them fails with out of memory.",
    remedy="Stop it (docker stop NAME) if it may be stopped, or take another host. A running container of this very "
    "deployment is no conflict.",
    source="ascend-deployer; GPUStack's tutorial",
)
def conflict(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Privileged containers without NPU nodes of their own (monitoring, usually) are no conflict, but mentioned."""
    if isinstance(host.engine, Unknown):
        return
    for container in host.engine.containers:
        owner = container.labels.get(DEPLOYMENT_LABEL)
        if not container.running or owner == context.settings.deployment or is_foreign(container, context.settings):
            continue
        says = f"container {container.name or container.id[:12]} ({container.image})"
        if owner:
            says += f" of the deployment {owner}"
        npus = [npu for npu in container_npus(container) if npu in context.npus]
        remedy = f"mindie-deploy down, with the inventory of the deployment {owner}." if owner else None
        for npu in npus:
            yield Problem(host.name, says, npu, remedy=remedy)
        if container.privileged and not npus:
            title, remedy = "a privileged container could use NPUs", "Nothing, if it is for monitoring."
            yield Problem(host.name, says, severity="info", title=title, remedy=remedy)
