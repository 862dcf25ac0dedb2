"""The driver's text files as they follow from the state: hccn.conf, ascend_install.info, the two version.info."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .schema import ADDRESS_KEYS

HCCN_CONF = Path("/etc/hccn.conf")


def hccn_conf(state: dict[str, Any]) -> str | None:
    """/etc/hccn.conf: the persistent copy of the addresses, in the order of public captures; None: no such file."""
    section = state["files"]["hccn_conf"]
    if not section["present"]:
        return None
    if section["text"] is not None:
        return str(section["text"])
    lines: dict[str, str | None] = {}
    for npu in state["npus"]:
        port, number = npu["hccn"], npu["id"]
        if port["address"] is None:
            continue
        for key in ADDRESS_KEYS:
            if port[key] is not None:
                lines[f"{key}_{number}"] = port[key]
        lines[f"send_arp_status_{number}"] = "1"
    for npu in state["npus"]:  # at the end, where the tool itself puts them
        if npu["hccn"]["tls_recorded"] is not None:
            lines[f"tls_enable_{npu['id']}"] = str(npu["hccn"]["tls_recorded"])
    lines.update(section["lines"])
    return "".join(f"{key}={value}\n" for key, value in lines.items() if value is not None)


def record(key: str, number: int, value: str, file: Path = HCCN_CONF) -> None:
    """What a setting itself writes: `tls_enable_N`, `netdetect_N` (H/hccn_tool/tool_tls.c, set_tls_flash_enable)."""
    if not file.is_file():
        return
    text = file.read_text(encoding="utf-8")
    line = f"{key}_{number}={value}\n"
    changed, count = re.subn(rf"^{key}_{number}=.*\n", line, text, flags=re.MULTILINE)
    file.write_text(changed if count else text + line, encoding="utf-8")


def install_info(state: dict[str, Any]) -> str | None:
    """/etc/ascend_install.info; npu-smi warns without ..._Status=complete (N/npu_info_print.c, check_file)."""
    section = state["files"]["install_info"]
    if not section["present"]:
        return None
    status = state["driver"]["install_status"]
    return (
        "UserName=HwHiAiUser\nUserGroup=HwHiAiUser\nDriver_Install_Type=full\n"
        f"Driver_Install_Path_Param={section['driver_path']}\nDriver_Install_For_All=yes\nDriver_Install_Mode=normal\n"
        + (f"Driver_Install_Status={status}\n" if status is not None else "")
        + f"Firmware_Install_Type=full\nFirmware_Install_Path_Param={section['driver_path']}\n"
    )


def driver_version_info(state: dict[str, Any]) -> str | None:
    """driver/version.info."""
    driver = state["driver"]
    if not driver["version_file"]:
        return None
    version = driver["file_version"] or driver["version"]
    return (
        f"Version={version}\nascendhal_version=7.35.23\naicpu_version=1.0\ntdt_version=1.0\nlog_version=1.0\n"
        f"prof_version=2.0\ndvppkernels_version=1.1\ntsfw_version=1.0\nInnerversion={driver['inner_version']}\n"
        "compatible_version=[V100R001C18],[V100R001C19],[V100R001C20],[V100R001C21],[V100R001C22]\n"
        f"compatible_version_fw={_ranges(driver['compatible_firmware'])}\npackage_version={version}\n"
    )


def firmware_version_info(state: dict[str, Any]) -> str | None:
    """firmware/version.info."""
    firmware = state["firmware"]
    if not firmware["version_file"]:
        return None
    return (
        f"Version={firmware['version']}\nfirmware_version=1.0\npackage_version={firmware['package_version']}\n"
        f"compatible_version_drv={_ranges(firmware['compatible_driver'])}\n"
    )


def _ranges(pairs: list[list[str]]) -> str:
    return ",".join(f"[{lowest},{highest}]" for lowest, highest in pairs)
