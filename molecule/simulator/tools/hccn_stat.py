"""hccn_tool -stat and -link_stat (H/hccn_tool/tool.c, tool_display_stat_info, tool_display_link_his_stat)."""

from __future__ import annotations

import time

from .answer import Answer
from .light import Any

COUNTERS = (
    "mac_tx_mac_pause_num", "mac_rx_mac_pause_num",
    "mac_tx_pfc_pkt_num", *(f"mac_tx_pfc_pri{priority}_pkt_num" for priority in range(8)),
    "mac_rx_pfc_pkt_num", *(f"mac_rx_pfc_pri{priority}_pkt_num" for priority in range(8)),
    "mac_tx_total_pkt_num", "mac_tx_total_oct_num", "mac_tx_bad_pkt_num", "mac_tx_bad_oct_num",
    "mac_rx_total_pkt_num", "mac_rx_total_oct_num", "mac_rx_bad_pkt_num", "mac_rx_bad_oct_num",
    "mac_rx_fcs_err_pkt_num",
    "roce_rx_rc_pkt_num", "roce_rx_all_pkt_num", "roce_rx_err_pkt_num",
    "roce_tx_rc_pkt_num", "roce_tx_all_pkt_num", "roce_tx_err_pkt_num",
    "roce_cqe_num", "roce_rx_cnp_pkt_num", "roce_tx_cnp_pkt_num", "roce_unexpected_ack_num", "roce_out_of_order_num",
    "roce_verification_err_num", "roce_qp_status_err_num", "roce_new_pkt_rty_num", "roce_ecn_db_num",
    "nic_tx_all_pkg_num", "nic_tx_all_oct_num", "nic_rx_all_pkg_num", "nic_rx_all_oct_num",
)  # fmt: skip


def statistics(port: dict[str, Any], calls: int) -> Answer:
    """All counters; those of `stat_growth` have grown once for each of the `calls` answered before."""
    lines = [f"{name}:{port['stat'].get(name, 0) + port['stat_growth'].get(name, 0) * calls}\n" for name in COUNTERS]
    return Answer("packet statistics:\n" + "".join(lines))


def link_history(number: int, port: dict[str, Any], now: float, older: bool) -> Answer:
    """Newest record first; times in the device's clock, as asctime prints them."""
    records = port["link_history"] or ([] if port["link_never_up"] else [{"state": "UP", "ago_s": 864000.0}])
    head = f"[devid {number}]"
    ups = sum(1 for record in records if record["state"] == "UP")
    text = f"{head}current time        : {_stamp(now)}\n{head}link up count       : {ups}\n"
    if not older:
        text += f"{head}link down count     : {len(records) - ups}\n"
    text += f"{head}link change records :{'' if records else ' NA'}\n"
    for record in reversed(records):
        text += f"{head}    {_stamp(now - record['ago_s'])}    LINK {record['state']}\n"
    return Answer(text)


def _stamp(moment: float) -> str:
    return time.asctime(time.gmtime(moment))
