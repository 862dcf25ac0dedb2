"""Settings: thresholds of the checks, and which of them count."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import field_validator

from mindie_deploy.cluster.schema import SettingGroup, setting

MOST_BYTES = 10**18  # more than any file system has
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
    npu_isolated_pages_limit: int = setting(
        0,
        "Pages of one NPU's HBM, isolated for double bit errors, that are not mentioned.",
        ge=0,
        le=1000000,
        why="practice: a sound NPU has none",
    )
    hccn_speed_mbps: int = setting(
        200000, "Speed of every RoCE port.", unit="Mbit/s", ge=1000, le=1600000, why="Atlas 800T A2: eight 200GE ports"
    )
    hccn_link_down_hours: int = setting(
        24, "How long ago a lost RoCE link is mentioned.", unit="h", ge=1, le=8760, why="practice"
    )
    hccn_link_downs_limit: int = setting(
        0,
        "Losses of a RoCE link in that time that are not mentioned.",
        ge=0,
        le=1000,
        why="practice: a sound link is lost only with its switch",
    )
    hccn_errors_limit: int = setting(
        0,
        "Errors of a RoCE port, by which one counter may grow while the check runs.",
        ge=0,
        le=1000000000,
        why="practice: a sound port has none",
    )
    hccn_pause_frames_limit: int = setting(
        1000,
        "Pause frames of an idle RoCE port, by which one counter may grow while the check runs.",
        ge=0,
        le=1000000000,
        why="practice: an idle port has none, a storm has thousands a second",
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
    processes_needed: int = setting(
        32768,
        "Processes and threads that a host must allow.",
        ge=1024,
        le=4194304,
        why="practice: the kernel's default on small hosts, and it has been enough",
    )
    open_files_needed: int = setting(
        16384,
        "Files that a container's process must be allowed to have open.",
        ge=256,
        le=1048576,
        why="practice: the usual low limits are 1024 and 4096; HCCL's socket time-outs at scale come from them",
    )
    listen_backlog_needed: int = setting(
        1024, "Connections that may wait on a listening socket of a host.", ge=1, le=65535, why="practice"
    )
    conntrack_percent_limit: int = setting(
        80, "Share of the table of tracked connections that may be in use.", unit="%", ge=1, le=100, why="practice"
    )
    engine_disk_low_bytes: int = setting(
        5000000000,
        "Free space of the engine's disk below which it is mentioned, the image being there.",
        unit="bytes",
        ge=0,
        le=MOST_BYTES,
        why="practice: logs and the container's own files grow",
    )
    image_disk_bytes: int = setting(
        20000000000,
        "Free space of the engine's disk for loading the image where no host has it yet to tell its size.",
        unit="bytes",
        ge=0,
        le=MOST_BYTES,
        why="practice: images of MindIE have 15 to 20 GB",
    )
    weights_disk_bytes: int = setting(
        0, "Free disk that the weights need; 0: derived from their size.", unit="bytes", ge=0, le=MOST_BYTES
    )
    checks_skip: list[str] = setting(
        [], "Checks that are not run.", accepts="a list of check ids", example='["os.time-skew"]'
    )
    checks_warn: list[str] = setting(
        [], "Checks that only warn where they would block.", accepts="a list of check ids", example='["os.time-skew"]'
    )

    @field_validator("checks_skip", "checks_warn")
    @classmethod
    def _ids(cls, value: list[str]) -> list[str]:
        for check_id in value:
            if not CHECK_ID.fullmatch(check_id):
                raise ValueError(f'"{check_id}" is not a check id')
        return value
