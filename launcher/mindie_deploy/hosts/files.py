"""Files of the driver and the system that are lists of KEY=VALUE."""

from __future__ import annotations

import re

from mindie_deploy.hosts.answer import FileText, Missing
from mindie_deploy.hosts.facts import Absent, HccnConfiguration, Reading, Unknown, VersionFile
from mindie_deploy.hosts.text import assignments, excerpt

RANGE = re.compile(r"\[([^\[\],]+),([^\[\],]+)\]")
HCCN_KEY = re.compile(r"(address|netmask|netdetect|gateway)_(\d{1,5})", re.ASCII)
PARTNERS = (("compatible_version_fw", "firmware"), ("compatible_version_drv", "driver"))


def version_file(source: FileText | Missing | Unknown) -> Reading[VersionFile]:
    """Reads the version.info of the driver or the firmware."""
    values = _values(source)
    if isinstance(values, Unknown):
        return values
    path = source.path if isinstance(source, FileText) else ""
    version = values.get("Version", "")
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z._-]*", version):
        return Unknown(f"{path} names no version")
    for key, partner in PARTNERS:
        if key in values:
            ranges = _ranges(values[key])
            single = ranges[0] if len(ranges) == 1 else None
            return VersionFile(path, version, single, partner, ranges)
    return VersionFile(path, version, None)


def hccn_configuration(source: FileText | Missing | Unknown) -> Reading[HccnConfiguration]:
    """Reads /etc/hccn.conf. Its values are given as they stand, also where they are no addresses."""
    values = _values(source)
    if isinstance(values, Unknown):
        return values
    found: dict[str, dict[int, str]] = {key: {} for key in ("address", "netmask", "netdetect", "gateway")}
    for key, value in values.items():
        if match := HCCN_KEY.fullmatch(key):
            found[match.group(1)][int(match.group(2))] = value
    if isinstance(source, FileText) and source.text.strip() and not any(found.values()):
        return Unknown(f"{source.path} has no line of the form address_0=...: {excerpt(source.text)}")
    return HccnConfiguration(**found)


def install_info(source: FileText | Missing | Unknown) -> Reading[dict[str, str]]:
    """Reads /etc/ascend_install.info or a toolkit's install.info."""
    values = _values(source)
    if not values and isinstance(source, FileText):
        return Unknown(f"{source.path} has no line of the form KEY=VALUE")
    return values


def os_release(source: FileText | Missing | Unknown) -> Reading[dict[str, str]]:
    """Reads /etc/os-release."""
    return install_info(source)


def _values(source: FileText | Missing | Unknown) -> Reading[dict[str, str]]:
    """Returns the assignments of a file, or why there are none."""
    if isinstance(source, Unknown):
        return source
    if isinstance(source, Missing):
        return Absent(f"{source.path} does not exist")
    if source.truncated:
        return Unknown(f"{source.path} is longer than what was read")
    return assignments(source.text)


def _ranges(text: str) -> tuple[tuple[str, str], ...]:
    """Reads `[7.0.0,7.1.99],[...]`. Text that is not a list of ranges to its end gives none."""
    ranges = tuple((low.strip(), high.strip()) for low, high in RANGE.findall(text))
    return ranges if RANGE.sub("", text).replace(",", "").strip() == "" else ()
