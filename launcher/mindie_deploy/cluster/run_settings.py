"""Settings: how a run waits, stops and judges."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import field_validator

from mindie_deploy.cluster.schema import SettingGroup, setting

CHECK_ID = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


class RunSettings(SettingGroup):
    """Start, ready, stop."""

    TITLE: ClassVar[str] = "Start and stop"

    ready_timeout: int = setting(
        3600,
        "How long a start may take until a chat is answered.",
        unit="s",
        ge=10,
        le=86400,
        why="loading takes 10 to 13 minutes in reports, longer from slow disks",
    )
    stop_timeout: int = setting(
        60,
        "How long the daemon may take to end before it is killed.",
        unit="s",
        ge=25,
        le=3600,
        why="MindIE itself takes 20 s and more",
    )
    keep_failed: bool = setting(
        False, "Leave containers of a failed start running, to look into them.", why="they hold the NPUs"
    )
    ready_prompt: str = setting(
        "Say hello in one short sentence.",
        "The chat request that proves readiness.",
        accepts="a text of 1 to 2000 characters",
    )

    @field_validator("ready_prompt")
    @classmethod
    def _ready_prompt(cls, value: str) -> str:
        if not value.strip() or len(value) > 2000:
            raise ValueError("must be a text of 1 to 2000 characters")
        return value


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
