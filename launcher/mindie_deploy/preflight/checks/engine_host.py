"""What the container engine of a host brings along: runtime, user namespaces, limits, proxies, disk."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import NOT_COLLECTED, EngineFacts, HostFacts, ImageFacts, Unknown
from mindie_deploy.hosts.facts_surroundings import UNLIMITED
from mindie_deploy.preflight.context import Context, is_ours_running
from mindie_deploy.preflight.finding import Problem, Severity
from mindie_deploy.preflight.registry import check
from mindie_deploy.preflight.sizes import size_text

RUNNING = ("docker.running",)
# Runtimes that give a container the devices and mounts as asked for. ascend adds NPUs only where a variable asks.
PLAIN_RUNTIMES = ("runc", "crun", "youki", "ascend", "io.containerd.runc.v2")
PROXY_KEYS = ("httpProxy", "httpsProxy", "allProxy")
PROXY_HOST = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*:(?:\\*/){2})?(?P<host>(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?)(?:[\\/?#]|$)"
)
LOAD_FACTOR = 2  # a layer lies unpacked beside the stream that it comes from


@check(
    "docker.runtime",
    title="the engine's default runtime is an unusual one",
    severity="warn",
    command="docker info",
    needs=("engine",),
    caused_by=RUNNING,
    unknown="info",
    why="Containers are started with the engine's default runtime. Sandboxes and runtimes for other accelerators may "
    "not give the NPUs' device nodes.",
    remedy='Set "default-runtime": "runc" (or remove the line) in /etc/docker/daemon.json, then systemctl restart '
    "docker.",
    source="Docker's documentation of alternative runtimes; Ascend Docker Runtime's guide",
)
def runtime(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.engine, EngineFacts) and host.engine.default_runtime not in (None, *PLAIN_RUNTIMES):
        yield Problem(host.name, f"default runtime {host.engine.default_runtime}")


@check(
    "docker.user-namespace",
    title="the engine maps the container's root to another user",
    severity="block",
    command="docker info",
    needs=("engine",),
    caused_by=RUNNING,
    unknown="info",
    why="Such an engine refuses the host's network, or gives a network of its own, and the NPUs' device nodes belong "
    "to root or HwHiAiUser.",
    remedy="Remove userns-remap from /etc/docker/daemon.json and restart Docker; use the engine of root, not a "
    "rootless one.",
    source="Docker's documentation: limitations of user namespaces and of rootless mode",
)
def user_namespace(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.engine, EngineFacts):
        for word in ("userns", "rootless"):
            if word in host.engine.security:
                yield Problem(host.name, f"{word} is among the engine's security options")


@check(
    "docker.ulimits",
    title="a container may open few files",
    severity="warn",
    command="/proc/PID/limits of containerd, default-ulimits of the engine",
    caused_by=RUNNING,
    unknown="info",
    why="A container inherits the limits of the daemon that starts it. With few open files HCCL's topo exchange ends "
    "in socket time-outs.",
    remedy='Set mindie_ulimits: {"nofile": "65536:65536"}, or LimitNOFILE=infinity for containerd.service '
    "(systemctl edit containerd), then restart it. Limit: mindie_open_files_needed.",
    source="HCCL user guide (topo exchange time-out); the number is practice",
)
def ulimits(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Judged for Docker: Podman has no daemon to inherit from. A setting of the user's is not second-guessed."""
    settings = context.settings
    if settings.engine != "docker":
        return
    limits = host.surroundings.engine_limits
    if isinstance(limits, Unknown):
        yield Problem(host.name, limits.reason, kind="unknown")
        return
    soft = limits.get("nofile", (UNLIMITED, UNLIMITED))[0]
    if "nofile" not in settings.ulimits and UNLIMITED < soft < settings.open_files_needed:
        yield Problem(host.name, f"nofile {soft}, advised {settings.open_files_needed} or more")
    soft = limits.get("nproc", (UNLIMITED, UNLIMITED))[0]
    root = settings.container_user.split(":")[0] == "0"  # for whom the kernel does not count
    if not root and "nproc" not in settings.ulimits and UNLIMITED < soft < settings.processes_needed:
        says = f"nproc {soft}, advised {settings.processes_needed} or more"
        remedy = 'Set mindie_ulimits: {"nproc": "65536:65536"}. Limit: mindie_processes_needed.'
        yield Problem(host.name, says, title="a container may start few processes", remedy=remedy)


@check(
    "docker.proxy",
    title="containers get a proxy",
    severity="info",
    command="proxies of ~/.docker/config.json, variables of the image",
    needs=("surroundings.proxies",),
    caused_by=RUNNING,
    unknown="info",
    why="MindIE is not hindered: the script that starts it takes all proxy variables away first. Commands that you run "
    "in the container yourself (docker exec) still have them: a curl for the API, or for another host, then asks the "
    "proxy, and what the proxy answers looks like a fault of MindIE.",
    remedy="Nothing for the launch. In the container: curl --noproxy '*' ... To be rid of it, remove \"proxies\" from "
    "~/.docker/config.json of the user who runs docker (root), or name the hosts' addresses in its noProxy. The "
    "daemon's own proxy for pulling images is another one, and does no harm.",
    source="MindIE-LLM, DeepSeek-V3.2 guide (proxies are unset); Docker's documentation of the client's proxies",
)
def proxy(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Tells names and the proxy's host only: an address may hold a password."""
    proxies = host.surroundings.proxies
    if isinstance(proxies, Unknown):
        return
    excepted = proxies.get("noProxy", "")
    if all(_excepts(excepted, other.address) for other in context.hosts):
        return
    found = [f"{key} {_proxy_host(proxies[key])}".rstrip() for key in PROXY_KEYS if key in proxies]
    if found:
        but = "; noProxy does not name all hosts" if excepted else ""
        yield Problem(host.name, f"{', '.join(found)}{but}")
    if isinstance(host.image, ImageFacts) and host.image.proxies:
        remedy = (
            "Nothing for the launch. In the container: curl --noproxy '*' ... To be rid of it, build the image again "
            "without these variables, or take one that has none."
        )
        yield Problem(host.name, f"the image sets {', '.join(host.image.proxies)}", remedy=remedy)


@check(
    "docker.disk",
    title="the engine's disk is too small for the image",
    severity="block",
    scope="cluster",
    command="df of the engine's root directory",
    needs=("engine", "image"),
    caused_by=RUNNING,
    unknown="info",
    why="Loading an image that does not fit ends half-way; a full disk under a running container loses its log.",
    remedy='docker system df shows what takes the space, docker image prune removes unused layers. Or move "data-root" '
    "in /etc/docker/daemon.json to a larger file system. Limits: mindie_image_disk_bytes, "
    "mindie_engine_disk_low_bytes.",
    source="practice",
)
def disk(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    """Blocks only what cannot work: a known size, and no other image whose layers the missing one could share."""
    sizes = [host.image.size_bytes or 0 for host in hosts.values() if isinstance(host.image, ImageFacts)]
    known = max(sizes, default=0)
    for name, host in hosts.items():
        root = host.engine.root if isinstance(host.engine, EngineFacts) else None
        if root is None:
            continue
        space = host.disks.get(root, NOT_COLLECTED)
        if isinstance(space, Unknown):
            yield Problem(name, space.reason, kind="unknown")
            continue
        free = f"{size_text(space.available_bytes)} free at {root}"
        if host.image is None and context.settings.image_archive:
            needed = known * LOAD_FACTOR or context.settings.image_disk_bytes
            if space.available_bytes < needed:
                alone = isinstance(host.engine, EngineFacts) and host.engine.images == 0
                severity: Severity = "block" if alone and space.available_bytes < known else "warn"
                yield Problem(name, f"{free}, loading it takes {size_text(needed)}", severity=severity)
        elif space.available_bytes < context.settings.engine_disk_low_bytes and not is_ours_running(
            host, context.settings
        ):
            yield Problem(name, free, severity="warn", title="the engine's disk is nearly full")


def _excepts(no_proxy: str, address: str) -> bool:
    """Tells whether a list of exceptions holds an address: itself, its network, or all."""
    for part in no_proxy.replace(" ", ",").split(","):
        if part in ("*", address):
            return True
        try:
            if "/" in part and ipaddress.ip_address(address) in ipaddress.ip_network(part, strict=False):
                return True
        except ValueError:
            continue
    return False


def _proxy_host(address: str) -> str:
    """Returns the host of a proxy, and its port; nothing for an address of another form, which may hold anything."""
    match = PROXY_HOST.match(address.rpartition("@")[2])
    return match["host"] if match else ""
