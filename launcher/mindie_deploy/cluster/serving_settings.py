"""Settings: parallel sizes, memory, token limits, scheduling, the server. GPUStack's parameters keep their words."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from mindie_deploy.cluster.schema import SettingGroup, setting

UNSET = -1
LARGEST_WORLD = 512  # MindIE: rank_id 0..511


def _size(name: str, value: int) -> int:
    if value != UNSET and (value < 1 or value > LARGEST_WORLD):
        raise ValueError(f"must be a whole number from 1 to {LARGEST_WORLD}, or -1 for unset")
    if value > 0 and name in POWERS_OF_TWO and value & (value - 1):
        raise ValueError("must be a power of two (it divides attention heads and matrices), or -1 for unset")
    return value


POWERS_OF_TWO = frozenset(
    {"tensor_parallel_size", "moe_tensor_parallel_size", "sequence_parallel_size", "context_parallel_size"}
)
SIZE = "a whole number from 1 to 512, or -1: unset"
TWO_POWER_SIZE = "1, 2, 4, 8 ... 512, or -1: unset"


class ParallelSettings(SettingGroup):
    """How the model is divided among all NPUs."""

    TITLE: ClassVar[str] = "Parallel sizes (over all NPUs of all hosts)"

    data_parallel_size: int = setting(
        4,
        "Groups that each serve requests of their own (dp).",
        why="one group per host keeps attention traffic inside a host; 1, or a multiple of the number of hosts",
        accepts=SIZE,
    )
    tensor_parallel_size: int = setting(
        8,
        "NPUs that share one attention layer (tp); unset: all NPUs.",
        why="the eight NPUs of one host; dp x tp must be the number of all NPUs",
        accepts=TWO_POWER_SIZE,
    )
    moe_tensor_parallel_size: int = setting(
        1,
        "NPUs that share one expert (moe_tp); unset: all NPUs.",
        why="written always: MindIE takes tp where it is left out, and 8 x 32 is not 32",
        accepts=TWO_POWER_SIZE,
    )
    moe_expert_parallel_size: int = setting(
        32,
        "Groups that the experts are spread over (moe_ep); unset: 1.",
        why="256 experts over 32 NPUs are 8 each, about 41 GB a NPU; moe_tp x moe_ep must be the number of all NPUs",
        accepts=SIZE,
    )
    pipeline_parallel_size: int = setting(1, "Stages of layers (pp); excludes dp.", accepts=SIZE)
    sequence_parallel_size: int = setting(
        UNSET, "Sequence parallel size (sp); above 1 it must equal tp.", accepts=TWO_POWER_SIZE
    )
    context_parallel_size: int = setting(
        UNSET, "Context parallel size (cp); excludes dp. MindIE 2.1 and newer.", accepts=TWO_POWER_SIZE
    )

    @field_validator(
        "data_parallel_size",
        "tensor_parallel_size",
        "moe_tensor_parallel_size",
        "moe_expert_parallel_size",
        "pipeline_parallel_size",
        "sequence_parallel_size",
        "context_parallel_size",
    )
    @classmethod
    def _sizes(cls, value: int, info: object) -> int:
        return _size(str(getattr(info, "field_name", "")), value)


class MemorySettings(SettingGroup):
    """NPU and host memory of the model."""

    TITLE: ClassVar[str] = "Memory"

    npu_memory_fraction: float = setting(
        0.95,
        "Share of each NPU's memory that MindIE may use (NPU_MEMORY_FRACTION).",
        gt=0,
        le=1,
        why="with dp 4, tp 8, ep 32 about 43 of 61 GiB are weights; 0.8, MindIE's default, leaves 0 to 3 GiB for the "
        "KV cache, 0.95 leaves 8 to 12 (README of DeepSeek-R1: 0.95; 0.96 if memory runs out)",
    )
    npu_mem_size: int = setting(
        -1,
        "KV cache per NPU; -1: what the fraction leaves.",
        unit="GB",
        why="a size given by hand fails or hangs when it is too large",
        accepts="-1, or a whole number from 1 to 64",
    )
    cpu_mem_size: int = setting(
        0,
        "Host memory per NPU for KV blocks of preempted requests.",
        unit="GB",
        ge=0,
        le=4096,
        why="only used when max_preempt_count is above 0",
    )
    cache_block_size: Literal[16, 32, 64, 128] = setting(128, "Tokens in a KV block.", why="MindIE's default")

    @field_validator("npu_mem_size")
    @classmethod
    def _npu_mem_size(cls, value: int) -> int:
        if value != -1 and not 1 <= value <= 64:
            raise ValueError("must be -1, or a whole number from 1 to 64 (GB)")
        return value


class TokenSettings(SettingGroup):
    """How long requests and answers may be."""

    TITLE: ClassVar[str] = "Token limits"

    max_seq_len: int = setting(
        8192,
        "Longest sequence: prompt and answer together.",
        unit="tokens",
        ge=1,
        le=4194304,
        why="with fraction 0.95 the KV cache holds about 130,000 to 190,000 tokens per dp group, 15 to 23 sequences of "
        "this length; longer ones also raise the warm-up peak, because MindIE lifts maxPrefillTokens to the "
        "smaller of max_seq_len and max_input_token_len + max_iter_times",
    )
    max_input_token_len: int = setting(
        -1,
        "Longest prompt; -1: as max_seq_len.",
        unit="tokens",
        accepts="a whole number from 1 to max_seq_len, or -1",
        why="GPUStack's default; MindIE itself keeps one token for the answer",
    )
    max_prefill_tokens: int = setting(
        -1,
        "Prompt tokens that one prefill step may hold; -1: as max_seq_len.",
        unit="tokens",
        accepts="a whole number from max_input_token_len to 4194304, or -1",
        why="at least max_input_token_len; sets the memory peak of the warm-up: lower it first when memory runs out",
    )
    max_iter_times: int = setting(
        -1,
        "Longest answer, and the default of max_tokens; -1: as max_seq_len.",
        unit="tokens",
        accepts="a whole number from 1 to max_seq_len, or -1",
        why="MindIE's own 512 cuts the long reasoning of DeepSeek-R1",
    )
    truncation: bool = setting(False, "Cut a prompt that is too long instead of refusing it.", why="a cut prompt lies")

    @field_validator("max_input_token_len", "max_prefill_tokens", "max_iter_times")
    @classmethod
    def _as_max_seq_len(cls, value: int) -> int:
        if value != -1 and not 1 <= value <= 4194304:
            raise ValueError("must be a whole number from 1 to 4194304 (tokens), or -1 for the same as max_seq_len")
        return value


class SchedulingSettings(SettingGroup):
    """How requests become batches."""

    TITLE: ClassVar[str] = "Batches and scheduling"

    max_batch_size: int = setting(
        64,
        "Sequences decoded at once, per dp group.",
        ge=1,
        le=819200,
        why="64 in each of 4 groups are 256, within the 300 connections of max_link_num; the KV cache then holds about "
        "2,000 tokens of each at once (MindIE's 200 would be 650). Above 50, so that scheduling is asynchronous",
    )
    max_prefill_batch_size: int = setting(
        8,
        "Prompts in one prefill step; 0: as max_batch_size.",
        ge=0,
        le=819200,
        why="README of DeepSeek-R1; at most max_batch_size",
    )
    prefill_time_ms_per_req: int = setting(
        150, "Expected time of one prefill, for the scheduler.", unit="ms", ge=0, le=1000, why="MindIE's default"
    )
    decode_time_ms_per_req: int = setting(
        50, "Expected time of one decode step, for the scheduler.", unit="ms", ge=0, le=1000, why="MindIE's default"
    )
    prefill_policy_type: int = setting(0, "Order of prompts.", ge=0, le=3, why="0 is the only documented policy")
    decode_policy_type: int = setting(0, "Order of decoding.", ge=0, le=3, why="0 is the only documented policy")
    max_preempt_count: int = setting(
        0,
        "Requests that may be set aside at once when memory is short.",
        ge=0,
        le=819200,
        why="above 0 needs cpu_mem_size; at most max_batch_size",
    )
    support_select_batch: bool = setting(False, "Let the two times above choose between prefill and decode.")
    max_queue_delay_microseconds: int = setting(
        5000, "Longest wait for a fuller batch.", unit="microseconds", ge=500, le=1000000, why="MindIE's default"
    )
    tokenizer_process_number: int = setting(
        8, "Tokenizer processes on the leader.", ge=1, le=32, why="MindIE's default"
    )


class ServerSettings(SettingGroup):
    """Ports and limits of the server."""

    TITLE: ClassVar[str] = "Server"

    port: int = setting(1025, "Port of the API, on the leader.", ge=1024, le=65535, why="MindIE's default")
    management_port: int = setting(
        1026, "Port of health and management, on the leader.", ge=1024, le=65535, why="MindIE's default"
    )
    metrics_port: int = setting(1027, "Port of /metrics, on the leader.", ge=1024, le=65535, why="MindIE's default")
    multi_nodes_infer_port: int = setting(
        1120, "Port on the leader where the followers register (gRPC).", ge=1024, le=65535, why="MindIE's default"
    )
    master_port: int = setting(
        29500,
        "Port on the leader for torch's process group (MASTER_PORT); used with backend_type torch or pp above 1.",
        ge=1024,
        le=65535,
        why="torch's default",
    )
    max_link_num: int = setting(
        300,
        "Connections that the API serves at once; twice as many may wait.",
        ge=1,
        le=4096,
        why="README of DeepSeek-R1: 1000, MindIE's default, is unstable on four hosts",
    )
    token_timeout: int = setting(600, "Longest wait for one token.", unit="s", ge=1, le=3600, why="MindIE's default")
    e2e_timeout: int = setting(
        3600,
        "Longest time for a whole answer.",
        unit="s",
        ge=1,
        le=65535,
        why="MindIE's 600 ends long reasoning: 8,000 tokens at 10 tokens a second take 800 s",
    )
    npu_usage_threshold: int = setting(
        0,
        "MindIE probes itself with an inference when the NPUs' load is below this; 0: never.",
        unit="percent",
        ge=0,
        le=100,
        why="MindIE ships 0; above 0 makes /v2/health/live notice a follower's death",
    )
    metrics: bool = setting(True, "Answer /metrics (MIES_SERVICE_MONITOR_MODE).", why="otherwise it answers 500")
    log_level: Literal["debug", "info", "warn", "error", "critical"] = setting(
        "info", "MINDIE_LOG_LEVEL.", why="shows each stage of loading; debug slows serving"
    )
    trust_remote_code: bool = setting(
        False, "Run Python code found in the weights directory.", why="MindIE carries its own code for DeepSeek"
    )
    backend_type: Literal["atb", "ms", "torch"] = setting(
        "atb", "Backend of the model.", why="atb is the one documented for DeepSeek-R1"
    )
