"""Reports of a check as the playbooks return them."""

from __future__ import annotations

from typing import Any

from mindie_deploy.cluster.hosts import Host
from mindie_deploy.cluster.settings import Settings
from mindie_deploy.preflight.finding import Evidence, Finding, Unreachable
from mindie_deploy.preflight.judge import judge
from mindie_deploy.preflight.report import Report
from mindie_deploy.preflight.table import COLUMNS, HostRow

HOSTS = ("host1", "host2")


def good() -> dict[str, Any]:
    """Nothing was found."""
    rows = {name: HostRow(dict.fromkeys(COLUMNS, "x"), (), "ok", ()) for name in HOSTS}
    return dict(Report("deepseek-r1", "ok", rows, (), (), (), (), {}, 70).to_dict())


def lost() -> dict[str, Any]:
    """No host could be reached."""
    reason = Unreachable("ssh: connect to host 192.0.2.1 port 22: Connection timed out", "no-connection")
    hosts = [Host(name, f"192.0.2.{rank + 1}", rank) for rank, name in enumerate(HOSTS)]
    settings = Settings.from_variables({"mindie_data_parallel_size": 2, "mindie_moe_expert_parallel_size": 16})
    return dict(judge(hosts, dict.fromkeys(HOSTS, reason), settings).to_dict())


def blocking() -> dict[str, Any]:
    """One link is down."""
    report = good()
    report["verdict"] = "block"
    evidence = Evidence("hccn_tool -i 5 -link -g", "link status: DOWN", {"host2": (5,)})
    finding = Finding(
        check_id="hccn.link-up",
        kind="fail",
        severity="block",
        title="the RoCE link of an NPU is down",
        hosts=("host2",),
        devices={"host2": (5,)},
        evidence=(evidence,),
        remedy="check cable [A] and optical module",
    )
    report["findings"] = [finding.to_dict()]
    return report
