"""The driver's verdict on a firmware version (D/dcmi_interface/src/dcmi_basic_info_intf.c, dcmi_get_device_compatibility)."""

from __future__ import annotations

import re
from typing import Any

OLDEST = "6.4."  # COMPAT_VERSION_START_FW: firmware text that sorts before it is refused at once


def compatibility(state: dict[str, Any], firmware: str | None) -> str:
    """OK, NOK or UNKNOWN. The driver's range first; outside it, the list stored in the firmware decides."""
    if firmware is None:
        return "UNKNOWN"
    if firmware < OLDEST:  # a comparison of texts, as in the source
        return "NOK"
    if within(firmware, state["driver"]["compatible_firmware"]):
        return "OK"
    stored = state["firmware"]["compatible_driver"]
    if not stored:
        return "UNKNOWN"
    return "OK" if within(state["driver"]["version"], stored) else "NOK"


def within(version: str, ranges: list[list[str]]) -> bool:
    """Whether a version lies in one of the [lowest, highest] pairs; "24.1." as highest takes 24.1 and 24.1.anything."""
    for lowest, highest in ranges:
        prefix = highest.rstrip(".")
        below = version == prefix or version.startswith(f"{prefix}.") if highest.endswith(".") else (
            _parts(version) <= _parts(highest)
        )
        if below and _parts(version) >= _parts(lowest):
            return True
    return False


def _parts(version: str) -> list[tuple[int, int]]:
    """Order of versions: numbers by value, a release candidate before its release."""
    parts = []
    for part in version.lower().split("."):
        match = re.fullmatch(r"(rc|b)?(\d+)", part)
        parts.append((0 if match and match[1] == "rc" else 1, int(match[2]) if match else 0))
    return parts
