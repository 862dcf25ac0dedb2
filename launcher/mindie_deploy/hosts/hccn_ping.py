"""`hccn_tool -i N -ping -g address A`: does one NPU reach another over RoCE.

A ping that lost a packet ends with status 1 and an error text, yet its summary is complete: the summary decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Reading, Unknown
from mindie_deploy.hosts.hccn_tool import Trouble, trouble, unreadable
from mindie_deploy.hosts.text import clean

SUMMARY = re.compile(
    r"^[ \t]*(\d{1,6}) packets transmitted, (\d{1,6}) received, (\d{1,3}\.\d{1,2})% packets? loss[ \t]*$",
    re.MULTILINE | re.ASCII,
)
BANNER = re.compile(r"^[ \t]*device (\d{1,5}) PING (\S+)[ \t]*$", re.MULTILINE | re.ASCII)
TIME = re.compile(r"time=(\d{1,7}\.\d{1,9})(ms|us)", re.ASCII)


@dataclass(frozen=True)
class Ping:
    """One ping. `device` and `address` are None where the banner line is missing. Times in milliseconds."""

    device: int | None
    address: str | None
    sent: int
    received: int
    times_ms: tuple[float, ...] = ()

    @property
    def loss_percent(self) -> float:
        """The share of lost packets, with two digits as the tool prints it."""
        return round(100.0 * (self.sent - self.received) / self.sent, 2)


def ping(answer: Answer, device: int | None = None, address: str | None = None) -> Reading[Ping]:
    """Reads a ping. `device` and `address` are what was asked for: an answer about others is none."""
    text = clean(answer.stdout)
    summaries = SUMMARY.findall(text)
    banners = BANNER.findall(text)
    if len(summaries) != 1 or len(banners) > 1:
        return unreadable(answer, "-ping")
    sent, received, loss = int(summaries[0][0]), int(summaries[0][1]), float(summaries[0][2])
    if sent == 0 or received > sent or abs(loss - 100.0 * (sent - received) / sent) > 0.01:
        return Unknown(f"hccn_tool -ping: the summary contradicts itself: {sent} sent, {received} received, {loss} %")
    banner_device = int(banners[0][0]) if banners else None
    banner_address = banners[0][1] if banners else None
    if device is not None and banner_device not in (None, device):
        return Unknown(f"hccn_tool -ping: the answer is about device {banner_device}")
    if address is not None and banner_address not in (None, address):
        return Unknown(f"hccn_tool -ping: the answer is about {banner_address}")
    times = tuple(float(value) / (1000.0 if unit == "us" else 1.0) for value, unit in TIME.findall(text))
    return Ping(banner_device, banner_address, sent, received, times)


def own_link_down(answer: Answer) -> bool:
    """Tells whether the ping was refused because the sender's own link is down."""
    return not SUMMARY.search(clean(answer.stdout)) and trouble(answer) is Trouble.LINK_DOWN
