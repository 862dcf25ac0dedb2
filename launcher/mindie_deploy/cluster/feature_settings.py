"""Settings: optional features of MindIE. All are off; the defaults of their parameters are MindIE's or GPUStack's."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from mindie_deploy.cluster.schema import SettingGroup, setting


class FeatureSettings(SettingGroup):
    """Speculation, split prefill, caches, and what changes the model's own configuration."""

    TITLE: ClassVar[str] = "Features (off unless enabled; which exclude one another is checked)"

    enable_split: bool = setting(
        False, "Mix prefill chunks with decoding (split fuse).", why="not with dp above 1, or any other feature here"
    )
    policy_type: Literal[0, 4, 5, 6, 7] = setting(
        0, "Scheduling policy with split fuse.", why="first come, first served"
    )
    split_chunk_tokens: int = setting(
        512, "Chunk of a split prompt.", unit="tokens", ge=512, le=4194304, why="at most max_input_token_len"
    )
    split_start_batch_size: int = setting(
        16, "Running sequences from which prompts are split.", ge=0, le=819200, why="at most max_batch_size"
    )
    enable_memory_decoding: bool = setting(False, "Speculate from earlier answers.", why="not with dp above 1")
    memory_decoding_length: int = setting(16, "Tokens guessed at once.", unit="tokens", ge=1, le=16)
    memory_decoding_dynamic_algo: bool = setting(False, "Choose the length of the guess by itself.")
    enable_lookahead: bool = setting(False, "Speculate by lookahead decoding.", why="not with dp above 1")
    lookahead_level: int = setting(4, "Length of an n-gram.", unit="tokens", ge=3, le=16)
    lookahead_window: int = setting(5, "Width of the look-ahead.", unit="tokens", ge=1, le=16)
    lookahead_guess_set_size: int = setting(5, "Guesses verified at once.", ge=1, le=16)
    enable_multi_token_prediction: bool = setting(
        False,
        "Speculate with the model's own MTP layer.",
        why="costs about 1.1 GB more a NPU, and the weights must carry the layer",
    )
    multi_token_prediction_tokens: int = setting(1, "Tokens predicted at once.", unit="tokens", ge=1, le=16)
    enable_prefix_caching: bool = setting(
        False, "Keep the KV cache of shared beginnings of prompts.", why="not with dp above 1"
    )
    enable_buffer_response: bool = setting(
        False, "Even out the answers to the two expected times; both must then be given."
    )
    prefill_expected_time_ms: int = setting(
        0, "Wanted time to the first token; 0: not given.", unit="ms", ge=0, le=10000
    )
    decode_expected_time_ms: int = setting(0, "Wanted time of a token; 0: not given.", unit="ms", ge=0, le=10000)
    enforce_eager: bool = setting(False, "Run every operator synchronously: slow, for finding faults.")
    models: dict[str, Any] = setting(
        {},
        "Options of the model family, passed to MindIE as they are.",
        why="options such as enable_nz are documented for W8A8 only",
        accepts="a dictionary",
        example='{"deepseekv2": {"kv_cache_options": {"enable_nz": true}}}',
    )
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] = setting(
        "auto", "Data type instead of the one in the weights' config.json.", why="the weights say bfloat16"
    )
    rope_scaling: dict[str, Any] = setting(
        {},
        "Instead of rope_scaling in the weights' config.json; the weights themselves stay as they are.",
        accepts="a dictionary",
    )
    rope_theta: float = setting(0.0, "Instead of rope_theta in the weights' config.json; 0: as it stands.", ge=0)
    override_generation_config: dict[str, Any] = setting(
        {}, "Instead of values in the weights' generation_config.json.", accepts="a dictionary"
    )
