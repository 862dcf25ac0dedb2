"""Judges a model directory by what its small files and the headers of its shards say; no tensor is read.

Sources: MindIE-LLM's reading of config.json, the READMEs of DeepSeek-R1 and -V3 in ModelZoo-PyTorch (BF16 only on A2;
the conversion leaves the tokenizer behind), the safetensors format.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mindie_deploy.weights.scan import ModelFacts, Scan

CONFIGURATION = "config.json"
INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
GENERATION = "generation_config.json"
# How many names a message shows.
SHOWN = 5

CONVERT = "convert the weights to BF16 (fp8_cast_bf16.py of the DeepSeek-V3 repository), or take a BF16 copy"
SAME_COPY = "take all shards and the index from the same copy of the model"
COPY_AGAIN = "copy the file again from where the weights came from"


@dataclass(frozen=True)
class ModelProblem:
    """One thing wrong with the model. `file` is the file it was seen in; `block` stops a sync, `warn` does not."""

    id: str
    severity: Literal["block", "warn"]
    file: str
    message: str
    remedy: str


def judge_model(scan: Scan) -> tuple[ModelProblem, ...]:
    """Returns what is wrong with the model of a scan, the gravest first; nothing when it can be served as BF16."""
    names = set(scan.files)
    problems = [
        *_configuration(scan.model),
        *_index(scan.model, names),
        *_shards(scan.model, names),
        *_dtypes(scan.model, names),
        *_small_files(names),
        *(
            ModelProblem(
                "model-unreadable", "block", name, f"{name} cannot be read: {why}", "mend its mode or its disk"
            )
            for name, why in sorted(scan.unreadable.items())
        ),
    ]
    return tuple(sorted(problems, key=lambda problem: problem.severity != "block"))


def blocking(problems: Iterable[ModelProblem]) -> tuple[ModelProblem, ...]:
    return tuple(problem for problem in problems if problem.severity == "block")


def _configuration(model: ModelFacts) -> list[ModelProblem]:
    if model.configuration is None:
        why = model.configuration_error or "it is missing"
        return [
            ModelProblem("model-config", "block", CONFIGURATION, f"{CONFIGURATION} cannot be used: {why}", COPY_AGAIN)
        ]
    problems = []
    quantization = model.configuration.get("quantization_config")
    if quantization is not None:
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        problems.append(
            ModelProblem(
                "model-fp8" if method == "fp8" else "model-quantized",
                "block",
                CONFIGURATION,
                f"{CONFIGURATION} says that the weights are {str(method or 'quantised').upper()} "
                "(quantization_config); the NPUs of the A2 generation have no FP8 and need BF16",
                CONVERT + ", whose config.json has no quantization_config",
            )
        )
    dtype = model.configuration.get("torch_dtype")
    if dtype != "bfloat16":
        usable = dtype in ("float16", None)
        problems.append(
            ModelProblem(
                "model-dtype",
                "warn" if usable else "block",
                CONFIGURATION,
                f"torch_dtype in {CONFIGURATION} is {str(dtype)[:40]!r}, not 'bfloat16'",
                "put the config.json of the BF16 weights beside them",
            )
        )
    if not str(model.configuration.get("model_type") or "").startswith("deepseek"):
        problems.append(
            ModelProblem(
                "model-type",
                "warn",
                CONFIGURATION,
                f"model_type in {CONFIGURATION} is {str(model.configuration.get('model_type'))[:40]!r}; MindIE treats "
                "a model as DeepSeek only when it begins with 'deepseek'",
                "see that the directory holds the model that you mean to serve",
            )
        )
    return problems


def _index(model: ModelFacts, names: set[str]) -> list[ModelProblem]:
    if model.index_error:
        return [ModelProblem("model-index", "block", INDEX, f"{INDEX} cannot be used: {model.index_error}", COPY_AGAIN)]
    shards = [name for name in names if name.endswith(".safetensors")]
    if not model.index_present:
        if not shards:
            return [
                ModelProblem(
                    "model-no-weights", "block", "", "there is no *.safetensors file", "see that the path is right"
                )
            ]
        if len(shards) > 1:
            what = f"{INDEX} is missing beside {len(shards)} shards"
            return [ModelProblem("model-index", "block", INDEX, what, COPY_AGAIN)]
        return []
    missing = sorted(set(model.index_shards) - names)
    if not missing:
        return []
    of = len(set(model.index_shards))
    what = f"{len(missing)} of the {of} shards that {INDEX} names are missing: {shown(missing)}"
    return [ModelProblem("model-shard-missing", "block", missing[0], what, "copy the missing shards")]


def _shards(model: ModelFacts, names: set[str]) -> list[ModelProblem]:
    problems = []
    for name, shard in sorted(model.shards.items()):
        if name not in names:
            continue
        if shard.error:
            what = f"{name} cannot be used as a safetensors file: {shard.error}"
            problems.append(ModelProblem("model-shard-broken", "block", name, what, COPY_AGAIN))
            continue
        if shard.absent:
            what = f"{name} lacks {shard.absent} tensors that {INDEX} says it has, such as {shown(shard.absent_names)}"
            problems.append(ModelProblem("model-tensor-missing", "block", name, what, SAME_COPY))
        if shard.foreign:
            what = (
                f"{name} holds {shard.foreign} tensors that {INDEX} does not place there, such as "
                f"{shown(shard.foreign_names)}; a reader that opens every shard may find a tensor twice"
            )
            problems.append(ModelProblem("model-tensor-foreign", "warn", name, what, SAME_COPY))
    return problems


def _dtypes(model: ModelFacts, names: set[str]) -> list[ModelProblem]:
    """BF16 is what counts; the bias of the gates is F32 in DeepSeek's own weights."""
    shards = {name: shard.dtypes for name, shard in sorted(model.shards.items()) if name in names and not shard.error}
    fp8 = [name for name, dtypes in shards.items() if any(dtype.startswith("F8") for dtype in dtypes)]
    if fp8:
        what = f"{len(fp8)} shards hold FP8 tensors ({shown(fp8)}); the NPUs of the A2 generation need BF16"
        return [ModelProblem("model-fp8", "block", fp8[0], what, CONVERT)]
    found = {dtype for dtypes in shards.values() for dtype in dtypes}
    says_bf16 = model.configuration is not None and model.configuration.get("torch_dtype") == "bfloat16"
    if says_bf16 and found and "BF16" not in found:
        what = f"no tensor is BF16 ({', '.join(sorted(found))}), though torch_dtype in {CONFIGURATION} is 'bfloat16'"
        return [ModelProblem("model-shard-dtype", "block", next(iter(shards)), what, CONVERT)]
    problems = []
    for dtype in sorted(found - {"BF16", "F32"}) if says_bf16 else ():
        holders = [name for name, dtypes in shards.items() if dtype in dtypes]
        what = f"{len(holders)} shards hold {dtype} tensors beside BF16 ({shown(holders)})"
        problems.append(ModelProblem("model-shard-dtype", "warn", holders[0], what, SAME_COPY))
    return problems


def _small_files(names: set[str]) -> list[ModelProblem]:
    problems = [
        ModelProblem(
            "model-tokenizer",
            "block",
            name,
            f"{name} is missing (a conversion to BF16 leaves it behind)",
            f"copy {name} from the original model",
        )
        for name in TOKENIZER_FILES
        if name not in names
    ]
    if GENERATION not in names:
        what = f"{GENERATION} is missing: MindIE warns and uses its own sampling defaults"
        problems.append(ModelProblem("model-generation", "warn", GENERATION, what, COPY_AGAIN))
    return problems


def shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(str(name)[:200] for name in names[:SHOWN]) + more
