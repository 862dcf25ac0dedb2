#!/usr/bin/python3
"""Spoils the model directory of a simulated host, and mends it: weights_fault.py spoil|mend KIND DIRECTORY.

KIND: `missing` hides the directory, `fp8` writes a quantization into config.json, `shard` changes one byte of a shard.
"""

import json
import os
import sys

SHARD = "model-00042-of-000163.safetensors"


def _missing(directory: str, spoil: bool) -> None:
    away = directory.rstrip("/") + ".away"
    os.rename(*((directory, away) if spoil else (away, directory)))


def _fp8(directory: str, spoil: bool) -> None:
    file = os.path.join(directory, "config.json")
    kept = os.path.join(os.path.dirname(directory.rstrip("/")), ".config.json.before-fault")
    if not spoil:
        os.replace(kept, file)
        return
    with open(file, encoding="utf-8") as stream:
        text = stream.read()
    with open(kept, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(kept, os.stat(file).st_mode & 0o777)
    config = json.loads(text)
    # As the FP8 original of DeepSeek-R1 has it; Atlas A2 has no FP8.
    config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
    with open(file, "w", encoding="utf-8") as stream:
        json.dump(config, stream, indent=2)


def _shard(directory: str, spoil: bool) -> None:
    """The last byte turned over; size and name stay. Mending leaves a file alone that somebody else has mended."""
    kept = os.path.join(os.path.dirname(directory.rstrip("/")), ".last-byte-before-fault")
    with open(os.path.join(directory, SHARD), "r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        byte = stream.read(1)[0]
        if spoil:
            with open(kept, "w", encoding="ascii") as note:
                note.write(str(byte))
            wanted = byte ^ 0xFF
        else:
            with open(kept, encoding="ascii") as note:
                wanted = int(note.read())
            os.remove(kept)
        if byte != wanted:
            stream.seek(-1, os.SEEK_END)
            stream.write(bytes([wanted]))


def main(arguments: list[str]) -> int:
    """0, 1 when the directory does not allow it, 2 for a wrong call."""
    kinds = {"missing": _missing, "fp8": _fp8, "shard": _shard}
    if len(arguments) != 3 or arguments[0] not in ("spoil", "mend") or arguments[1] not in kinds:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        kinds[arguments[1]](arguments[2], arguments[0] == "spoil")
    except OSError as error:
        sys.stderr.write(f"weights_fault.py: {error.strerror}: {error.filename}; are the weights on this host?\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
