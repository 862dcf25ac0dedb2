"""Settings: how a run starts, waits and stops."""

from __future__ import annotations

from typing import ClassVar

from pydantic import field_validator

from mindie_deploy.cluster.schema import SettingGroup, setting


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
