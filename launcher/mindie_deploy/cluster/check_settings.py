"""Settings: thresholds of the checks, and which of them count."""

from __future__ import annotations

import re
from typing import ClassVar

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
    clock_skew_warn_s: float = setting(2, "Difference of a host's clock that is mentioned.", unit="s", ge=0)
    clock_skew_block_s: float = setting(60, "Difference of a host's clock that blocks.", unit="s", ge=0)
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
