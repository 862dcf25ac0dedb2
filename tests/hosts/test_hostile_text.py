"""Text that no tool prints: mutated, cut, coloured, localised, random. Nothing raises, nothing has a wrong type."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mindie_deploy.hosts import (
    files,
    hccn_details,
    hccn_ping,
    hccn_tool,
    npu_counters,
    npu_overview,
    npu_smi,
    npu_topology,
    pci,
)
from mindie_deploy.hosts.answer import Answer, FileText
from mindie_deploy.hosts.facts import NpuOverview, Unknown
from tests.hosts.samples import samples
from tests.hosts.typecheck import mismatch

EXAMPLES = int(os.environ.get("MUTATIONS", "150"))

# Parser, what commands its samples have, how it is called beyond the answer.
PARSERS: dict[str, tuple[Callable[..., Any], str, tuple[Any, ...]]] = {
    "overview": (npu_overview.overview, r"npu-smi info", ()),
    "board": (npu_smi.board, r"npu-smi info .*board.*", (0,)),
    "health": (npu_smi.health, r"npu-smi info .*health.*", ()),
    "error codes": (npu_smi.error_codes, r"npu-smi info .*health.*", ()),
    "card health": (npu_smi.card_health, r"npu-smi info .*health.*", ()),
    "list": (npu_smi.listed, r"npu-smi info -l", ()),
    "map": (npu_smi.mapping, r"npu-smi info -m", ()),
    "version": (npu_smi.tool_version, r"npu-smi -v", ()),
    "topology": (npu_topology.topology, r"npu-smi info -t topo", ()),
    "counters": (npu_counters.counters, r"npu-smi info .*(usages|memory|common|power|ecc).*", ("counters",)),
    "processes": (npu_counters.processes, r"npu-smi info -t proc-mem.*", (3,)),
    "address": (hccn_tool.address, r".*-ip -g", ()),
    "netmask": (hccn_tool.netmask, r".*-ip -g", ()),
    "link": (hccn_tool.link_up, r".*-link -g", ()),
    "net health": (hccn_tool.net_health, r".*-net_health -g", ()),
    "netdetect": (hccn_tool.netdetect, r".*-netdetect -g", ()),
    "gateway": (hccn_tool.gateway, r".*-gateway -g", ()),
    "tls": (hccn_tool.tls, r".*-tls -g.*", (1,)),
    "speed": (hccn_tool.speed_mbps, r".*-speed -g", ()),
    "mtu": (hccn_tool.mtu, r".*-mtu -g", ()),
    "mac": (hccn_tool.mac, r".*-mac -g", ()),
    "ping": (hccn_ping.ping, r".*-ping -g.*", ()),
    "link history": (hccn_details.link_history, r".*-link_stat -g", ()),
    "statistics": (hccn_details.counters, r".*-(stat|hw_stats) -g", ()),
    "optics": (hccn_details.optics, r".*-optical -g.*", ()),
    "neighbour": (hccn_details.neighbour_port, r".*-lldp -g", ()),
    "vnic": (hccn_details.vnic, r".*-vnic -g", ()),
    "routes": (hccn_details.routes, r".*-route -g", ()),
    "configuration status": (hccn_details.configuration_status, r".*-cfg status", ()),
    "bus": (pci.bus, r"lspci .*", ()),
    "fec": (hccn_details.fec_mode, r".*-fec -g", ()),
}
FILES: dict[str, tuple[Callable[..., Any], str]] = {
    "version file": (files.version_file, r"cat .*version.info"),
    "hccn.conf": (files.hccn_configuration, r"cat /etc/hccn.conf"),
    "install info": (files.install_info, r"cat .*install.info"),
    "os release": (files.os_release, r"cat /etc/os-release"),
}
FRAGMENTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["\x1b[31m", "\x1b[0m", "\r\n", "\x00", "|", "| |", "0", "-1", "9" * 30, "NA", "健康", "：", "２", "\u2028"]
    ),
)


def texts_of(pattern: str) -> list[str]:
    found = [one.text for one in samples() if re.fullmatch(pattern, one.command) and one.text]
    assert found, pattern
    return found


@st.composite
def mutations(draw: st.DrawFn, texts: list[str]) -> str:
    """A sample with some pieces cut, doubled, swapped or replaced."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 80)))
        action = draw(st.sampled_from(["cut", "end", "double", "put", "replace", "line"]))
        if action == "cut":
            text = text[:start] + text[end:]
        elif action == "end":
            text = text[:start]
        elif action == "double":
            text = text[:end] + text[start:end] + text[end:]
        elif action == "put":
            text = text[:start] + draw(FRAGMENTS) + text[start:]
        elif action == "replace":
            text = text[:start] + draw(FRAGMENTS) + text[end:]
        else:
            lines = text.split("\n")
            del lines[draw(st.integers(0, len(lines) - 1))]
            text = "\n".join(lines)
    return text


@pytest.mark.parametrize("name", PARSERS)
def test_mutated_answers_never_break_a_parser(name: str) -> None:
    parser, pattern, arguments = PARSERS[name]
    wanted = get_type_hints(parser)["return"]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutations(texts_of(pattern)) | st.text(max_size=200), st.sampled_from([0, 0, 0, 1, 11, 187, 255]))
    def run(text: str, status: int) -> None:
        for answer in (Answer(status, text), Answer(status, "", text), Answer(status, text, text)):
            found = parser(answer, *arguments)
            assert mismatch(found, wanted) is None
            if isinstance(found, Unknown):
                assert found.reason.strip()

    run()


@pytest.mark.parametrize("name", FILES)
def test_mutated_files_never_break_a_parser(name: str) -> None:
    parser, pattern = FILES[name]
    wanted = get_type_hints(parser)["return"]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutations(texts_of(pattern)) | st.text(max_size=200))
    def run(text: str) -> None:
        assert mismatch(parser(FileText("/a/file", text)), wanted) is None

    run()


@pytest.mark.parametrize("name", PARSERS)
def test_colours_and_carriage_returns_change_nothing(name: str) -> None:
    parser, pattern, arguments = PARSERS[name]
    for text in texts_of(pattern):
        dressed = "".join(f"\x1b[1;32m{line}\x1b[0m\r\n" for line in text.split("\n"))
        assert parser(Answer(0, dressed), *arguments) == parser(Answer(0, text), *arguments)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(texts_of("npu-smi info")), st.data())
def test_a_table_that_ends_early_shows_no_npu_that_is_not_there(text: str, data: st.DataObject) -> None:
    whole = npu_overview.overview_of(text)
    cut = npu_overview.overview_of(text[: data.draw(st.integers(0, len(text)))])
    if isinstance(cut, NpuOverview) and isinstance(whole, NpuOverview):
        assert cut.npus == whole.npus[: len(cut.npus)]
        assert set(cut.processes or ()) <= set(whole.processes or ())


@pytest.mark.parametrize("name", [name for name in PARSERS if name not in ("neighbour", "bus")])
@pytest.mark.parametrize(
    "text", ["", "\n", "bash: npu-smi: 未找到命令", "错误：设备忙，请稍后再试", "<html>", "\x1b[31m\x1b[0m"]
)
def test_what_is_no_answer_is_unknown_with_a_reason(name: str, text: str) -> None:
    parser, _, arguments = PARSERS[name]
    for status in (0, 1, 127):
        found = parser(Answer(status, text), *arguments)
        assert isinstance(found, Unknown) and found.reason
