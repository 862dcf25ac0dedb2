"""What is asked of the NPUs: calls of npu-smi and hccn_tool, and files of the driver.

npu-smi calls share one exclusive word because the driver serves them one after another and a stuck device blocks them
all; a device takes one hccn_tool command at a time, different devices take theirs at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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
# In the order in which each device is asked. The counters are read first and last: what grows between is happening now.
HCCN_QUERIES = (
    "stat", "ip", "link", "net_health", "netdetect", "gateway", "tls", "speed", "mtu",
    "cfg", "lldp", "optical", "link_stat", "stat-later",
)  # fmt: skip
QUERY_WORDS = {"cfg": ["-cfg", "status"], "stat-later": ["-stat", "-g"]}  # where they are not the key's own and -g
TABLE_TIMEOUT_S = 60  # practice: npu-smi info takes 1 to 3 s, minutes or for ever when a device is stuck
NPU_SMI_TIMEOUT_S = 20
BUS_TIMEOUT_S = 15
HCCN_TIMEOUT_S = 15  # the tool itself would ask a dead device for five minutes

# Numbers, not names: the names depend on the host's list of PCI devices. Small systems have no lspci; the kernel's own
# files say the same, and are printed in lspci's form.
BUS_SCRIPT = r"""
lspci -n -d 19e5: 2>/dev/null && exit
cd /sys/bus/pci/devices || exit
for address in *; do
    vendor= device= class=
    read -r vendor < "$address/vendor" && [ "$vendor" = 0x19e5 ] || continue
    read -r device < "$address/device" && read -r class < "$address/class" || continue
    class=${class#0x}
    printf '%s %.4s: 19e5:%s\n' "$address" "$class" "${device#0x}"
done 2>/dev/null
true
"""
MANAGEMENT_LIBRARY = "/usr/local/dcmi/libdcmi.so"  # the container mounts its directory; npu-smi in it needs the file

BUSY_WORDS = [r"is busy", r"Please try again", r"please try again later", r"occupied\. Please try"]
# -ip and -net_health turn busy into these; for others they are a failure that is worth a second look. A ping says the
# first one whenever it loses a packet.
FAILURE_WORDS = [r"cmd line execute timeout", r"Command execute failed!"]


def npu_smi_items(npus: int) -> list[Item]:
    """The table first: it is what everything else leans on when the time runs out."""
    items = [_npu_smi_item("npu-smi/info", ["info"], TABLE_TIMEOUT_S)]
    for npu in range(npus):
        items.append(_npu_smi_item(f"npu-smi/board/{npu}", ["info", "-t", "board", "-i", str(npu)], NPU_SMI_TIMEOUT_S))
    for npu in range(npus):
        words = ["info", "-t", "health", "-i", str(npu), "-c", "0"]
        items.append(_npu_smi_item(f"npu-smi/health/{npu}", words, NPU_SMI_TIMEOUT_S))
    for npu in range(npus):
        items.append(_npu_smi_item(f"npu-smi/ecc/{npu}", ["info", "-t", "ecc", "-i", str(npu)], NPU_SMI_TIMEOUT_S))
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


def hccn_items(npus: int) -> list[Item]:
    """Every query of every device; the module orders them by what is free."""
    return [
        hccn_item(f"hccn/{npu}/{query}", npu, QUERY_WORDS.get(query, [f"-{query}", "-g"]), HCCN_TIMEOUT_S)
        for query in HCCN_QUERIES
        for npu in range(npus)
    ]


def hccn_item(key: str, npu: int, words: list[str], timeout: int, again: Sequence[str] = FAILURE_WORDS) -> Item:
    """One call of hccn_tool for a device; once more where it was busy, or where a pattern of `again` is in its text."""
    return {
        "key": key,
        "command": ["hccn_tool", "-i", str(npu), *words],
        "timeout": timeout,
        "exclusive": f"hccn/{npu}",
        "retries": {"times": 3, "patterns": [*BUSY_WORDS, *again], "pause": 0.5},
        "environment": _libraries(),
    }


def library_path(driver_root: str) -> str:
    """Returns where the driver's libraries are below its root, in the form of LD_LIBRARY_PATH."""
    return ":".join(f"{driver_root}/driver/{place}" for place in ("lib64", "lib64/common", "lib64/driver"))


def _libraries() -> dict[str, str]:
    """The driver's libraries, for a login that does not set them. A host's own value counts first."""
    return {"LD_LIBRARY_PATH": library_path("{driver_root}")}


def driver_items(settings: Settings) -> list[Item]:
    """Files of the driver and the firmware, device nodes, and what stands where the programs should be."""
    nodes = [f"/dev/davinci{npu}" for npu in range(settings.npus_per_host)]
    npu_smi = [settings.npu_smi_path] if settings.npu_smi_path else NPU_SMI_PLACES
    hccn_tool = [settings.hccn_tool_path] if settings.hccn_tool_path else HCCN_TOOL_PLACES
    return [
        {"key": "program/npu-smi", "stat": [place for place in npu_smi if "/" in place]},
        {"key": "program/hccn_tool", "stat": [place for place in hccn_tool if "/" in place]},
        {"key": "bus", "command": ["sh", "-c", BUS_SCRIPT], "timeout": BUS_TIMEOUT_S},
        {"key": "management-library", "stat": [MANAGEMENT_LIBRARY]},
        {"key": "driver/version", "file": "{driver_root}/driver/version.info"},
        {"key": "firmware/version", "file": "{firmware_root}/firmware/version.info"},
        {"key": "hccn-configuration", "file": "/etc/hccn.conf"},
        {"key": "install-info", "file": INSTALL_INFO},
        {
            "key": "devices",
            "stat": [*nodes, "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc", "/dev/davinci[0-9]*"],
        },
    ]
