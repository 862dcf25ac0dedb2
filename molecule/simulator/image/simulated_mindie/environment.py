"""What the worker processes refuse in their environment, at import, minutes before anything is loaded (source 3)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


class WorkerEnvironmentError(ValueError):
    """A variable with a value that ends the worker at import."""


def check(environ: Mapping[str, str]) -> None:
    """Raises WorkerEnvironmentError for the first bad variable."""
    # The range is the worker's own check; without the variable the daemon's side takes 0.8 (source 3).
    _number(environ, "NPU_MEMORY_FRACTION", above=0.0, most=1.0)
    _number(environ, "RESERVED_MEMORY_GB", least=0.0, below=64.0)
    visible = environ.get("ASCEND_RT_VISIBLE_DEVICES", "")
    if visible and not all(part.strip().isdigit() for part in visible.split(",")):
        raise WorkerEnvironmentError("ASCEND_RT_VISIBLE_DEVICES must be comma-separated integers.")
    world = _integer(environ, "WORLD_SIZE", 1, 1048576, 1)
    for name in ("RANK", "LOCAL_RANK"):
        if environ.get(name) is not None:
            _integer(environ, name, 0, world - 1, 0)
    address = environ.get("MASTER_IP", "")
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise WorkerEnvironmentError(f"MASTER_IP is not an IP address: {address}") from error
    if environ.get("MASTER_PORT"):
        _integer(environ, "MASTER_PORT", 0, 65535, 0)
    if environ.get("HCCL_BUFFSIZE") and not environ["HCCL_BUFFSIZE"].isdigit():
        raise WorkerEnvironmentError("HCCL_BUFFSIZE must be an integer.")
    # HCCL's own rule: an integer of 120..7200 s, else EI0001 (fault 18).
    if environ.get("HCCL_CONNECT_TIMEOUT"):
        try:
            _integer(environ, "HCCL_CONNECT_TIMEOUT", 120, 7200, 120)
        except WorkerEnvironmentError as error:
            raise WorkerEnvironmentError(f"EI0001: {error}") from error
    # Source 3: a value set from the shell is a string and always fails its type check.
    if environ.get("CPU_BINDING_NUM") is not None:
        raise WorkerEnvironmentError("CPU_BINDING_NUM must be an integer, but got str.")
    if environ.get("LM_HEAD_LOCAL_TP") == "1" and environ.get("DP_PARTITION_UP_ENABLE") != "1":
        raise WorkerEnvironmentError("LM_HEAD_LOCAL_TP=1 needs DP_PARTITION_UP_ENABLE=1.")


def memory_fraction(environ: Mapping[str, str]) -> float:
    """NPU_MEMORY_FRACTION, default 0.8 (source 3)."""
    return float(environ.get("NPU_MEMORY_FRACTION") or 0.8)


def _number(
    environ: Mapping[str, str],
    name: str,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> None:
    text = environ.get(name)
    if text is None or text == "":
        return
    try:
        value = float(text)
    except ValueError as error:
        raise WorkerEnvironmentError(f"{name} must be a number, but got {text!r}.") from error
    inside = (
        (above is None or value > above)
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (below is None or value < below)
    )
    # Written so that nan, for which every comparison is false, is refused too.
    if not inside:
        raise WorkerEnvironmentError(f"{name} is out of range, got {text}.")


def _integer(environ: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    text = environ.get(name)
    if text is None or text == "":
        return default
    try:
        value = int(text)
    except ValueError as error:
        raise WorkerEnvironmentError(f"{name} must be an integer, but got {text!r}.") from error
    if not low <= value <= high:
        raise WorkerEnvironmentError(f"{name} must be in [{low}, {high}], got {value}.")
    return value
