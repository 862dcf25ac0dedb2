"""The accelerators that the PCI bus shows, whether or not the driver knows them: `lspci`, plain or with -n."""

from __future__ import annotations

import re

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Reading, Unknown
from mindie_deploy.hosts.text import clean, excerpt, lines_of

ROW = re.compile(
    r"((?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]) "
    r"(?:(?:Class )?[0-9a-f]{4}: 19e5:|.*(?:Huawei.* Device |Device 19e5:))(d[0-9a-f]{3})(?: \(rev [0-9a-f]+\))?"
)
DEVICE = re.compile(r"(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f] .*")


def accelerators(text: str) -> dict[str, str]:
    """Returns the device id (d802: 910B family, d801: 910, d803: A3, d500: 310P) of each bus address.

    Addresses are without the usual domain, 0000, which not every form prints.
    """
    rows = (ROW.fullmatch(line.strip()) for line in lines_of(text))
    return {row.group(1).removeprefix("0000:"): row.group(2) for row in rows if row}


def bus(answer: Answer) -> Reading[dict[str, str]]:
    """Reads `lspci -n -d 19e5:`. No line is an answer: there is no such device on the bus."""
    if answer.status != 0 or answer.truncated:
        return answer.failure("lspci")
    lines = [line for line in lines_of(clean(answer.stdout)) if line.strip()]
    strange = [line for line in lines if not DEVICE.fullmatch(line.strip())]
    if strange:
        return Unknown(f"lspci: lines of no known form: {excerpt(strange[0])}")
    return accelerators(answer.stdout)
