"""Temperature and power of NPUs without work."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.preflight.checks.npu import PRESENT, SMI
from mindie_deploy.preflight.context import Context, npus_of, own_npus
from mindie_deploy.preflight.finding import Problem, Severity
from mindie_deploy.preflight.registry import check


@check(
    "npu.temp",
    title="an idle NPU is hot",
    severity="warn",
    command=SMI,
    needs=("overview",),
    caused_by=(*PRESENT, "docker.conflict", "npu.process-residual", "npu.hbm-free", "npu.aicore-idle"),
    unknown="info",
    why="An NPU that is hot without work throttles or shuts down under load.",
    remedy="Check fans, air flow and the room; npu-smi info -t temp -i NPU.",
    source="practice: 32 to 46 degrees Celsius in captures of idle 910B3",
)
def temperature(host: HostFacts, context: Context) -> Iterator[Problem]:
    limit = context.settings.npu_temperature_limit_c
    yield from _sensor(host, context, "temperature_c", limit, "degrees Celsius", "warn")


@check(
    "npu.power-idle",
    title="an idle NPU draws much power",
    severity="info",
    command=SMI,
    needs=("overview",),
    caused_by=(*PRESENT, "docker.conflict", "npu.process-residual", "npu.hbm-free", "npu.aicore-idle", "npu.temp"),
    why="It tells that somebody uses the NPU, or that it was not reset after a crash.",
    remedy="Watch npu-smi info for a minute; reset the NPU if it stays so without work.",
    source="practice: 80 to 130 W in captures of idle 910B3",
)
def power(host: HostFacts, context: Context) -> Iterator[Problem]:
    yield from _sensor(host, context, "power_w", context.settings.npu_idle_power_limit_w, "W", "info")


def _sensor(
    host: HostFacts, context: Context, attribute: str, limit: float, unit: str, severity: Severity
) -> Iterator[Problem]:
    """Judges a sensor of idle NPUs; one that could not be read is unknown (npu-smi prints 0 for it)."""
    ours = own_npus(host, context)
    for index, npu in npus_of(host):
        value: float | None = getattr(npu, attribute)
        if index in ours:
            continue
        if value is None:
            yield Problem(host.name, "npu-smi could not read the sensor", index, kind="unknown")
        elif value >= limit:
            yield Problem(host.name, f"{value:g} {unit}, expected below {limit:g}", index, severity=severity)
