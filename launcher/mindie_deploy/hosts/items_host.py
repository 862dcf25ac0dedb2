"""What is asked of the operating system, the container engine, the disks and the model directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindie_deploy.hosts.paths import below, incoming_directory

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

Item = dict[str, object]

ENGINE_TIMEOUT_S = 20
ROUTES_LIMIT = 8 << 20  # bytes of /proc/net/fib_trie, after what is not wanted was left out

# Only the fields that we read: environment variables of other people's containers hold secrets.
CONTAINER_FORMAT = (
    '{"Id":{{json .Id}},"Name":{{json .Name}},"Image":{{json .Config.Image}},"ImageId":{{json .Image}},'
    '"State":{"Status":{{json .State.Status}},"Running":{{json .State.Running}},"Pid":{{json .State.Pid}},'
    '"ExitCode":{{json .State.ExitCode}},"StartedAt":{{json .State.StartedAt}}},'
    '"Devices":{{json .HostConfig.Devices}},"Privileged":{{json .HostConfig.Privileged}},'
    '"Runtime":{{json .HostConfig.Runtime}},"Labels":{{json .Config.Labels}},'
    '"VisibleDevices":[{{range .Config.Env}}{{$pair := split . "="}}'
    '{{if and (eq (index $pair 0) "ASCEND_VISIBLE_DEVICES") (gt (len $pair) 1)}}{{json (index $pair 1)}},{{end}}'
    '{{end}}""]}'
)
# In the form of `image inspect` itself, as far as we read it. Of the environment, which may hold secrets, only names
# of variables that send traffic to a proxy. (.ID is the word of both engines; .Id is not Podman's.)
IMAGE_FORMAT = (
    '[{"Id":{{json .ID}},"Architecture":{{json .Architecture}},"Size":{{json .Size}},'
    '"Config":{{with .Config}}{"Labels":{{json .Labels}},"Env":[{{range .Env}}{{$pair := split . "="}}'
    '{{if and (eq (lower (index $pair 0)) "http_proxy" "https_proxy" "all_proxy") (gt (len $pair) 1)}}'
    '{{if index $pair 1}}{{json (print (index $pair 0) "=set")}},{{end}}{{end}}{{end}}""]}{{else}}null{{end}}}]'
)
CONTAINERS_SCRIPT = (
    'ids=$("$0" ps --all --quiet --no-trunc) || exit; '
    '[ -z "$ids" ] || exec "$0" inspect --type container --format "$1" $ids'
)
ROOT_FORMATS = {"docker": "{{.DockerRootDir}}", "podman": "{{.Store.GraphRoot}}"}
# What mindie_listen and the agent of the weights exchange call their processes, and the sockets of such processes: what
# a check listens on is in nobody's way, and what a broken sync left the next one ends.
LISTENER_NAMES = "mindie-(listen|exchange)"
LISTENERS_SCRIPT = (
    'for comm in $(grep -lsxE "$0" /proc/[0-9]*/comm); do ls -l "${comm%comm}fd"; done 2>/dev/null | '
    "grep -o 'socket:\\[[0-9]*\\]'; true"
)
DISK_SCRIPT = 'root=$("$0" info --format "$1") && [ -n "$root" ] && exec df -PTk -- "$root"'


def engine_items(engine: str, image: str) -> list[Item]:
    """The engine, its containers and the image. Each is a question of its own: one may fail where another answers."""
    return [
        {"key": "engine/info", "command": [engine, "info", "--format", "{{json .}}"], "timeout": ENGINE_TIMEOUT_S},
        {
            "key": "engine/containers",
            "command": ["sh", "-c", CONTAINERS_SCRIPT, engine, CONTAINER_FORMAT],
            "timeout": ENGINE_TIMEOUT_S,
        },
        {
            "key": "engine/image",
            "command": [engine, "image", "inspect", "--format", IMAGE_FORMAT, image],
            "timeout": ENGINE_TIMEOUT_S,
        },
        {
            "key": "disk/engine",
            "command": ["sh", "-c", DISK_SCRIPT, engine, ROOT_FORMATS.get(engine, ROOT_FORMATS["docker"])],
            "timeout": ENGINE_TIMEOUT_S,
        },
    ]


def disk_items(settings: Settings) -> list[Item]:
    """The model's disk is that of the directory it stands in: a transfer writes beside it and renames."""
    return [
        {"key": "disk/model", "disk": below(settings.model_path)},
        {"key": "disk/state", "disk": settings.state_directory},
    ]


def system_items() -> list[Item]:
    """The operating system. Of the socket tables only listening ones are wanted: a busy host has many others. Of the
    routes only the leaves and which of them are local: a host in a routed network has very many."""
    listening = r"^\s*(sl\s|\d+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:[0-9A-F]+ 0A )"
    local = r"\|-- |/32 host LOCAL"
    return [
        {"key": "uname", "command": ["uname", "-snrm"], "timeout": 10},
        {"key": "page-size", "command": ["getconf", "PAGE_SIZE"], "timeout": 10},
        {"key": "os-release", "file": ["/etc/os-release", "/usr/lib/os-release"]},
        {"key": "meminfo", "file": "/proc/meminfo"},
        {"key": "modules", "file": "/proc/modules"},
        {"key": "addresses/4", "file": "/proc/net/fib_trie", "lines": local, "limit": ROUTES_LIMIT},
        {"key": "addresses/6", "file": "/proc/net/if_inet6"},
        {"key": "interfaces", "command": ["ip", "-o", "address", "show"], "timeout": 10},
        {"key": "listeners", "command": ["sh", "-c", LISTENERS_SCRIPT, LISTENER_NAMES], "timeout": 10},
        {"key": "ports/4", "file": "/proc/net/tcp", "lines": listening},
        {"key": "ports/6", "file": "/proc/net/tcp6", "lines": listening},
    ]


def weights_items(path: str) -> list[Item]:
    """The model directory, by listing only: a check never reads a terabyte."""
    return [
        {"key": "weights", "directory": path},
        {"key": "weights/incoming", "directory": incoming_directory(path)},
        {"key": "weights/config", "file": f"{path.rstrip('/')}/config.json"},
    ]
