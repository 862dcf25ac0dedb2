"""Settings: thresholds of the checks, and which of them count."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import field_validator

from mindie_deploy.cluster.schema import SettingGroup, setting

CHECK_ID = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


class CheckSettings(SettingGroup):
    """Thresholds of the checks."""

    TITLE: ClassVar[str] = "Checks"

    hbm_used_limit_mib: int = setting(
        4096,
        "NPU memory that may be in use before the start.",
        unit="MiB",
        ge=0,
        le=1048576,
        why="an idle 910B3 shows 3.3 to 3.6 GB",
    )
    npu_temperature_limit_c: int = setting(
        75,
        "Temperature of an idle NPU that is mentioned.",
        unit="degrees Celsius",
        ge=20,
        le=120,
        why="practice: idle 910B3 show 32 to 46 in captures",
    )
    npu_idle_power_limit_w: int = setting(
        140,
        "Power of an idle NPU that is mentioned.",
        unit="W",
        ge=10,
        le=1000,
        why="practice: idle 910B3 show 80 to 130 in captures",
    )
    npu_single_bit_errors_limit: int = setting(
        100,
        "Corrected bit errors of one NPU's HBM that are mentioned.",
        ge=0,
        le=1000000000,
        why="practice: some are normal, many announce a fault",
    )
    hccn_speed_mbps: int = setting(
        200000, "Speed of every RoCE port.", unit="Mbit/s", ge=1000, le=1600000, why="Atlas 800T A2: eight 200GE ports"
    )
    hccn_link_down_hours: int = setting(
        24, "How long ago a lost RoCE link is mentioned.", unit="h", ge=1, le=8760, why="practice"
    )
    clock_skew_warn_s: float = setting(2, "Difference of a host's clock that is mentioned.", unit="s", ge=0)
    clock_skew_block_s: float = setting(60, "Difference of a host's clock that blocks.", unit="s", ge=0)
    check_pings: Literal["rails", "full", "off"] = setting(
        "rails",
        "Which NPUs ping which: those with the same index on other hosts, every one of other hosts, or none.",
        why="about 3 s for each other host; full takes as many times longer as a host has NPUs",
    )
    check_ports: bool = setting(
        True, "Try from every host the ports that it will need on others, with listeners made for the moment."
    )
    weights_disk_bytes: int = setting(
        0, "Free disk that the weights need; 0: derived from their size.", unit="bytes", ge=0
    )
    checks_skip: list[str] = setting(
        [], "Checks that are not run.", accepts="a list of check ids", example='["clock.skew"]'
    )
    checks_warn: list[str] = setting(
        [], "Checks that only warn where they would block.", accepts="a list of check ids", example='["clock.skew"]'
    )

    @field_validator("checks_skip", "checks_warn")
    @classmethod
    def _ids(cls, value: list[str]) -> list[str]:
        for check_id in value:
            if not CHECK_ID.fullmatch(check_id):
                raise ValueError(f'"{check_id}" is not a check id')
        return value
