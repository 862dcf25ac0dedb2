"""HBM of one NPU: what the weights of the real model need there, and what is left for the KV cache.

The arithmetic (field notes 9): bytes of DeepSeek-R1 in BF16, split over the ranks as the ATB model splits them; the
budget is the memory that a process can see times NPU_MEMORY_FRACTION.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .knobs import Knobs
from .mapping import Sizes

GIB = 1 << 30
MIB = 1 << 20
BYTES = 2  # BF16
# Runtime of one process outside weights and workspace, GiB (field notes 9.4).
RUNTIME_GIB = 0.4

# DeepSeek-R1's public architecture, used for what the weights' config.json does not say.
ARCHITECTURE = {
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "first_k_dense_replace": 3,
    "num_attention_heads": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
}


class OutOfMemoryError(RuntimeError):
    """The text that torch prints when HBM runs out."""


@dataclass(frozen=True)
class Fit:
    """Bytes on one NPU."""

    visible: int
    budget: int
    weights: int
    kv_cache: int

    @property
    def claim_mib(self) -> int:
        """What a loaded worker holds, MiB."""
        return (self.budget if self.kv_cache > 0 else min(self.weights, self.budget)) // MIB


def weights_bytes(config: Mapping[str, Any], sizes: Sizes) -> int:
    """Bytes of the weights on one NPU for the sizes in force."""
    size = {name: _integer(config.get(name), default) for name, default in ARCHITECTURE.items()}
    hidden, heads, layers = size["hidden_size"], size["num_attention_heads"], size["num_hidden_layers"]
    dense_layers = min(size["first_k_dense_replace"], layers)
    moe_layers = layers - dense_layers
    expert = 3 * hidden * size["moe_intermediate_size"]
    whole = hidden * size["q_lora_rank"] + hidden * (size["kv_lora_rank"] + size["qk_rope_head_dim"])
    split = (
        size["q_lora_rank"] * heads * (size["qk_nope_head_dim"] + size["qk_rope_head_dim"])
        + size["kv_lora_rank"] * heads * (size["qk_nope_head_dim"] + size["v_head_dim"])
        + heads * size["v_head_dim"] * hidden
    )
    vocabulary = size["vocab_size"] * hidden
    parameters = (
        moe_layers * size["n_routed_experts"] * expert / (sizes.moe_tp * sizes.moe_ep)
        + layers * (whole + split / sizes.tp)
        + dense_layers * 3 * hidden * size["intermediate_size"] / sizes.tp
        + moe_layers * size["n_shared_experts"] * expert / sizes.world
        + moe_layers * hidden * size["n_routed_experts"]
        + vocabulary / sizes.tp
        + vocabulary / sizes.world
    )
    return int(parameters * BYTES / sizes.pp)


def kv_bytes_per_token(config: Mapping[str, Any]) -> int:
    """MLA: (kv_lora_rank + rope) values a layer and token, whole on each rank (field notes 9.3)."""
    size = {name: _integer(config.get(name), default) for name, default in ARCHITECTURE.items()}
    return (size["kv_lora_rank"] + size["qk_rope_head_dim"]) * size["num_hidden_layers"] * BYTES


def fit(config: Mapping[str, Any], sizes: Sizes, fraction: float, knobs: Knobs) -> Fit:
    """The budget of one NPU and what goes into it; negative `kv_cache` means that nothing is left."""
    visible = (knobs.hbm_mib_per_npu - knobs.hbm_outside_mib) * MIB
    budget = int(visible * fraction)
    if knobs.weights_gib_per_npu is not None:
        weights = int(knobs.weights_gib_per_npu * GIB)
    else:
        weights = weights_bytes(config, sizes)
    kv_cache = budget - weights - int((RUNTIME_GIB + knobs.workspace_gib) * GIB)
    return Fit(visible, budget, weights, kv_cache)


def check_weights(found: Fit, npu: int) -> None:
    """Raises OutOfMemoryError when the weights alone do not fit (fault 79)."""
    if found.weights > found.budget:
        raise OutOfMemoryError(
            f"NPU out of memory. Tried to allocate {min(1.75, found.weights / GIB):.2f} GiB (NPU {npu}; "
            f"{found.visible / GIB:.2f} GiB total capacity; {found.budget / GIB:.2f} GiB already allocated; "
            f"{found.budget / GIB:.2f} GiB current active; 0 bytes free; "
            f"{found.budget / GIB:.2f} GiB reserved in total by PyTorch) "
            "If reserved memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation."
        )


def kv_blocks(found: Fit, config: Mapping[str, Any], block_size: int, tokens_needed: int) -> int:
    """Blocks of the KV cache; raises OutOfMemoryError when they hold fewer than `tokens_needed` (fault 80)."""
    blocks = found.kv_cache // (kv_bytes_per_token(config) * block_size)
    wanted = -(-tokens_needed // block_size)
    if blocks < 0:
        raise OutOfMemoryError(f"Warmup failed. Num_npu_blocks should be non-negative, but got {blocks}")
    if blocks < wanted:
        raise OutOfMemoryError(f"Warmup failed. Num_npu_blocks {blocks} is smaller than required {wanted}")
    return blocks


def _integer(value: object, default: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return default
