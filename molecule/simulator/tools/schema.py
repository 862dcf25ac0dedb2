"""The form of a host's state file: every field, its default, range, meaning; docs/simulator-state.md is made of it."""

from __future__ import annotations

from .fields import Table, address, free, number, rows, section, switch, text, values, whole
from .schema_npu import NPU

VERSION_RANGE = "list of [lowest, highest] pairs; compared as text, as the driver does: [24.1, 24.1.] takes all of 24.1"

DRIVER: Table = {
    "version": text("25.2.0", "driver version: banner, `-t board`, driver/version.info"),
    "tool_version": text(None, "what npu-smi calls itself; null: the driver's version", none=True),
    "file_version": text(
        None, "Version= in driver/version.info where it differs (an upgrade without reboot); null: the same", none=True
    ),
    "inner_version": text("V100R001C22SPC002B220", "Innerversion= in driver/version.info"),
    "compatible_firmware": values(
        [["7.0.0", "7.8.99"]], f"compatible_version_fw= in driver/version.info, {VERSION_RANGE}", of="free"
    ),
    "install_status": text(
        "complete", "Driver_Install_Status= in ascend_install.info; null: line missing, npu-smi warns", none=True
    ),
    "loaded": switch(True, "false: the driver finds no device (npu-smi ends with -8005), no device nodes"),
    "version_file": switch(True, "driver/version.info exists"),
}

FIRMWARE: Table = {
    "version": text("7.8.0.5.216", "firmware version: `-t board`, firmware/version.info"),
    "package_version": text("25.2.0", "package_version= in firmware/version.info"),
    "compatible_driver": values(
        [["23.0.0", "23.0.0."], ["24.0", "24.0."], ["24.1", "24.1."], ["25.0", "25.0."], ["25.2", "25.2."]],
        f"compatible_version_drv= in firmware/version.info, {VERSION_RANGE}",
        of="free",
    ),
    "version_file": switch(True, "firmware/version.info exists"),
}

DIALECT: Table = {
    "table": text(
        "neutral",
        "`npu-smi info`: neutral = 98 columns (drivers up to 25.x), default = 99, wide = 116 (26.0)",
        words=("neutral", "default", "wide"),
    ),
    "processes": text(
        "shown",
        "`npu-smi info`: whether a table of processes follows; a public capture of 26.0 has none",
        words=("shown", "absent"),
    ),
    "topology": text(
        "hccs",
        "`-t topo`: hccs = as captured from old drivers, xlink = 98-column build of the newest source, "
        "nic = its default build with NIC columns",
        words=("hccs", "xlink", "nic"),
    ),
    "records": text(
        "current",
        "`-t ecc`, `-t usages`: current = newest source; older = with DDR counters, without the last two usages rows",
        words=("current", "older"),
    ),
    "hccn": text(
        "current",
        "hccn_tool: current = newest source; older = `netdetect address:`, `Socket failed`, no link down count",
        words=("current", "older"),
    ),
}

PROGRAM: Table = {
    "path": text("", "where the program stands", pattern="(/[^/]+)+"),
    "is": text(
        "program",
        "program; missing; directory (what a container bind of a missing file leaves behind)",
        words=("program", "missing", "directory"),
    ),
}

TOPOLOGY: Table = {
    "link": text("HCCS", "link between two NPUs", words=("HCCS", "PIX", "PXB", "PHB", "SYS", "NA")),
    "pairs": rows(
        {
            "npus": values([], "two NPU ids", of="whole"),
            "link": text("PIX", "their link", words=("HCCS", "PIX", "PXB", "PHB", "SYS", "NA")),
        },
        "pairs that differ",
    ),
    "cpus": values(
        ["144-167", "0-23", "144-167", "0-23", "96-119", "48-71", "96-119", "48-71"], "CPU affinity by NPU id"
    ),
}

FILES: Table = {
    "hccn_conf": section(
        {
            "present": switch(True, "/etc/hccn.conf exists"),
            "lines": free({}, "keys that differ from the live state, e.g. address_5; null removes a line"),
            "text": text(None, "the whole file as it is (broken files); null: made of the live state", none=True),
        },
        "/etc/hccn.conf",
    ),
    "install_info": section(
        {
            "present": switch(True, "/etc/ascend_install.info exists"),
            "driver_path": text("/usr/local/Ascend", "Driver_Install_Path_Param= in it"),
        },
        "/etc/ascend_install.info",
    ),
    "devices": section(
        {
            "missing": values([], "device nodes that are not there, by name below /dev", pattern="[a-z0-9_]+"),
            "mode": text("0660", "permission bits", pattern="0[0-7]{3}"),
            "group": text("HwHiAiUser", "owner and group: HwHiAiUser or root", words=("HwHiAiUser", "root")),
        },
        "/dev/davinci0.., davinci_manager, devmm_svm, hisi_hdc",
    ),
}

OVERRIDE: Table = {
    "tool": text("hccn_tool", "whose answer changes", words=("npu-smi", "hccn_tool")),
    "match": text("", "regular expression searched in the arguments joined by blanks; empty: every call"),
    "times": whole(
        None, "only the first N matching calls (counted since the state last changed); null: all", low=1, none=True
    ),
    "delay_s": number(0.0, "waits so long before it answers", low=0, high=86400),
    "hang": switch(False, "never answers (until killed)"),
    "busy": switch(False, "hccn_tool: the device is busy with another command"),
    "stdout": text(None, "standard output instead of the true one", none=True),
    "stderr": text(None, "standard error instead of the true one", none=True),
    "exit_status": whole(None, "exit status instead of the true one", low=0, high=255, none=True),
}

PROCESS: Table = {
    "npu": whole(0, "NPU id", low=0, high=63),
    "mib": whole(0, "HBM it holds, MiB", low=0),
    "aicore": whole(0, "AICore rate it causes, percent", low=0, high=100),
    "name": text("python3", "process name, at most 15 characters", pattern=".{1,15}"),
}

MINDIE_FIELDS = "knobs of the simulated MindIE daemon, written as they are to driver/.simulated-mindie.json"

HOST: Table = {
    "description": text("", "for people"),
    "driver": section(DRIVER, "driver package"),
    "firmware": section(FIRMWARE, "firmware package"),
    "dialect": section(DIALECT, "which published form the tools print"),
    "npu_smi": section({**PROGRAM, "path": text("/usr/local/bin/npu-smi", PROGRAM["path"].meaning)}, "npu-smi"),
    "hccn_tool": section(
        {**PROGRAM, "path": text("/usr/local/Ascend/driver/tools/hccn_tool", PROGRAM["path"].meaning)}, "hccn_tool"
    ),
    "npus": rows(NPU, "the NPUs by id; see below"),
    "topology": section(TOPOLOGY, "links between the NPUs of the host"),
    "files": section(FILES, "files and device nodes that apply.py makes"),
    "pace": section(
        {
            "npu_smi_s": number(0.0, "time of one npu-smi call", low=0, high=600),
            "hccn_s": number(0.02, "time one hccn_tool call holds its device", low=0, high=600),
            "ping_s": number(0.02, "time between two packets of a ping (about 1 s on real devices)", low=0, high=60),
            "dead_device_s": number(300.0, "how long hccn_tool asks a device that does not answer", low=0, high=600),
        },
        "how slow the tools are, seconds",
    ),
    "tools": rows(OVERRIDE, "answers that differ; the first rule that matches a call counts"),
    "foreign_processes": rows(PROCESS, "real processes that apply.py starts and that claim HBM"),
    "ports": section(
        {"taken": values([], "TCP ports that apply.py holds with a listener", of="whole", low=1, high=65535)}, "ports"
    ),
    "clock": section(
        {
            "offset_s": number(
                0.0,
                "shifts time.time() and time.time_ns() of every python3 on the host (not `date`, not the kernel)",
                low=-1e9,
                high=1e9,
            )
        },
        "clock",
    ),
    "engine": section({"running": switch(True, "the Docker engine runs")}, "container engine; enacted by the cluster"),
    "image": section({"present": switch(True, "the MindIE image is loaded")}, "image; enacted by the cluster"),
    "weights": section(
        {
            "fault": text("none", "what is wrong with the model directory", words=("none", "missing", "fp8", "shard")),
        },
        "weights; enacted by the cluster",
    ),
    "disk": section(
        {"limit_mib": whole(None, "size of the filesystem of the weights; null: the machine's", low=1, none=True)},
        "disk; enacted by the cluster",
    ),
    "firewall": section(
        {"drop_ports": values([], "TCP ports dropped from other hosts", of="whole", low=1, high=65535)},
        "firewall; enacted by the cluster",
    ),
    "mindie": free({}, MINDIE_FIELDS),
}

ADDRESS_KEYS = ("address", "netmask", "netdetect", "gateway")  # of /etc/hccn.conf, in the order of public captures
__all__ = ["ADDRESS_KEYS", "HOST", "address"]
