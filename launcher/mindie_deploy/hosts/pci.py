"""`lspci`: the accelerators that the bus shows, whether or not the driver knows them."""

from __future__ import annotations

import re

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Reading, Unknown
from mindie_deploy.hosts.text import clean, excerpt, lines_of

ROW = re.compile(
    r"((?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]) "
    r".*(?:Huawei.* Device |Device 19e5:)(d[0-9a-f]{3})(?: \(rev [0-9a-f]+\))?"
)


def accelerators(text: str) -> dict[str, str]:
    """Returns the device id (d802: 910B family, d801: 910, d803: A3, d500: 310P) of each bus address."""
    return {match.group(1): match.group(2) for line in lines_of(text) if (match := ROW.fullmatch(line.strip()))}


def bus(answer: Answer) -> Reading[dict[str, str]]:
    """Reads `lspci -d 19e5:`. No line is an answer: there is no such device on the bus."""
    if answer.status != 0 or answer.truncated:
        return answer.failure("lspci")
    found = accelerators(answer.stdout)
    if not found and clean(answer.stdout).strip() and re.search(r"\bd[0-9a-f]{3}\b", answer.stdout):
        return Unknown(f"lspci: lines of no known form: {excerpt(answer.stdout)}")
    return found
