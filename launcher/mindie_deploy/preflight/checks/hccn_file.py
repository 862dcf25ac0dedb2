"""/etc/hccn.conf: present, and as the NPUs' RoCE ports (HCCN) really are set."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.hosts.facts import Absent, HostFacts, Unknown
from mindie_deploy.preflight.checks.hccn import SOURCE, parse_address
from mindie_deploy.preflight.context import Context, known_hccn
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

SET_AGAIN = {
    "netmask": "hccn_tool -i N -ip -s address A netmask M",
    "gateway": "hccn_tool -i N -gateway -s gateway A",
    "netdetect": "hccn_tool -i N -netdetect -s address A",
}


@check(
    "hccn.conf-present",
    title="/etc/hccn.conf lacks addresses",
    severity="block",
    command="/etc/hccn.conf",
    caused_by=("npu.count", "hccn.tool-responds", "hccn.ip-present", "hccn.ip-unique"),
    why="The container mounts this file, and the NPUs take their addresses from it after a reset.",
    remedy="Set the addresses with hccn_tool -i N -ip -s address A netmask M, which writes the file too.",
    source="MindIE's four-host guide; GPUStack's tutorial",
)
def conf_present(host: HostFacts, context: Context) -> Iterator[Problem]:
    configuration = host.hccn_configuration
    if isinstance(configuration, Absent):
        remedy = (
            "hccn_tool -i N -ip -g shows the addresses in use. Set each of them again with hccn_tool -i N -ip -s "
            "address A netmask M, which writes the file. Until it is there, start no container: the engine would make "
            "an empty directory in its place."
        )
        yield Problem(host.name, configuration.reason, title="/etc/hccn.conf is missing", remedy=remedy)
        return
    if isinstance(configuration, Unknown):
        yield Problem(host.name, configuration.reason, kind="unknown")
        return
    for index in context.npus:
        lacking = [
            f"{key}_{index}"
            for key, values in (("address", configuration.address), ("netmask", configuration.netmask))
            if index not in values
        ]
        if lacking:
            # The running address, if there is one, serves this launch: only the next reset loses it.
            title = "/etc/hccn.conf lacks addresses: the next reset loses them"
            yield Problem(host.name, f"no {' and no '.join(lacking)}", index, severity="warn", title=title)


@check(
    "hccn.conf-live",
    title="/etc/hccn.conf differs from what the NPU uses",
    severity="warn",
    command="/etc/hccn.conf and hccn_tool -i N -ip -g, -gateway -g, -netdetect -g",
    needs=("hccn_configuration", "hccn.address"),
    caused_by=(
        "hccn.ip-present",
        "hccn.ip-unique",
        "hccn.subnet",
        "hccn.gateway",
        "hccn.netdetect",
        "hccn.conf-present",
    ),
    why="After the next reset or reboot the NPU has another address than the rank table.",
    remedy="Decide which is right; set it with hccn_tool -i N -ip -s address A netmask M, which writes both.",
    source=SOURCE,
)
def conf_live(host: HostFacts, context: Context) -> Iterator[Problem]:
    configuration = host.hccn_configuration
    if isinstance(configuration, Unknown):
        return
    for index, address in known_hccn(host, context, "address").items():
        kept = configuration.address.get(index)
        if kept is not None and parse_address(address) != parse_address(kept):
            yield Problem(host.name, f"the file has {kept}, the NPU {address or 'none'}", index)
            continue
        for name, file, live in (
            ("netmask", configuration.netmask.get(index), host.hccn[index].netmask),
            ("gateway", configuration.gateway.get(index), host.hccn[index].gateway),
            ("netdetect", configuration.netdetect.get(index), host.hccn[index].netdetect),
        ):
            if file is not None and isinstance(live, str) and parse_address(live) != parse_address(file):
                title = f"/etc/hccn.conf has another {name} than the NPU uses"
                remedy = f"Decide which is right, and set it: {SET_AGAIN[name]}, which writes both."
                yield Problem(
                    host.name, f"the file has {name} {file}, the NPU {live}", index, title=title, remedy=remedy
                )
