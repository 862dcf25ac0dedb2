"""The model directory, as far as a look without reading it can tell. Every byte is proven by `sync`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.weights_directory import is_of_the_model
from mindie_deploy.hosts.weights_listing import empty_shards, is_complete, missing_shards
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import CLUSTER, Problem, Severity
from mindie_deploy.preflight.majority import odd_hosts
from mindie_deploy.preflight.registry import check
from mindie_deploy.preflight.weights_size import is_there

LISTING = "listing of mindie_model_path"
PRESENT = ("weights.present",)
SYNC = "Run `sync` (or `up`, which does it)."
SYNC_TITLE = "and will be brought by sync"
# Files without which an answer is other, or none: all hosts have them or none does. Others are for people, or for tools
# beside MindIE.
DECISIVE = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json")
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt")


@check(
    "weights.present",
    title="the weights are not on the host, and no source for them is set",
    severity="block",
    command=LISTING,
    needs=("weights",),
    why="Every member reads the model from its own host's mindie_model_path.",
    remedy="Set mindie_weights_source, then `sync` brings them; or copy them to mindie_model_path on every host; or "
    "correct mindie_model_path.",
    source="GPUStack's tutorial",
)
def present(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.weights, Unknown) or is_there(host.weights):
        return
    state = "is empty" if host.weights.exists else "does not exist"
    yield _or_sync(Problem(host.name, f"{host.weights.path} {state}"), context, f"the weights are missing {SYNC_TITLE}")


@check(
    "weights.source",
    title="the source of the weights is not there",
    severity="block",
    scope="cluster",
    command="mindie_weights_source",
    why="`up` proves the weights of every host against their source, and brings what is missing from it.",
    remedy="Correct mindie_weights_source. If the weights are on every host and the source is gone for good, empty it: "
    "then the hosts are proven against each other.",
    source="design: every byte is proven",
)
def source(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    kind, _, path = context.settings.weights_source.partition(":")
    if kind == "controller" and path in context.absent:
        yield Problem(CLUSTER, f"there is no readable directory {path} on the controller")


@check(
    "weights.index",
    title="files of the model are missing or empty",
    severity="block",
    command=LISTING,
    needs=("weights",),
    caused_by=PRESENT,
    why="A model without its index or one of its shards fails while loading, minutes after the start.",
    remedy="Copy the missing files, or set mindie_weights_source and run `sync`.",
    source="form of the published model: model.safetensors.index.json and numbered shards",
)
def index(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.weights, Unknown) or not is_there(host.weights):
        return
    weights = host.weights
    missing, names = missing_shards(weights)
    empty = empty_shards(weights)
    shards = sum(name.endswith(".safetensors") for name in weights.files)
    if not shards:
        says = "there is no *.safetensors file"
    elif missing:
        more = f" and {missing - len(names)} more" if missing > len(names) else ""
        says = f"there is no {', '.join(names)}{more}"
    elif empty:
        says = f"{empty[0]} has 0 bytes" + (f", and {len(empty) - 1} more" if empty[1:] else "")
    elif shards > 1 and not weights.index_present:
        says = "there is no model.safetensors.index.json"
    elif "config.json" not in weights.files:
        says = "there is no config.json"
    else:
        return
    yield _or_sync(Problem(host.name, says), context, f"files of the model are missing {SYNC_TITLE}")


@check(
    "weights.size",
    title="files of the model differ in size between hosts",
    severity="block",
    scope="cluster",
    command=LISTING,
    needs=("weights",),
    caused_by=("weights.present", "weights.index", "weights.dtype"),
    why="A shard of another size is cut or of another model. The small files count too: different generation settings "
    "make the members hang.",
    remedy="Copy the files named from a host that has the right ones, or set mindie_weights_source and run `sync`.",
    source="MindIE documents, multi-node inference (equal sampling defaults on all hosts)",
)
def size(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    listings = {
        name: host.weights.files
        for name, host in hosts.items()
        if isinstance(host.weights, WeightsFacts) and is_complete(host.weights)
    }
    odd: dict[str, list[str]] = {}
    told: dict[str, str] = {}
    for file in sorted({file for files in listings.values() for file in files if is_of_the_model(file)}):
        values = {name: f"{files[file]} bytes" for name, files in listings.items() if file in files}
        if file in DECISIVE or file.endswith(".safetensors"):
            values |= {name: "missing" for name, files in listings.items() if file not in files}
        for problem in odd_hosts(values, f"{file}:"):
            odd.setdefault(problem.host, []).append(file)
            told.setdefault(problem.host, problem.says)
    for name, files in odd.items():
        more = f" ({len(files)} files differ)" if len(files) > 1 else ""
        title = "files of the model differ in size between hosts and will be replaced by sync"
        yield _or_sync(Problem(name, f"{told[name]}{more}"), context, title)


@check(
    "weights.dtype",
    title="the weights are FP8 or otherwise quantized",
    severity="block",
    command="config.json of the model",
    needs=("weights",),
    caused_by=("weights.present", "weights.index"),
    why="NPUs of the A2 generation have no FP8. The published DeepSeek R1 is FP8; MindIE needs the BF16 copy.",
    remedy="Use a BF16 copy (for instance unsloth/DeepSeek-R1-BF16), or convert; put it into a directory of its own "
    "and set mindie_model_path.",
    source="GPUStack's tutorial; DeepSeek-V3 README",
)
def dtype(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.weights, Unknown) or "config.json" not in host.weights.files:
        return
    configuration = host.weights.configuration
    if isinstance(configuration, Unknown):
        yield Problem(host.name, configuration.reason, kind="unknown")
        return
    quantization = configuration.get("quantization_config")
    kind = str(configuration.get("torch_dtype") or configuration.get("dtype") or "").removeprefix("torch.").lower()
    if quantization and (_is_fp8(quantization) or not isinstance(quantization, dict)):
        yield Problem(host.name, f"quantization_config {_short(quantization)}")
    elif "float8" in kind or "fp8" in kind:
        yield Problem(host.name, f"torch_dtype {kind}")
    elif quantization:
        title = "the weights are quantized"
        yield Problem(host.name, f"quantization_config {_short(quantization)}", severity="warn", title=title)
    elif kind and kind not in ("bfloat16", "float16"):
        title = "the weights are of an unusual type"
        yield Problem(host.name, f"torch_dtype {kind}", severity="warn", title=title)


@check(
    "weights.tokenizer",
    title="the tokenizer's files are missing",
    severity="block",
    command=LISTING,
    needs=("weights",),
    caused_by=("weights.present", "weights.index", "weights.size"),
    why="A conversion to BF16 does not copy them, and MindIE then ends while loading.",
    remedy="Copy tokenizer.json and tokenizer_config.json from the published model into mindie_model_path.",
    source="DeepSeek-V3 README (the conversion does not copy the tokenizer files)",
)
def tokenizer(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.weights, Unknown) or not is_there(host.weights):
        return
    files = host.weights.files
    title = f"the tokenizer's files are missing {SYNC_TITLE}"
    if not any(name in files for name in VOCABULARIES):
        yield _or_sync(Problem(host.name, "there is no tokenizer.json, tokenizer.model or vocab.json"), context, title)
    elif "tokenizer_config.json" not in files:
        yield _or_sync(Problem(host.name, "there is no tokenizer_config.json"), context, title)


def _or_sync(problem: Problem, context: Context, title: str) -> Problem:
    """What a source is set for is no failure: `sync` mends it."""
    if not context.settings.weights_source:
        return problem
    severity: Severity = "info"
    return Problem(problem.host, problem.says, severity=severity, title=title, remedy=SYNC)


def _is_fp8(value: object) -> bool:
    text = str(value).lower()
    return "fp8" in text or "float8" in text or "e4m3" in text or "e5m2" in text


def _short(value: object) -> str:
    if isinstance(value, dict) and value.get("quant_method"):
        return f"quant_method {value['quant_method']}"
    return str(value)[:80]
