#!/usr/bin/env python3
"""Makes a model directory that is DeepSeek-R1-BF16 in form: its file names, index, tensor names and small files, with
tensors of a few bytes.

Sources of the form: the tensor names follow from the public architecture (inference/configs/config_671B.json and the
modelling code of the DeepSeek-V3 repository); that they are right shows in their number: the FP8 form has the 91,991
names that the official index has. The cut into 163 shards follows the real sizes of the tensors; the real checkpoint
was cut by another script and differs in where some shards end.

The same arguments always give the same bytes. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHARDS = 163
# Names what made a directory, so that a complete one is not made again and one of an older script is.
FORM_VERSION = 1
STAMP = ".simulated-weights.json"
FP8_BLOCK = 128

# Values only, from config_671B.json of the DeepSeek-V3 repository and the public model description.
ARCHITECTURE: dict[str, object] = {
    "vocab_size": 129280,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "first_k_dense_replace": 3,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "n_group": 8,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "norm_topk_prob": True,
    "moe_layer_freq": 1,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "hidden_act": "silu",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "tie_word_embeddings": False,
    "use_cache": True,
    "max_position_embeddings": 163840,
    "rope_theta": 10000,
    "rope_scaling": {
        "type": "yarn",
        "factor": 40,
        "original_max_position_embeddings": 4096,
        "beta_fast": 32,
        "beta_slow": 1,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    },
    "rms_norm_eps": 1e-06,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "num_nextn_predict_layers": 1,
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of the real model. `shape` is the real one; the file has a tiny one of the same rank."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def real_bytes(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count * WIDTH[self.dtype]

    @property
    def tiny_shape(self) -> tuple[int, ...]:
        if self.name.endswith("_scale_inv"):
            return (1, 1)
        return (2,) * len(self.shape)

    @property
    def tiny_bytes(self) -> bytes:
        """Finite small numbers that differ from tensor to tensor: the upper byte of each is a safe exponent."""
        count = 1
        for side in self.tiny_shape:
            count *= side
        noise = hashlib.sha256(self.name.encode()).digest()[:count]
        exponent = {"BF16": b"\x3c", "F32": b"\x80\x3c", "F8_E4M3": b""}[self.dtype]
        pad = WIDTH[self.dtype] - 1 - len(exponent)
        if self.dtype == "F8_E4M3":
            return bytes(byte & 0x37 for byte in noise)
        return b"".join(b"\0" * pad + bytes([byte]) + exponent for byte in noise)


WIDTH = {"BF16": 2, "F32": 4, "F8_E4M3": 1}


def size(key: str) -> int:
    value = ARCHITECTURE[key]
    assert isinstance(value, int)
    return value


def tensors(form: str) -> Iterator[Tensor]:
    """Yields every tensor of the model in the order of its layers."""
    hidden, vocabulary = size("hidden_size"), size("vocab_size")
    yield Tensor("model.embed_tokens.weight", "BF16", (vocabulary, hidden))
    layers = size("num_hidden_layers")
    for layer in range(layers):
        yield from layer_tensors(layer, form)
    yield Tensor("model.norm.weight", "BF16", (hidden,))
    yield Tensor("lm_head.weight", "BF16", (vocabulary, hidden))
    # The layers that predict further tokens stand behind the others and carry an embedding and a head of their own.
    for layer in range(layers, layers + size("num_nextn_predict_layers")):
        prefix = f"model.layers.{layer}."
        yield Tensor(prefix + "embed_tokens.weight", "BF16", (vocabulary, hidden))
        yield Tensor(prefix + "enorm.weight", "BF16", (hidden,))
        yield Tensor(prefix + "hnorm.weight", "BF16", (hidden,))
        yield Tensor(prefix + "eh_proj.weight", "BF16", (hidden, 2 * hidden))
        yield from layer_tensors(layer, form)
        yield Tensor(prefix + "shared_head.norm.weight", "BF16", (hidden,))
        yield Tensor(prefix + "shared_head.head.weight", "BF16", (vocabulary, hidden))


def layer_tensors(layer: int, form: str) -> Iterator[Tensor]:
    """Yields the tensors of one decoder layer: attention (MLA), then a dense MLP or the experts."""
    prefix = f"model.layers.{layer}."
    hidden, heads = size("hidden_size"), size("num_attention_heads")
    nope, rope, value = size("qk_nope_head_dim"), size("qk_rope_head_dim"), size("v_head_dim")
    q_rank, kv_rank = size("q_lora_rank"), size("kv_lora_rank")
    attention = prefix + "self_attn."
    yield from projection(attention + "q_a_proj", (q_rank, hidden), form)
    yield Tensor(attention + "q_a_layernorm.weight", "BF16", (q_rank,))
    yield from projection(attention + "q_b_proj", (heads * (nope + rope), q_rank), form)
    yield from projection(attention + "kv_a_proj_with_mqa", (kv_rank + rope, hidden), form)
    yield Tensor(attention + "kv_a_layernorm.weight", "BF16", (kv_rank,))
    yield from projection(attention + "kv_b_proj", (heads * (nope + value), kv_rank), form)
    yield from projection(attention + "o_proj", (hidden, heads * value), form)
    mlp = prefix + "mlp."
    if layer < size("first_k_dense_replace"):
        yield from feed_forward(mlp, size("intermediate_size"), form)
    else:
        experts = size("n_routed_experts")
        yield Tensor(mlp + "gate.weight", "BF16", (experts, hidden))
        # Kept in float32 in the official checkpoint, whatever the rest is in.
        yield Tensor(mlp + "gate.e_score_correction_bias", "F32", (experts,))
        for expert in range(experts):
            yield from feed_forward(f"{mlp}experts.{expert}.", size("moe_intermediate_size"), form)
        shared = size("moe_intermediate_size") * size("n_shared_experts")
        yield from feed_forward(mlp + "shared_experts.", shared, form)
    yield Tensor(prefix + "input_layernorm.weight", "BF16", (hidden,))
    yield Tensor(prefix + "post_attention_layernorm.weight", "BF16", (hidden,))


def feed_forward(prefix: str, inner: int, form: str) -> Iterator[Tensor]:
    hidden = size("hidden_size")
    yield from projection(prefix + "gate_proj", (inner, hidden), form)
    yield from projection(prefix + "up_proj", (inner, hidden), form)
    yield from projection(prefix + "down_proj", (hidden, inner), form)


def projection(name: str, shape: tuple[int, int], form: str) -> Iterator[Tensor]:
    """A matrix; as FP8 it comes with one float32 scale for each block of 128 x 128."""
    if form == "bf16":
        yield Tensor(name + ".weight", "BF16", shape)
        return
    yield Tensor(name + ".weight", "F8_E4M3", shape)
    blocks = (-(-shape[0] // FP8_BLOCK), -(-shape[1] // FP8_BLOCK))
    yield Tensor(name + ".weight_scale_inv", "F32", blocks)


def cut(everything: list[Tensor]) -> list[list[Tensor]]:
    """Returns the tensors cut into 163 shards of about the same real size, in order."""
    total = sum(tensor.real_bytes for tensor in everything)
    shards: list[list[Tensor]] = [[] for _ in range(SHARDS)]
    before = 0
    for tensor in everything:
        middle = before + tensor.real_bytes // 2
        shards[min(SHARDS - 1, middle * SHARDS // total)].append(tensor)
        before += tensor.real_bytes
    return shards


def safetensors(shard: list[Tensor]) -> bytes:
    """Returns one safetensors file: length of the header (8 bytes, little-endian), JSON header, the tensors' bytes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    parts = []
    offset = 0
    for tensor in shard:
        content = tensor.tiny_bytes
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.tiny_shape),
            "data_offsets": [offset, offset + len(content)],
        }
        parts.append(content)
        offset += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def pretty(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=False) + "\n").encode()


def configuration(form: str) -> dict[str, object]:
    """Returns config.json. The FP8 form carries the quantization_config that marks it."""
    result: dict[str, object] = {
        "architectures": ["DeepseekV3ForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_deepseek.DeepseekV3Config",
            "AutoModel": "modeling_deepseek.DeepseekV3Model",
            "AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM",
        },
        "model_type": "deepseek_v3",
        **ARCHITECTURE,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.46.3",
    }
    if form == "fp8":
        result["quantization_config"] = {
            "activation_scheme": "dynamic",
            "fmt": "e4m3",
            "quant_method": "fp8",
            "weight_block_size": [FP8_BLOCK, FP8_BLOCK],
        }
    return result


def tokenizer() -> tuple[dict[str, object], dict[str, object]]:
    """Returns tokenizer.json (every byte is a token) and tokenizer_config.json."""
    begin, end, pad = "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<pad>"
    special = [begin, end, pad]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(rest))]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": True}
    form: dict[str, object] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": word, **flags} for index, word in enumerate(special)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "vocab": {word: index for index, word in enumerate([*special, *letters])},
            "merges": [],
        },
    }
    token = {"__type": "AddedToken", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    settings: dict[str, object] = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": {**token, "content": begin},
        "clean_up_tokenization_spaces": False,
        "eos_token": {**token, "content": end},
        "model_max_length": 131072,
        "pad_token": {**token, "content": end},
        "tokenizer_class": "LlamaTokenizerFast",
        "chat_template": "{% for message in messages %}{{ message['content'] }}{% endfor %}",
    }
    return form, settings


def small_files(form: str) -> dict[str, bytes]:
    """Returns the files beside the shards and the index."""
    words, settings = tokenizer()
    generation: dict[str, object] = {
        "_from_model_config": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "do_sample": True,
    }
    generation.update({"temperature": 0.6, "top_p": 0.95, "transformers_version": "4.46.3"})
    placeholder = b'"""Placeholder of the simulated model: the serving program brings its own code."""\n'
    return {
        "config.json": pretty(configuration(form)),
        "generation_config.json": pretty(generation),
        "tokenizer.json": pretty(words),
        "tokenizer_config.json": pretty(settings),
        "configuration_deepseek.py": placeholder,
        "modeling_deepseek.py": placeholder,
    }


def write(directory: Path, form: str) -> None:
    """Fills an empty directory."""
    shards = cut(list(tensors(form)))
    weight_map = {}
    total = 0
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{SHARDS:06d}.safetensors"
        (directory / name).write_bytes(safetensors(shard))
        weight_map.update({tensor.name: name for tensor in shard})
        total += sum(len(tensor.tiny_bytes) for tensor in shard)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (directory / "model.safetensors.index.json").write_bytes(pretty(index))
    for name, content in small_files(form).items():
        (directory / name).write_bytes(content)


def complete(directory: Path, stamp: dict[str, object]) -> bool:
    """Whether the directory was made by this version of the script in this form, and no file changed its size."""
    try:
        found = json.loads((directory / STAMP).read_text())
        sizes = found.pop("sizes")
        return bool(found == stamp) and all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def make(output: Path, form: str) -> bool:
    """Makes the directory at `output`, whole or not at all. Returns False when it stood there already."""
    stamp: dict[str, object] = {"form": form, "version": FORM_VERSION}
    if complete(output, stamp):
        return False
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.parent / f".{output.name}.{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        write(beside, form)
        sizes = {path.name: path.stat().st_size for path in sorted(beside.iterdir())}
        (beside / STAMP).write_text(json.dumps({**stamp, "sizes": sizes}))
        if output.exists():
            if not (output / STAMP).exists() and any(output.iterdir()):
                raise SystemExit(f"{output} holds files that this script did not make; choose another --output")
            shutil.rmtree(output)
        beside.rename(output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes the simulated model directory.")
    parser.add_argument("--output", required=True, type=Path, help="the model directory to make")
    parser.add_argument("--form", choices=("bf16", "fp8"), default="bf16")
    arguments = parser.parse_args()
    made = make(arguments.output, arguments.form)
    print(f"{arguments.output}: {'made' if made else 'already there'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
