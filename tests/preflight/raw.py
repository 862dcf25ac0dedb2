"""Raw answers of a healthy host's NPUs, as the collection brings them, and what is judged of changes to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.hosts.items_npu import HCCN_QUERIES, hccn_items, npu_smi_items
from mindie_deploy.hosts.read import read
from mindie_deploy.preflight.report import Report
from tests.hosts.samples import sample
from tests.preflight.builders import BUSES, NPUS, cluster, healthy_host, judged, settings

HOST = 2  # the place of host3 in the cluster
Items = dict[str, dict[str, object]]


def answer(stdout: str, status: int = 0, stderr: str = "") -> dict[str, object]:
    return {"status": status, "stdout": stdout, "stderr": stderr, "error": None, "timed_out": False, "truncated": False}


def captured(name: str) -> dict[str, object]:
    """The answer of a sample."""
    found = sample(name).answer
    return answer(found.stdout, found.status, found.stderr)


def silent(seconds: int) -> dict[str, object]:
    """A command that was ended after so many seconds."""
    error = f"no answer within {seconds} s"
    return {**answer(""), "status": None, "error": error, "timed_out": True}


def skipped() -> dict[str, object]:
    """A command that was not tried any more."""
    error = "skipped: earlier commands on the same device gave no answer in time"
    return {**answer(""), "status": None, "error": error}


def healthy_items() -> Items:
    """All questions about NPUs and their ports, with the answers of a healthy host."""
    items: Items = {
        "npu-smi/info": captured("info-idle-8-neutral"),
        "npu-smi/topology": captured("topo-all-hccs-default"),
        "bus": answer("".join(f"{bus.lower()}:00.0 1200: 19e5:d802 (rev 20)\n" for bus in BUSES)),
    }
    for npu in NPUS:
        board = sample("board-compat-ok-0").text.replace(": 0\n", f": {npu}\n", 1)
        items[f"npu-smi/board/{npu}"] = answer(board.replace("7.8.0.5.216", "7.7.0.6.236").replace("0x4000", "0x3005"))
        items[f"npu-smi/health/{npu}"] = answer("\tHealth Status : OK\n\tError Code : NA\n\tError Information : NA\n")
        items[f"npu-smi/ecc/{npu}"] = answer(sample("ecc-zero-0").text.replace(": 0\n", f": {npu}\n", 1))
        for query, text in _port_texts(npu).items():
            items[f"hccn/{npu}/{query}"] = answer(text)
    return items


def _port_texts(npu: int) -> dict[str, str]:
    return {
        "ip": f"ipaddr:29.1.{npu}.{11 + HOST}\nnetmask:255.255.255.0\n",
        "link": "link status: UP\n",
        "net_health": "net health status: Success\n",
        "netdetect": f"netdetect addr: 29.1.{npu}.1\n",
        "gateway": f"default gateway:29.1.{npu}.1, Iface:eth{npu}\n",
        "tls": f"dev_id:{npu}, tls switch[0](0:disable, 1:enable)\n",
        "speed": "Speed: 200000 Mb/s\n",
        "mtu": "mtu:1500\n",
        "cfg": "config status:SUCCESS\n",
        "lldp": sample("lldp-neighbour-0").text.replace("02:00:00:11:22:33", f"00:00:5e:00:53:{npu:02x}"),
        "optical": sample("optical-ok-0").text,
        "link_stat": sample("link-stat-stable-0").text.replace("[devid 0]", f"[devid {npu}]"),
        "stat": sample("stat-clean-0").text,
        "stat-later": sample("stat-clean-0").text,
    }


def judged_raw(changes: Mapping[str, Mapping[str, object]]) -> Report:
    """The report of four hosts of which host3's NPUs and ports were read from raw answers, with changes by key."""
    items = {**healthy_items(), **changes}
    assert set(items) == {str(item["key"]) for item in (*npu_smi_items(8), *hccn_items(8))} | {"bus"}
    told = read("host3", {"items": items, "started": 1767225600.0}, settings())
    return judged(cluster(host3=_with_npus(healthy_host("host3", HOST), told)))


def _with_npus(host: HostFacts, told: HostFacts) -> HostFacts:
    names = ("overview", "boards", "npu_error_codes", "topology", "hccn", "ecc", "bus", "collected_at")
    changes: dict[str, Any] = {name: getattr(told, name) for name in names}
    return replace(host, **changes)


def device(npu: int, first: dict[str, object], rest: dict[str, object]) -> Items:
    """All questions to one device: the first three with one answer, the others with another."""
    return {f"hccn/{npu}/{query}": first if place < 2 else rest for place, query in enumerate(HCCN_QUERIES)}
