"""Parallel sizes as the workers check them, minutes after the daemon took them (source 1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class MappingError(ValueError):
    """Sizes that do not go together; the worker dies of it."""


@dataclass(frozen=True)
class Sizes:
    """The sizes in force after the defaults; W is `world`, the devices of the whole rank table."""

    world: int
    tp: int
    dp: int
    cp: int
    pp: int
    moe_tp: int
    moe_ep: int


def sizes(extra: Mapping[str, str], world: int, hosts: int, backend_type: str, buffer_size: str) -> Sizes:
    """The checked sizes; raises MappingError. `extra` are ModelConfig's passed-on keys as text."""
    given = {name: _size(extra, name) for name in ("tp", "dp", "cp", "pp", "sp", "moe_tp", "moe_ep")}
    if world % hosts:
        raise MappingError(f"world size {world} must be divisible by the number of nodes {hosts}")
    local = world // hosts
    dp, cp, pp = given["dp"] or 1, given["cp"] or 1, given["pp"] or 1
    if cp > 1 and dp > 1:
        raise MappingError("cp and dp cannot both be greater than 1")
    if pp > 1 and dp > 1:
        raise MappingError("pp and dp cannot both be greater than 1")
    tp = given["tp"] or world
    if pp > 1:
        if tp * pp != world:
            raise MappingError(f"tp ({tp}) x pp ({pp}) must equal world size {world}")
    elif tp * cp * dp != world:
        raise MappingError(f"tp ({tp}) x cp ({cp}) x dp ({dp}) must equal world size {world}")
    if pp == 1 and tp > local and tp != world:
        raise MappingError(f"tp ({tp}) must not exceed the devices of a node ({local}) unless it is the world size")
    # Source 0, point 4: moe_tp left out becomes tp when tp is given, not what fits moe_ep.
    moe_tp = given["moe_tp"] or (given["tp"] or world)
    moe_ep = given["moe_ep"] or 1
    if moe_ep > 1:
        if moe_tp * moe_ep != world:
            raise MappingError(f"moe_tp ({moe_tp}) x moe_ep ({moe_ep}) must equal world size {world}")
        if moe_tp > local and moe_tp != world:
            raise MappingError(f"moe_tp ({moe_tp}) must not exceed the devices of a node ({local})")
    elif moe_tp != world and (pp == 1 or backend_type == "torch"):
        raise MappingError(f"moe_tp ({moe_tp}) must equal world size {world} without moe_ep")
    if given["sp"] and given["sp"] > 1 and given["sp"] != tp:
        raise MappingError(f"sp ({given['sp']}) must equal tp ({tp})")
    if backend_type == "torch" and not buffer_size.isdigit():
        raise MappingError("HCCL_BUFFSIZE must be set to an integer for backendType torch")
    return Sizes(world, tp, dp, cp, pp, moe_tp, moe_ep)


def executors_per_host(dp: int, hosts: int) -> int:
    """dp groups served by each host; raises MappingError for the zero that crashes the real engine (source 1.5)."""
    if dp == 1:
        return 1
    if dp < hosts:
        raise MappingError(f"DP number per node is 0: dp ({dp}) is smaller than the number of nodes ({hosts})")
    return dp // hosts


def _size(extra: Mapping[str, str], name: str) -> int | None:
    """A given size; -1 and absence mean the default."""
    text = extra.get(name)
    if text is None:
        return None
    try:
        value = int(text)
    except ValueError as error:
        raise MappingError(f"{name} must be an integer, but got {text!r}") from error
    if value == -1:
        return None
    if value < 1:
        raise MappingError(f"{name} must be at least 1, got {value}")
    return value
