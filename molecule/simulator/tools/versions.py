"""The driver's verdict on a firmware version (D/dcmi_interface/src/dcmi_basic_info_intf.c)."""

from __future__ import annotations

from .light import Any

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
    """Whether a version lies in one of the [lowest, highest] pairs: texts, the version cut to the longer bound.

    So "24.1.rc3" lies in [24.1, 24.1.]. D/dcmi_inner/src/dcmi_permission_judge.c, dcmi_verison_compat_cmp.
    """
    return any(low <= version[: max(len(low), len(high))] <= high for low, high in ranges)
