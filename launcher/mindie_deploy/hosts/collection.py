"""What is read of a host: the arguments of the module mindie_collect, for one round trip.

The keys of the items are the interface to `read`. npu-smi calls share one exclusive word because the driver serves them
one after another and a stuck device blocks them all; a device takes one hccn_tool command at a time, different devices
take theirs at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindie_deploy.hosts.paths import below, incoming_directory

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

Item = dict[str, object]

DEFAULT_ROOT = "/usr/local/Ascend"
INSTALL_INFO = "/etc/ascend_install.info"
NPU_SMI_PLACES = ["/usr/local/bin/npu-smi", "/usr/local/sbin/npu-smi", "npu-smi"]
HCCN_TOOL_PLACES = [
    "{driver_root}/driver/tools/hccn_tool",
    f"{DEFAULT_ROOT}/driver/tools/hccn_tool",
    "/usr/bin/hccn_tool",
    "hccn_tool",
]
HCCN_QUERIES = ("ip", "link", "net_health", "netdetect", "gateway", "tls", "speed", "mtu")
TABLE_TIMEOUT_S = 60  # practice: npu-smi info takes 1 to 3 s, minutes or for ever when a device is stuck
NPU_SMI_TIMEOUT_S = 20
HCCN_TIMEOUT_S = 15  # the tool itself would ask a dead device for five minutes
ENGINE_TIMEOUT_S = 20
COLLECTION_LIMIT_S = 120
PARALLEL = 16  # eight devices, npu-smi, the engine and the files

BUSY_WORDS = [
    r"is busy",
    r"Please try again",
    r"please try again later",
    r"occupied\. Please try",
    r"cmd line execute timeout",
    # -ip and -net_health turn busy into this one; for the others it is a failure that is worth a second look
    r"Command execute failed!",
]

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
CONTAINERS_SCRIPT = (
    'ids=$("$0" ps --all --quiet --no-trunc) || exit; '
    '[ -z "$ids" ] || exec "$0" inspect --type container --format "$1" $ids'
)
ROOT_FORMATS = {"docker": "{{.DockerRootDir}}", "podman": "{{.Store.GraphRoot}}"}
DISK_SCRIPT = 'root=$("$0" info --format "$1") && [ -n "$root" ] && exec df -PTk -- "$root"'


def specification(settings: Settings) -> dict[str, object]:
    """Returns the arguments of mindie_collect for a host of this deployment."""
    return {
        "programs": {
            "npu-smi": [settings.npu_smi_path] if settings.npu_smi_path else NPU_SMI_PLACES,
            "hccn_tool": [settings.hccn_tool_path] if settings.hccn_tool_path else HCCN_TOOL_PLACES,
        },
        "values": {
            "driver_root": {"file": INSTALL_INFO, "key": "Driver_Install_Path_Param", "default": DEFAULT_ROOT},
            "firmware_root": {"file": INSTALL_INFO, "key": "Firmware_Install_Path_Param", "default": DEFAULT_ROOT},
        },
        "items": [
            *_npu_smi(settings.npus_per_host),
            *_hccn(settings.npus_per_host),
            *_engine(settings.engine, settings.image),
            *_driver_files(settings),
            *_disks(settings),
            *_system(),
            *_weights(settings.model_path),
        ],
        "limit": COLLECTION_LIMIT_S,
        "parallel": PARALLEL,
    }


def status_specification(settings: Settings) -> dict[str, object]:
    """Returns the arguments of mindie_collect for a look at the NPUs alone."""
    whole = specification(settings)
    return {**whole, "items": _npu_smi(0)[:1], "limit": TABLE_TIMEOUT_S + 10}


def _npu_smi(npus: int) -> list[Item]:
    """The table first: it is what everything else leans on when the time runs out."""
    items = [_npu_smi_item("npu-smi/info", ["info"], TABLE_TIMEOUT_S)]
    for npu in range(npus):
        items.append(_npu_smi_item(f"npu-smi/board/{npu}", ["info", "-t", "board", "-i", str(npu)], NPU_SMI_TIMEOUT_S))
    for npu in range(npus):
        words = ["info", "-t", "health", "-i", str(npu), "-c", "0"]
        items.append(_npu_smi_item(f"npu-smi/health/{npu}", words, NPU_SMI_TIMEOUT_S))
    items.append(_npu_smi_item("npu-smi/topology", ["info", "-t", "topo"], NPU_SMI_TIMEOUT_S))
    return items


def _npu_smi_item(key: str, words: list[str], timeout: int) -> Item:
    """One call of npu-smi."""
    return {
        "key": key,
        "command": ["npu-smi", *words],
        "timeout": timeout,
        "exclusive": "npu-smi",
        "environment": _libraries(),
    }


def _hccn(npus: int) -> list[Item]:
    """Every query of every device; the module orders them by what is free."""
    return [
        {
            "key": f"hccn/{npu}/{query}",
            "command": ["hccn_tool", "-i", str(npu), f"-{query}", "-g"],
            "timeout": HCCN_TIMEOUT_S,
            "exclusive": f"hccn/{npu}",
            "retries": {"times": 3, "patterns": BUSY_WORDS, "pause": 0.5},
            "environment": _libraries(),
        }
        for query in HCCN_QUERIES
        for npu in range(npus)
    ]


def _libraries() -> dict[str, str]:
    """The driver's libraries, for a login that does not set them. A host's own value counts first."""
    places = ("lib64", "lib64/common", "lib64/driver")
    return {"LD_LIBRARY_PATH": ":".join(f"{{driver_root}}/driver/{place}" for place in places)}


def _engine(engine: str, image: str) -> list[Item]:
    """The engine, its containers and the image. Each is a question of its own: one may fail where another answers."""
    return [
        {"key": "engine/info", "command": [engine, "info", "--format", "{{json .}}"], "timeout": ENGINE_TIMEOUT_S},
        {
            "key": "engine/containers",
            "command": ["sh", "-c", CONTAINERS_SCRIPT, engine, CONTAINER_FORMAT],
            "timeout": ENGINE_TIMEOUT_S,
        },
        {"key": "engine/image", "command": [engine, "image", "inspect", image], "timeout": ENGINE_TIMEOUT_S},
        {
            "key": "disk/engine",
            "command": ["sh", "-c", DISK_SCRIPT, engine, ROOT_FORMATS.get(engine, ROOT_FORMATS["docker"])],
            "timeout": ENGINE_TIMEOUT_S,
        },
    ]


def _driver_files(settings: Settings) -> list[Item]:
    """Files of the driver and the firmware, device nodes, and what stands where the programs should be."""
    nodes = [f"/dev/davinci{npu}" for npu in range(settings.npus_per_host)]
    npu_smi = [settings.npu_smi_path] if settings.npu_smi_path else NPU_SMI_PLACES
    hccn_tool = [settings.hccn_tool_path] if settings.hccn_tool_path else HCCN_TOOL_PLACES
    return [
        {"key": "program/npu-smi", "stat": [place for place in npu_smi if "/" in place]},
        {"key": "program/hccn_tool", "stat": [place for place in hccn_tool if "/" in place]},
        {"key": "driver/version", "file": "{driver_root}/driver/version.info"},
        {"key": "firmware/version", "file": "{firmware_root}/firmware/version.info"},
        {"key": "hccn-configuration", "file": "/etc/hccn.conf"},
        {"key": "install-info", "file": INSTALL_INFO},
        {
            "key": "devices",
            "stat": [*nodes, "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc", "/dev/davinci[0-9]*"],
        },
    ]


def _disks(settings: Settings) -> list[Item]:
    """The model's disk is that of the directory it stands in: a transfer writes beside it and renames."""
    return [
        {"key": "disk/model", "disk": below(settings.model_path)},
        {"key": "disk/state", "disk": settings.state_directory},
    ]


def _system() -> list[Item]:
    """The operating system. Of the socket tables only listening ones are wanted: a busy host has many others."""
    listening = r"^\s*(sl\s|\d+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:[0-9A-F]+ 0A )"
    return [
        {"key": "uname", "command": ["uname", "-snrm"], "timeout": 10},
        {"key": "page-size", "command": ["getconf", "PAGE_SIZE"], "timeout": 10},
        {"key": "os-release", "file": ["/etc/os-release", "/usr/lib/os-release"]},
        {"key": "meminfo", "file": "/proc/meminfo"},
        {"key": "modules", "file": "/proc/modules"},
        {"key": "addresses/4", "file": "/proc/net/fib_trie"},
        {"key": "addresses/6", "file": "/proc/net/if_inet6"},
        {"key": "interfaces", "command": ["ip", "-o", "address", "show"], "timeout": 10},
        {"key": "ports/4", "file": "/proc/net/tcp", "lines": listening},
        {"key": "ports/6", "file": "/proc/net/tcp6", "lines": listening},
    ]


def _weights(path: str) -> list[Item]:
    """The model directory, by listing only: a check never reads a terabyte."""
    return [
        {"key": "weights", "directory": path},
        {"key": "weights/incoming", "directory": incoming_directory(path)},
        {"key": "weights/config", "file": f"{path.rstrip('/')}/config.json"},
    ]
