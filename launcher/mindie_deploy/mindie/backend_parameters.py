"""GPUStack's backend parameters of Ascend MindIE, as data, and the translation of a pasted list into settings."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from mindie_deploy.cluster.schema import PREFIX
from mindie_deploy.errors import UsageError

MODEL = "BackendConfig.ModelDeployConfig.ModelConfig[0]"
DEPLOY = "BackendConfig.ModelDeployConfig"
SCHEDULE = "BackendConfig.ScheduleConfig"
SERVER = "ServerConfig"
PLUGIN = f"{MODEL}.plugin_params"
WEIGHTS = "weights' config.json"

INT, FLOAT, FLAG, JSON, TEXT = "int", "float", "flag", "json", "text"
LOG_LEVELS = {"verbose": "debug", "warning": "warn"}


@dataclass(frozen=True)
class Parameter:
    """One parameter: its long name without dashes, the setting (without prefix), where it ends up, the range it has.

    `key` is a path in config.json, or the name of a variable of the environment. `short` is the name with one dash.
    """

    name: str
    setting: str
    key: str
    kind: str
    accepts: str
    short: str = ""


def _parameter(name: str, key: str, kind: str, accepts: str, short: str = "", setting: str = "") -> Parameter:
    return Parameter(name, setting or name.replace("-", "_"), key, kind, accepts, short)


PARAMETERS: tuple[Parameter, ...] = (
    _parameter("log-level", "MINDIE_LOG_LEVEL", TEXT, "Verbose, Debug, Info, Warning, Warn, Error"),
    _parameter("max-link-num", f"{SERVER}.maxLinkNum", INT, "1..4096"),
    _parameter("token-timeout", f"{SERVER}.tokenTimeout", INT, "1..3600 s"),
    _parameter("e2e-timeout", f"{SERVER}.e2eTimeout", INT, "1..65535 s"),
    _parameter("max-seq-len", f"{DEPLOY}.maxSeqLen", INT, "1..4194304"),
    _parameter("max-input-token-len", f"{DEPLOY}.maxInputTokenLen", INT, "1..max-seq-len, -1: as max-seq-len"),
    _parameter("truncation", f"{DEPLOY}.truncation", FLAG, "yes or no"),
    _parameter("cpu-mem-size", f"{MODEL}.cpuMemSize", INT, "0.. GB"),
    _parameter("npu-memory-fraction", "NPU_MEMORY_FRACTION", FLOAT, "above 0, at most 1"),
    _parameter("trust-remote-code", f"{MODEL}.trustRemoteCode", FLAG, "yes or no"),
    _parameter("models", f"{MODEL}.models", JSON, "a JSON object"),
    _parameter("cache-block-size", f"{SCHEDULE}.cacheBlockSize", INT, "16, 32, 64, 128"),
    _parameter("max-prefill-batch-size", f"{SCHEDULE}.maxPrefillBatchSize", INT, "0..max-batch-size"),
    _parameter("max-prefill-tokens", f"{SCHEDULE}.maxPrefillTokens", INT, "max-input-token-len..4194304"),
    _parameter("prefill-time-ms-per-req", f"{SCHEDULE}.prefillTimeMsPerReq", INT, "0..1000 ms"),
    _parameter("prefill-policy-type", f"{SCHEDULE}.prefillPolicyType", INT, "0..3"),
    _parameter("max-batch-size", f"{SCHEDULE}.maxBatchSize", INT, "1..819200"),
    _parameter("decode-time-ms-per-req", f"{SCHEDULE}.decodeTimeMsPerReq", INT, "0..1000 ms"),
    _parameter("decode-policy-type", f"{SCHEDULE}.decodePolicyType", INT, "0..3"),
    _parameter("max-iter-times", f"{SCHEDULE}.maxIterTimes", INT, "1..max-seq-len"),
    _parameter("max-preempt-count", f"{SCHEDULE}.maxPreemptCount", INT, "0..max-batch-size"),
    _parameter("support-select-batch", f"{SCHEDULE}.supportSelectBatch", FLAG, "yes or no"),
    _parameter("max-queue-delay-microseconds", f"{SCHEDULE}.maxQueueDelayMicroseconds", INT, "500..1000000 us"),
    _parameter("dtype", WEIGHTS, TEXT, "auto, half, float16, bfloat16, float, float32"),
    _parameter("rope-scaling", WEIGHTS, JSON, "a JSON object"),
    _parameter("rope-theta", WEIGHTS, FLOAT, "above 0"),
    _parameter("override-generation-config", "weights' generation_config.json", JSON, "a JSON object"),
    _parameter("enforce-eager", "ASCEND_LAUNCH_BLOCKING", FLAG, "yes or no"),
    _parameter("metrics", "MIES_SERVICE_MONITOR_MODE", FLAG, "yes or no"),
    _parameter("enable-split", f"{SCHEDULE}.enableSplit", FLAG, "yes or no"),
    _parameter("policy-type", f"{SCHEDULE}.policyType", INT, "0, 4..7"),
    _parameter("split-chunk-tokens", f"{SCHEDULE}.splitChunkTokens", INT, "512..max-input-token-len"),
    _parameter("split-start-batch-size", f"{SCHEDULE}.splitStartBatchSize", INT, "0..max-batch-size"),
    _parameter("enable-memory-decoding", PLUGIN, FLAG, "yes or no"),
    _parameter("memory-decoding-length", PLUGIN, INT, "1..16"),
    _parameter("memory-decoding-dynamic-algo", PLUGIN, FLAG, "yes or no"),
    _parameter("enable-lookahead", PLUGIN, FLAG, "yes or no"),
    _parameter("lookahead-level", PLUGIN, INT, "3..16"),
    _parameter("lookahead-window", PLUGIN, INT, "1..16"),
    _parameter("lookahead-guess-set-size", PLUGIN, INT, "1..16"),
    _parameter("enable-multi-token-prediction", PLUGIN, FLAG, "yes or no"),
    _parameter("multi-token-prediction-tokens", PLUGIN, INT, "1..16"),
    _parameter("enable-prefix-caching", PLUGIN, FLAG, "yes or no"),
    _parameter("enable-buffer-response", f"{SCHEDULE}.bufferResponseEnabled", FLAG, "yes or no"),
    _parameter("prefill-expected-time-ms", f"{SCHEDULE}.prefillExpectedTime", INT, "1..10000 ms"),
    _parameter("decode-expected-time-ms", f"{SCHEDULE}.decodeExpectedTime", INT, "1..10000 ms"),
    _parameter("pipeline-parallel-size", f"{MODEL}.pp", INT, "1..512", "pp"),
    _parameter("data-parallel-size", f"{MODEL}.dp", INT, "1..512, -1: unset", "dp"),
    _parameter("context-parallel-size", f"{MODEL}.cp", INT, "a power of two, -1: unset", "cp"),
    _parameter("tensor-parallel-size", f"{MODEL}.tp", INT, "a power of two, -1: unset", "tp"),
    _parameter("sequence-parallel-size", f"{MODEL}.sp", INT, "a power of two, -1: unset", "sp"),
    _parameter("moe-expert-parallel-size", f"{MODEL}.moe_ep", INT, "1..512, -1: unset", "moe-ep"),
    _parameter("moe-tensor-parallel-size", f"{MODEL}.moe_tp", INT, "a power of two, -1: unset", "moe-tp"),
)
BY_NAME = {f"--{parameter.name}": parameter for parameter in PARAMETERS} | {
    f"-{parameter.short}": parameter for parameter in PARAMETERS if parameter.short
}
NUMBER = re.compile(r"[+-]?[0-9]+")
DECIMAL = re.compile(r"[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?")
# As GPUStack has it, zero or less means the same as -1 here.
AS_MAX_SEQ_LEN = frozenset({"max_input_token_len", "max_prefill_tokens", "max_iter_times"})


class BackendParameterError(UsageError):
    """A pasted list that cannot be translated; `problems` has every fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"these backend parameters cannot be taken:\n{lines}", "correct the list and paste it again")


def translate(parameters: str | Sequence[str]) -> dict[str, object]:
    """Translates GPUStack's backend parameters into our variables (with the prefix).

    Takes one text as on a command line, or a list as in GPUStack's form, an entry each ("--tensor-parallel-size=8",
    "-tp 8"). Values get their types here; Settings.from_variables checks their ranges. Raises BackendParameterError
    naming every unknown parameter (with the nearest known one), missing or ill-typed value, and contradiction.
    """
    result: dict[str, object] = {}
    problems: list[str] = []
    for name, text in _pairs(parameters):
        parameter, wanted = _find(name)
        if parameter is None:
            problems.append(_unknown(name))
            continue
        try:
            value = _value(parameter, text, wanted)
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        key = PREFIX + parameter.setting
        if key in result and result[key] != value:
            problems.append(f"{name}: given twice, as {result[key]} and as {value}")
        result[key] = value
    if problems:
        raise BackendParameterError(problems)
    return result


def _pairs(parameters: str | Sequence[str]) -> list[tuple[str, str | None]]:
    """Returns (name, value) pairs; the value is None where there is none."""
    if isinstance(parameters, str):
        try:
            words = shlex.split(parameters)
        except ValueError as error:
            raise BackendParameterError([f"the list cannot be split into words: {error}"]) from None
    else:
        words = []
        for entry in parameters:
            # "--name value" and "-tp 8" are one entry in GPUStack's form; what follows "=" may hold spaces (JSON).
            head, space, tail = entry.strip().partition(" ")
            words += [head, tail.strip()] if space and "=" not in head else [entry.strip()]
    pairs: list[tuple[str, str | None]] = []
    position = 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        position += 1
        if equals:
            pairs.append((name, value))
            continue
        following = words[position] if position < len(words) else None
        takes = _find(name)[0]
        has_value = following is not None and (not following.startswith("-") or DECIMAL.fullmatch(following))
        if has_value and not (takes is not None and takes.kind == FLAG and not _is_flag_word(following or "")):
            pairs.append((name, following))
            position += 1
        else:
            pairs.append((name, None))
    return pairs


def _find(name: str) -> tuple[Parameter | None, bool]:
    """Returns the parameter of a name, and False where the name switches a flag off (--no-...)."""
    if name.startswith("--no-"):
        parameter = BY_NAME.get("--" + name[len("--no-") :])
        return (parameter, False) if parameter is not None and parameter.kind == FLAG else (None, True)
    return BY_NAME.get(name), True


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, BY_NAME, n=1, cutoff=0.5)
    return f"{name}: there is no such parameter" + (f"; did you mean {near[0]}?" if near else "")


def _is_flag_word(text: str) -> bool:
    return text.lower() in ("true", "false")


def _value(parameter: Parameter, text: str | None, wanted: bool) -> object:
    """Returns the typed value; raises ValueError with what is expected."""
    if parameter.kind == FLAG:
        if text is None:
            return wanted
        if not wanted or not _is_flag_word(text):
            raise ValueError("takes no value, or =true or =false")
        return text.lower() == "true"
    if text is None or text == "":
        raise ValueError(f"needs a value: {parameter.accepts}")
    if parameter.kind == INT:
        if not NUMBER.fullmatch(text):
            raise ValueError(f'"{text}" is not a whole number ({parameter.accepts})')
        number = int(text)
        return -1 if parameter.setting in AS_MAX_SEQ_LEN and number <= 0 else number
    if parameter.kind == FLOAT:
        if not DECIMAL.fullmatch(text):
            raise ValueError(f'"{text}" is not a number ({parameter.accepts})')
        return float(text)
    if parameter.kind == JSON:
        try:
            value = json.loads(text)
        except ValueError:
            raise ValueError(f'"{text}" is not JSON; in one line of text put single quotes around it') from None
        if not isinstance(value, dict):
            raise ValueError(f'"{text}" is not a JSON object')
        return value
    return LOG_LEVELS.get(text.lower(), text.lower())
