"""The operating system of a host: name, kernel, release, memory, modules, addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from mindie_deploy.hosts import answer as answers
from mindie_deploy.hosts.answer import FileText, Missing
from mindie_deploy.hosts.facts import Reading, SystemFacts, Unknown
from mindie_deploy.hosts.files import os_release
from mindie_deploy.hosts.text import clean, lines_of, whole


def system(collection: Mapping[str, object]) -> Reading[SystemFacts]:
    """Reads the system's items. Without the kernel's own words there is no system; the rest may be missing."""
    named = answers.command(collection, "uname")
    if isinstance(named, Unknown):
        return named
    words = clean(named.stdout).split()
    if named.status != 0 or len(words) != 4:
        return named.failure("uname")
    release = os_release(answers.file_text(collection, "os-release"))
    release_values = {} if isinstance(release, Unknown) else release
    memory = _memory(answers.file_text(collection, "meminfo"))
    return SystemFacts(
        hostname=words[1],
        kernel=words[2],
        architecture=words[3],
        os_id=release_values.get("ID"),
        os_version=release_values.get("VERSION_ID"),
        os_name=release_values.get("PRETTY_NAME"),
        python=answers.text_of(collection.get("python")),
        memory_total_bytes=memory.get("MemTotal"),
        memory_available_bytes=memory.get("MemAvailable"),
        page_size=_page_size(answers.command(collection, "page-size")),
        modules=_modules(answers.file_text(collection, "modules")),
        addresses=_addresses(
            answers.file_text(collection, "addresses/4"), answers.file_text(collection, "addresses/6")
        ),
        interfaces=_interfaces(answers.command(collection, "interfaces")),
    )


def _memory(source: FileText | Missing | Unknown) -> dict[str, int]:
    """Returns the sizes of /proc/meminfo in bytes; the file has them in KiB."""
    if not isinstance(source, FileText):
        return {}
    found = re.findall(r"^(\w+):\s+(\d{1,15}) kB$", clean(source.text), re.MULTILINE | re.ASCII)
    return {key: int(value) * 1024 for key, value in found}


def _page_size(answer: answers.Answer | Unknown) -> int | None:
    """Returns the page size in bytes; a power of two, or it is none."""
    size = None if isinstance(answer, Unknown) or answer.status != 0 else whole(answer.stdout.strip())
    return size if size and size & (size - 1) == 0 else None


def _modules(source: FileText | Missing | Unknown) -> tuple[str, ...] | None:
    """Returns the names of the loaded kernel modules, None where the list is not whole."""
    if not isinstance(source, FileText) or source.truncated:
        return None
    return tuple(line.split()[0] for line in lines_of(source.text) if line.strip())


def _addresses(
    version_4: FileText | Missing | Unknown, version_6: FileText | Missing | Unknown
) -> Reading[tuple[str, ...]]:
    """Returns the host's addresses, without loopback and link-local ones; unknown where a list is not whole.

    IPv4 from /proc/net/fib_trie, where a local address is a leaf above "/32 host LOCAL"; no program is needed. A host
    without IPv6 has no list of it.
    """
    if isinstance(version_4, Missing):
        return Unknown(f"{version_4.path} does not exist")
    for source in (version_4, version_6):
        if isinstance(source, Unknown):
            return source
        if isinstance(source, FileText) and source.truncated:
            return Unknown(f"{source.path} is longer than what was read")
    found: list[str] = []
    if isinstance(version_4, FileText):
        leaf = ""
        for line in lines_of(version_4.text):
            if match := re.fullmatch(r"[ |]*\|-- ([0-9.]{7,15})", line):
                leaf = match.group(1)
            elif line.strip() == "/32 host LOCAL":
                found.append(leaf)
    if isinstance(version_6, FileText):
        for line in lines_of(version_6.text):
            if match := re.match(r"([0-9a-f]{32}) ", line):
                found.append(str(ipaddress.IPv6Address(bytes.fromhex(match.group(1)))))
    return tuple(dict.fromkeys(address for address in found if _reaches_others(address)))


def _interfaces(answer: answers.Answer | Unknown) -> dict[str, str]:
    """Returns the interface of each address from `ip -o address show`: "2: eth0    inet 10.0.0.2/24 brd ..."."""
    if isinstance(answer, Unknown) or answer.status != 0:
        return {}
    rows = re.findall(
        r"^\d+: ([\w.@-]{1,40}) +inet6? ([0-9a-f.:]{2,45})/", clean(answer.stdout), re.MULTILINE | re.ASCII
    )
    return {address: name.split("@")[0] for name, address in rows if _reaches_others(address)}


def _reaches_others(text: str) -> bool:
    """Tells whether other hosts could use an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)
