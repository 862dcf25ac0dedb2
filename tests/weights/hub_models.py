"""A small model as a hub has it."""

from __future__ import annotations

import json
import struct

INDEX = "model.safetensors.index.json"


def safetensors(names: list[str], dtype: str = "BF16", *, width: int = 100) -> bytes:
    """Returns a whole shard with tensors of zeros."""
    header = {
        name: {"dtype": dtype, "shape": [width], "data_offsets": [2 * width * number, 2 * width * (number + 1)]}
        for number, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(2 * width * len(names))


def model(dtype: str = "BF16", **configuration: object) -> dict[str, bytes]:
    """Returns the files of a model with two shards; `dtype` is that of its tensors."""
    settings = {"model_type": "deepseek_v3", "torch_dtype": "bfloat16", **configuration}
    shards = {"model-1.safetensors": ["a", "b"], "model-2.safetensors": ["c"]}
    weight_map = {tensor: shard for shard, tensors in shards.items() for tensor in tensors}
    return {
        **{shard: safetensors(tensors, dtype) for shard, tensors in shards.items()},
        "config.json": json.dumps(settings).encode(),
        INDEX: json.dumps({"metadata": {}, "weight_map": weight_map}).encode(),
        "tokenizer.json": b"{" + b" " * 5000 + b"}",  # in the large storage
        "tokenizer_config.json": b"{}",
        "generation_config.json": b"{}",
        "README.md": "模型 ü".encode(),
        "name with ä space.txt": b"x",
        "empty.txt": b"",
        ".gitattributes": b"*.safetensors filter=lfs",
        "pytorch_model.bin": b"old",
    }
