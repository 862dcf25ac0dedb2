"""ScheduleConfig (source 1.4, second table)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import checks
from .checks import Field, Say

FIELDS = (
    Field("templateType", "string", choices=("Standard", "Mix")),
    Field("templateName", "string", choices=("Standard_LLM",)),
    Field("cacheBlockSize", "uint32", low=1, high=128),
    Field("maxPrefillBatchSize", "uint32"),
    Field("maxPrefillTokens", "uint32", low=1, high=4194304),
    Field("prefillTimeMsPerReq", "uint32", low=0, high=1000),
    Field("decodeTimeMsPerReq", "uint32", low=0, high=1000),
    Field("prefillPolicyType", "uint32", low=0, high=3),
    Field("decodePolicyType", "uint32", low=0, high=3),
    Field("maxBatchSize", "uint32", low=1, high=819200),
    Field("maxIterTimes", "uint32", low=1),
    Field("maxPreemptCount", "uint32"),
    Field("supportSelectBatch", "bool"),
    Field("maxQueueDelayMicroseconds", "uint32", low=500, high=1000000),
    Field("maxFirstTokenWaitTime", "uint32", required=False, default=2500, low=0, high=3600000),
    Field("maxN", "uint32", required=False, low=1, high=8192),
    Field("policyType", "uint32", required=False, default=0, choices=(0, 4, 5, 6, 7)),
    Field("stageSelectPolicy", "uint32", required=False, low=0, high=2),
    Field("prefillExpectedTime", "uint32", required=False, low=1, high=10000),
    Field("decodeExpectedTime", "uint32", required=False, low=1, high=10000),
    Field("bufferResponseEnabled", "bool", required=False, default=False),
    Field("dynamicBatchSizeEnable", "bool", required=False, default=False),
    # Also makes the rank table be read (source 1.4).
    Field("distributedEnable", "bool", required=False, default=False),
)
# Without effect any more; the real one only warns (source 1.4).
IGNORED = ("enableSplit", "enablePrefixCache")


def parse(data: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Types and required keys; raises RefusedError."""
    for name in IGNORED:
        if name in data:
            say(f"[ScheduleConfig] '{name}' parameter no longer needs to be configured; its value has no effect.")
    return checks.read("ScheduleConfig", data, FIELDS, say)


def check(values: dict[str, Any], say: Say) -> bool:
    """Ranges and the rules against maxBatchSize (source 1.4)."""
    sound = checks.in_range(values, FIELDS, say)
    batch = values["maxBatchSize"]
    if values["maxPrefillBatchSize"] > batch:
        say(f"Parameter maxPrefillBatchSize should be in [0, {batch}], but got {values['maxPrefillBatchSize']}.")
        sound = False
    if values["maxPreemptCount"] > batch:
        say("The maxPreemptCount cannot be set greater than maxBatchsize")
        sound = False
    if values["maxN"] is not None and values["maxN"] > batch:
        say("The maxN cannot be set greater than maxBatchSize")
        sound = False
    return sound
