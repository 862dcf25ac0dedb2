"""The host's own network: its address, the interface that has it, its name, its firewall."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts, InterfaceState, KernelFacts, SystemFacts, Unknown
from mindie_deploy.hosts.hccl_ports import hccl_ports
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.majority import odd_hosts
from mindie_deploy.preflight.registry import check

DOWN = ("down", "lowerlayerdown", "notpresent")
GLOO, HCCL, HCCL_ADDRESS = "GLOO_SOCKET_IFNAME", "HCCL_SOCKET_IFNAME", "HCCL_IF_IP"


@check(
    "net.address-present",
    title="the address in the inventory is on no interface of the host",
    severity="block",
    command="/proc/net/fib_trie, /proc/net/if_inet6",
    needs=("system",),
    unknown="info",
    why="The rank table names every host by this address, and the daemon looks itself up in it and binds to it. An "
    "address that is translated on the way is unknown to the host itself.",
    remedy="ip -o address shows the host's addresses. Set mindie_host_address of the host to the one by which the "
    "other hosts reach it; ansible_host may stay another one.",
    source="MindIE-LLM, ranktable_config.cpp; HCCL user guide",
)
def address_present(host: HostFacts, context: Context) -> Iterator[Problem]:
    address = _address(host, context)
    if address is None or isinstance(host.system, Unknown):
        return
    own = host.system.addresses
    if ipaddress.ip_address(address).is_loopback:
        if context.size > 1:
            yield Problem(host.name, f"{address} leads every host to itself", title="the address is no host's own")
    elif isinstance(own, Unknown):
        yield Problem(host.name, own.reason, kind="unknown")
    elif not own:
        yield Problem(host.name, "the host shows no addresses", kind="unknown")
    elif ipaddress.ip_address(address) not in {ipaddress.ip_address(text) for text in own}:
        yield Problem(host.name, f"{address} is not among {', '.join(own[:8])}")


@check(
    "net.interface",
    title="the network interface with the host's address is not as it should be",
    severity="warn",
    scope="cluster",
    command="/sys/class/net/*/operstate and mtu",
    needs=("system", "surroundings.kernel"),
    caused_by=("os.kernel-values", "net.address-present"),
    unknown="info",
    why="Ranks find one another over it. Packets larger than one side takes get lost where the sizes (MTU) differ, "
    "which looks like a hang; an interface that is down carries nothing.",
    remedy="ip -s link show dev NAME; ip link set dev NAME up; ip link set dev NAME mtu 1500 (or the value of the "
    "others). Make it lasting in the network's configuration.",
    source="practice",
)
def interface(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    sizes: dict[str, str] = {}
    for name, host in hosts.items():
        found = _interface(host, context)
        if found is None:
            continue
        card, state = found
        if state.state in DOWN:
            title = "the network interface with the host's address is down"
            yield Problem(name, f"{card} is {state.state}", title=title)
        if state.mtu is not None:
            sizes[name] = f"MTU {state.mtu}"
    for problem in odd_hosts(sizes, "the interface has"):
        title = "the network interface's MTU differs between hosts"
        yield Problem(problem.host, problem.says, title=title)


@check(
    "net.interface-named",
    title="a variable names a network interface or an address that the host does not have",
    severity="block",
    command="mindie_environment, /sys/class/net",
    caused_by=("os.kernel-values",),
    unknown="info",
    why=f"{GLOO} and {HCCL} are found out for every host; a value in mindie_environment replaces them on all. gloo and "
    "HCCL end where it fits nothing.",
    remedy=f"Remove {GLOO}, {HCCL} and {HCCL_ADDRESS} from mindie_environment; ip -br address shows the interfaces.",
    source="HCCL user guide (EI0001, EI0006); PyTorch's documentation of gloo",
)
def named(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Judged only where the user sets such a variable."""
    kernel, environment = host.surroundings.kernel, context.settings.environment
    gloo, hccl, address = (str(environment.get(name, "")) for name in (GLOO, HCCL, HCCL_ADDRESS))
    if (gloo or hccl) and isinstance(kernel, Unknown):
        yield Problem(host.name, kernel.reason, kind="unknown")
    elif isinstance(kernel, KernelFacts) and kernel.interfaces:
        words = [word.strip() for word in gloo.split(",") if word.strip()]
        missing = [word for word in words if word not in kernel.interfaces]
        if missing:
            yield Problem(host.name, f"{GLOO}={gloo}, there is no {', '.join(missing)}")
        if hccl and not _hccl_fits(hccl, kernel.interfaces):
            yield Problem(host.name, f"{HCCL}={hccl} fits none of {', '.join(sorted(kernel.interfaces)[:8])}")
    addresses = host.system.addresses if isinstance(host.system, SystemFacts) else ()
    if not address:
        return
    if isinstance(addresses, Unknown):
        yield Problem(host.name, addresses.reason, kind="unknown")
    elif addresses and _as_kernel(address) not in addresses:
        yield Problem(host.name, f"{HCCL_ADDRESS}={address} is no address of the host")


@check(
    "os.resolve",
    title="the host's own name leads to no address that other hosts could use",
    severity="info",
    command="getent ahosts $(uname -n)",
    needs=("surroundings.own_name",),
    why='Programs that look up their own name then offer 127.0.0.1 to the others ("Connection refused, '
    "local=[127.0.0.1]\"). MindIE's variables name the address and the interface, so it does no harm here.",
    remedy="In /etc/hosts give the host's name to its address, and remove it from the lines of 127.0.0.1 and "
    "127.0.1.1.",
    source="MindIE's FAQ (gloo, Connection refused)",
)
def resolve(host: HostFacts, context: Context) -> Iterator[Problem]:
    """A warning only where the interface is not known: then nothing keeps gloo from the name."""
    own = host.surroundings.own_name
    if isinstance(own, Unknown) or any(not ipaddress.ip_address(text).is_loopback for text in own):
        return
    says = f"it leads to {', '.join(own)}" if own else "it is in no database of names"
    alone = context.size < 2 or GLOO in context.settings.environment
    address = _address(host, context)
    known = isinstance(host.system, SystemFacts) and address in host.system.interfaces
    if alone or known or not own:
        yield Problem(host.name, says)
    else:
        why = f"{says}; the interface with {address} is not known, so {GLOO} stays unset"
        yield Problem(host.name, why, severity="warn")


@check(
    "os.firewall",
    title="the host's firewall refuses what it does not know",
    severity="info",
    command="nft list ruleset, iptables -S INPUT, firewall-cmd --list-all",
    needs=("surroundings.firewall",),
    why="Between the hosts MindIE's ports and those of HCCL (from 60000 on) must be open. The leader's ports, and one "
    "of HCCL's on each host, are tried from every other host; this says where to look when one fails.",
    remedy="Let the other hosts in: firewall-cmd --permanent --zone=trusted --add-source=ADDRESS, then firewall-cmd "
    "--reload; or ufw allow from ADDRESS.",
    source="MindIE's FAQ; HCCL user guide",
)
def firewall(host: HostFacts, context: Context) -> Iterator[Problem]:
    """A warning where the ports were not tried, so that nothing else would find out."""
    found = host.surroundings.firewall
    if isinstance(found, Unknown) or not found.refusing:
        return
    tried = context.settings.check_ports and hccl_ports(context.settings) is not None
    untried = context.size > 1 and not tried
    yield Problem(host.name, "; ".join(found.refusing), severity="warn" if untried else None)


def _address(host: HostFacts, context: Context) -> str | None:
    return next((one.address for one in context.hosts if one.name == host.name), None)


def _as_kernel(text: str) -> str:
    """Returns an address in its usual form, any other text as it is."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _interface(host: HostFacts, context: Context) -> tuple[str, InterfaceState] | None:
    """Returns the interface that has the host's address, by name, None where it is not known."""
    kernel = host.surroundings.kernel
    if not isinstance(kernel, KernelFacts) or isinstance(host.system, Unknown):
        return None
    name = host.system.interfaces.get(_address(host, context) or "", "")
    state = kernel.interfaces.get(name)
    return None if state is None else (name, state)


def _hccl_fits(text: str, interfaces: Mapping[str, InterfaceState]) -> bool:
    """HCCL's forms: "eth" (names that begin so), "=eth0" (that name), "^eth" and "^=eth0" (all others)."""
    others = text.startswith("^")
    exactly = text.lstrip("^").startswith("=")
    words = [word.strip() for word in text.lstrip("^").removeprefix("=").split(",") if word.strip()]

    def fits(name: str) -> bool:
        return any(name == word if exactly else name.startswith(word) for word in words)

    return any(fits(name) != others for name in interfaces if name != "lo")
