"""The kernel's values, from the first lines of files of /proc and /sys."""

from __future__ import annotations

import re

from mindie_deploy.hosts.answer import Answer, FileText, Missing
from mindie_deploy.hosts.facts import InterfaceState, KernelFacts, Reading, Unknown
from mindie_deploy.hosts.port_ranges import Ranges, port_ranges
from mindie_deploy.hosts.text import assignments, lines_of, whole

NUMBERS = {
    "pid_max": "/proc/sys/kernel/pid_max",
    "threads_max": "/proc/sys/kernel/threads-max",
    "file_max": "/proc/sys/fs/file-max",
    "nr_open": "/proc/sys/fs/nr_open",
    "somaxconn": "/proc/sys/net/core/somaxconn",
    "conntrack_count": "/proc/sys/net/netfilter/nf_conntrack_count",
    "conntrack_max": "/proc/sys/net/netfilter/nf_conntrack_max",
}
GOVERNOR = re.compile(r"/sys/devices/system/cpu/cpufreq/policy[0-9]{1,5}/scaling_governor")
INTERFACE = re.compile(r"/sys/class/net/(?P<name>[^/\s]{1,15})/(?P<what>mtu|operstate)")
INSTALLED = re.compile(r"(?P<release>[0-9][A-Za-z0-9._+~-]{0,99}) (?P<has>driver|none)", re.ASCII)
STATES = ("up", "down", "unknown", "dormant", "testing", "lowerlayerdown", "notpresent")
HUGE_PAGES = re.compile(r"\[(always|madvise|never)\]")
SELINUX = {"0": False, "1": True}
# What firmware says where nobody filled it in.
NO_PRODUCT = re.compile(
    r"to be filled|default string|not specified|system product name|^(none|n/a|-+|\.+)?$", re.IGNORECASE
)


def kernel(
    answer: Answer | Unknown, cgroups: FileText | Missing | Unknown, locale: FileText | Missing | Unknown
) -> Reading[KernelFacts]:
    """Reads lines of a path, a colon and its first line. What a host has not, or shows in no known form, stays None."""
    if isinstance(answer, Unknown):
        return answer
    values: dict[str, str] = {}
    for line in lines_of(answer.stdout):
        path, colon, text = line.partition(":")
        if colon:
            values[path] = text.strip()
    if answer.status != 0 or answer.truncated or not any(path.startswith("/proc/sys/") for path in values):
        return answer.failure("reading /proc/sys")
    numbers = {name: whole(values.get(path, "")) for name, path in NUMBERS.items()}
    huge_pages = HUGE_PAGES.search(values.get("/sys/kernel/mm/transparent_hugepage/enabled", ""))
    return KernelFacts(
        transparent_huge_pages=huge_pages[1] if huge_pages else None,
        governors=_governors(values),
        selinux_enforcing=SELINUX.get(values.get("/sys/fs/selinux/enforce", "")),
        product=_product(values.get("/sys/class/dmi/id/product_name", "")),
        interfaces=_interfaces(values),
        device_cgroup=_device_cgroup(cgroups),
        locale=_locale(locale),
        ephemeral_ports=_ephemeral_ports(values.get("/proc/sys/net/ipv4/ip_local_port_range")),
        reserved_ports=_reserved_ports(values.get("/proc/sys/net/ipv4/ip_local_reserved_ports")),
        **numbers,
    )


def installed_kernels(answer: Answer) -> Reading[dict[str, bool]]:
    """Reads lines of a release and "driver" or "none"; without /lib/modules, as in a container, there are no lines."""
    if answer.status != 0 or answer.truncated:
        return answer.failure("looking for installed kernels")
    return {
        found["release"]: found["has"] == "driver"
        for found in map(INSTALLED.fullmatch, lines_of(answer.stdout))
        if found
    }


def _ephemeral_ports(text: str | None) -> Ranges | None:
    """Reads the first and the last port."""
    words = (text or "").split()
    return port_ranges("-".join(words)) if len(words) == 2 else None


def _reserved_ports(text: str | None) -> Ranges | None:
    """Reads the list; an empty one is a value, too."""
    return None if text is None else port_ranges(text)


def _governors(values: dict[str, str]) -> dict[str, int]:
    """Returns how many policies each governor has."""
    found: dict[str, int] = {}
    for path, word in values.items():
        if GOVERNOR.fullmatch(path) and re.fullmatch(r"[a-z_]{1,32}", word):
            found[word] = found.get(word, 0) + 1
    return found


def _interfaces(values: dict[str, str]) -> dict[str, InterfaceState]:
    """Returns the interfaces by name."""
    told: dict[str, dict[str, str]] = {}
    for path, text in values.items():
        if match := INTERFACE.fullmatch(path):
            told.setdefault(match["name"], {})[match["what"]] = text
    return {
        name: InterfaceState(whole(parts.get("mtu", "")), _state(parts.get("operstate", "")))
        for name, parts in told.items()
    }


def _state(word: str) -> str | None:
    """Returns one of the kernel's words for the state of an interface, None for any other."""
    return word if word in STATES else None


def _product(text: str) -> str | None:
    """Returns the machine's name, None where the firmware holds a placeholder."""
    return None if NO_PRODUCT.search(text) else text[:80]


def _device_cgroup(source: FileText | Missing | Unknown) -> bool | None:
    """Reads the line of /proc/cgroups: name, hierarchy, number of groups, enabled."""
    if not isinstance(source, FileText):
        return None
    match = re.search(r"^devices\s+\d{1,9}\s+\d{1,9}\s+([01])$", source.text, re.MULTILINE | re.ASCII)
    return match[1] == "1" if match else None


def _locale(source: FileText | Missing | Unknown) -> str | None:
    """Returns LANG of the system's configuration."""
    if not isinstance(source, FileText) or source.truncated:
        return None
    value = assignments(source.text).get("LANG", "")
    return value if re.fullmatch(r"[A-Za-z0-9_.@-]{1,40}", value, re.ASCII) else None
