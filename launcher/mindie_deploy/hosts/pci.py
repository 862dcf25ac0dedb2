"""`lspci`: the accelerators that the bus shows, whether or not the driver knows them."""

from __future__ import annotations

import re

from mindie_deploy.hosts.text import lines_of

ROW = re.compile(
    r"((?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]) .*Huawei.* Device (d[0-9a-f]{3})(?: \(rev [0-9a-f]+\))?"
)


def accelerators(text: str) -> dict[str, str]:
    """Returns the device id (d802: 910B family, d801: 910, d803: A3, d500: 310P) of each bus address."""
    return {match.group(1): match.group(2) for line in lines_of(text) if (match := ROW.fullmatch(line.strip()))}
