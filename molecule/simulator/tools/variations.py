"""Named variations of a healthy host: it looks other than the usual one, and nothing is wrong with it."""

from __future__ import annotations

from .fault_form import Fault
from .faults_host import HOST, IMAGE, MODEL_DIRECTORY

ELSEWHERE = "/data/elsewhere/DeepSeek-R1-BF16"
# As a distribution with Chinese as its language prints it, whatever the caller's locale says.
CHINESE_DF = "s/^Filesystem .*/文件系统       类型   1K-块     已用   可用 已用% 挂载点/"
PROXIES = (
    '{"proxies": {"default": {"httpProxy": "http://proxy.example:3128", "httpsProxy": "http://proxy.example:3128"}}}'
)
OPEN_FIREWALL = (
    "iptables -A INPUT -i lo -j ACCEPT && iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT && "
    "iptables -A INPUT -s \"$(ip -o route show dev eth0 scope link | cut -d' ' -f1)\" -j ACCEPT && "
    "iptables -P INPUT DROP"
)


def _everywhere(field: str, value: object) -> tuple[tuple[str, object], ...]:
    return ((f"npus.*.hccn.{field}", value),)


VARIATIONS: dict[str, Fault] = {
    "driver-26": Fault(
        "a driver of 2026 with its wide table and links in words of the newer kind", "",
        (("driver.version", "26.0.rc1"), ("driver.compatible_firmware", [["7.0.0", "8.9.99"]]),
         ("firmware.version", "8.1.0.1.220"), ("dialect.table", "wide"), ("dialect.topology", "nic")),
    ),
    "driver-24": Fault(
        "a driver of 2024, with the older answers of its tools", "",
        (("driver.version", "24.1.0"), ("firmware.version", "7.5.0.3.220"), ("dialect.records", "older"),
         ("dialect.hccn", "older")),
    ),
    "table-99": Fault("npu-smi prints the table of 99 columns", "", (("dialect.table", "default"),)),
    "links-in-other-words": Fault("npu-smi writes XLink for HCCS", "", (("dialect.topology", "xlink"),)),
    "npu-smi-in-sbin": Fault("npu-smi stands in /usr/local/sbin only", "",
                             (("npu_smi.path", "/usr/local/sbin/npu-smi"),)),
    "hccn-tool-in-usr-bin": Fault("hccn_tool stands in /usr/bin only", "", (("hccn_tool.path", "/usr/bin/hccn_tool"),)),
    "no-process-table": Fault("npu-smi prints no table of processes", "", (("dialect.processes", "absent"),)),
    "no-ecc": Fault("the boards do not tell bit errors", "", (("npus.*.ecc.supported", False),)),
    "warm-room": Fault("idle NPUs have 62 degrees and draw 125 W", "",
                       (("npus.*.temperature_c", 62), ("npus.*.power_w", 125.0))),
    "firmware-patch": Fault("the firmware is a later patch of the same release", "",
                            (("firmware.version", "7.8.0.7.221"),)),
    "firmware-patch-of-one-npu": Fault("one NPU has a later patch of the same firmware release", "",
                                       (("npus.{npu}.firmware_version", "7.8.0.7.221"),)),
    "tools-slow": Fault("a call of npu-smi takes 0.2 s, one of hccn_tool 0.1 s", "",
                        (("pace.npu_smi_s", 0.2), ("pace.hccn_s", 0.1))),
    "copper": Fault("the ports have copper cables: no optical module tells anything", "",
                    _everywhere("optical.present", False)),
    "no-lldp": Fault("the switches send no LLDP", "", _everywhere("lldp", None)),
    "wide-netmask": Fault("the NPUs' netmask is 255.255.0.0", "", _everywhere("netmask", "255.255.0.0")),
    "no-gateways": Fault("flat networks: no NPU has a gateway", "", _everywhere("gateway", None)),
    "jumbo-frames": Fault("all NPUs have MTU 9000", "", _everywhere("mtu", 9000)),
    "link-lost-long-ago": Fault(
        "a link was lost a month ago", "",
        _everywhere("link_history", [{"state": "UP", "ago_s": 8640000.0}, {"state": "DOWN", "ago_s": 2592000.0},
                                     {"state": "UP", "ago_s": 2591000.0}]),
    ),
    "hccn-conf-by-hand": Fault("/etc/hccn.conf has further lines", "",
                               (("files.hccn_conf.lines", {"IPv6address_0": "fe80::1", "bond_mode": "0"}),)),
    "clock-a-second-off": Fault("the host's clock is a second ahead", "", (("clock.offset_s", 1.0),)),
    "no-lspci": Fault("lspci is not installed", "", (), ((*HOST, "hide", "lspci"),), ((*HOST, "unhide", "lspci"),)),
    "no-ip": Fault("ip is not installed", "", (), ((*HOST, "hide", "ip"),), ((*HOST, "unhide", "ip"),)),
    "chinese": Fault(
        "the host speaks Chinese", "", (),
        (("sh", "-c", "echo LANG=zh_CN.UTF-8 > /etc/locale.conf"), (*HOST, "alter", "df", CHINESE_DF)),
        (("rm", "/etc/locale.conf"), (*HOST, "unalter", "df")),
    ),
    "symlinked-weights": Fault(
        "mindie_model_path is a link to another disk", "", (),
        (("mkdir", "-p", ELSEWHERE.rpartition("/")[0]), ("mv", MODEL_DIRECTORY, ELSEWHERE),
         ("ln", "-s", ELSEWHERE, MODEL_DIRECTORY)),
        (("rm", MODEL_DIRECTORY), ("mv", ELSEWHERE, MODEL_DIRECTORY)),
    ),
    "selinux-permissive": Fault(
        "SELinux is permissive", "", (),
        (("mkdir", "-p", "/etc/selinux"), ("sh", "-c", "echo SELINUX=permissive > /etc/selinux/config")),
        (("rm", "/etc/selinux/config"),),
    ),
    "open-firewall": Fault(
        "a firewall drops all but what comes from the hosts' own network", "", (), (("sh", "-c", OPEN_FIREWALL),),
        (("iptables", "-P", "INPUT", "ACCEPT"), ("iptables", "-F", "INPUT")),
    ),
    "docker-26": Fault(
        "the engine is Docker 26", "", (),
        ((*HOST, "alter", "docker", 's/"ServerVersion":"[^"]*"/"ServerVersion":"26.1.3"/'),),
        ((*HOST, "unalter", "docker"),),
    ),
    "monitoring-container": Fault(
        "a container of somebody else runs, without NPUs", "", (),
        (("docker", "run", "--detach", "--name=monitoring", "--network=host", "--entrypoint=sleep", IMAGE,
          "infinity"),),
        (("docker", "rm", "--force", "monitoring"),),
    ),
    "proxy": Fault(
        "the engine's client gives every container a proxy", "", (),
        (("mkdir", "-p", "/root/.docker"), ("sh", "-c", f"printf '%s' '{PROXIES}' >/root/.docker/config.json")),
        (("rm", "/root/.docker/config.json"),),
    ),
}  # fmt: skip
