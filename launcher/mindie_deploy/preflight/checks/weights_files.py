"""Files of the model that look right and are not: links that lead out of it, and small files that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.cluster.paths import inside
from mindie_deploy.hosts.facts import HostFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.weights_directory import is_of_the_model
from mindie_deploy.preflight.checks.weights import DECISIVE
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem, Severity
from mindie_deploy.preflight.majority import odd_hosts
from mindie_deploy.preflight.registry import check

PRESENT = ("weights.present", "weights.index", "weights.size")
NAMED = 2


@check(
    "weights.links",
    title="files of the model are links that lead out of it",
    severity="block",
    command="readlink of the files in mindie_model_path",
    needs=("weights", "surroundings.weight_links"),
    caused_by=("weights.present",),
    unknown="info",
    why="Only the model's directory is mounted into the container; a link to a place outside of it leads nowhere "
    "there. The cache of Hugging Face and ModelScope is made of such links.",
    remedy="cp -rL the directory to a place of its own (real files) and set mindie_model_path to it; or mount the "
    "place that the links lead to at the same path: mindie_mounts.",
    source="Hugging Face's documentation of the cache (snapshots are links to blobs)",
)
def links(host: HostFacts, context: Context) -> Iterator[Problem]:
    found, weights = host.surroundings.weight_links, host.weights
    if isinstance(found, Unknown) or isinstance(weights, Unknown) or not weights.exists:
        return
    roots = [context.settings.model_path, weights.real_path or context.settings.model_path]
    for mount in context.settings.mounts:
        source, destination = mount.split(":")[:2]
        if source == destination:
            roots.append(source)
    out = [
        f"{name} -> {target}"
        for name, target in found.items()
        if is_of_the_model(name) and not any(inside(target, root.rstrip("/")) for root in roots)
    ]
    if out:
        more = f" and {len(out) - NAMED} more" if len(out) > NAMED else ""
        yield Problem(host.name, f"{', '.join(out[:NAMED])}{more}")


@check(
    "weights.small-files",
    title="small files of the model differ between hosts",
    severity="block",
    scope="cluster",
    command="sha256sum of config.json, generation_config.json and the tokenizer's files",
    needs=("weights", "surroundings.digests"),
    caused_by=PRESENT,
    unknown="info",
    why="Files of the same size may differ in a value. With another config.json the ranks do not fit together; with "
    "other sampling defaults a request without its own may hang the service.",
    remedy="Copy the file from a host that has the right one, or set mindie_weights_source and run `sync`.",
    source="MindIE-LLM, prefill_decode_mixed_deployment.md (equal sampling defaults on all hosts)",
)
def small_files(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    """A file that a host lacks is said elsewhere. Where a source is set, sync replaces what differs."""
    digests = {
        name: host.surroundings.digests
        for name, host in hosts.items()
        if not isinstance(host.surroundings.digests, Unknown) and isinstance(host.weights, WeightsFacts)
    }
    for file in sorted({file for found in digests.values() for file in found}):
        values = {name: f"sha256 {found[file][:12]}" for name, found in digests.items() if file in found}
        for problem in odd_hosts(values, f"{file}:"):
            severity: Severity | None = None if file in DECISIVE else "warn"
            title = None
            if context.settings.weights_source:
                severity, title = "info", "small files of the model differ between hosts and will be replaced by sync"
            yield Problem(problem.host, problem.says, severity=severity, title=title)


@check(
    "weights.model-type",
    title="the MindIE in the image does not know the model's type",
    severity="block",
    command="model_type in config.json of the model",
    needs=("weights",),
    caused_by=("weights.present", "weights.index"),
    unknown="info",
    why="MindIE chooses its own code for a model by model_type; for one that it does not know loading ends with "
    '"unsupported model type" or "Failed to get vocab size".',
    remedy="Take an image of MindIE that knows it (2.0.RC1 and later take deepseek_v3), or edit model_type in a copy "
    "of config.json as the README of the image's model library says (deepseekv2 up to 2.0.T3).",
    source="README of DeepSeek-R1 and V3 (ModelZoo-PyTorch); gpustack issue 1765",
)
def model_type(host: HostFacts, context: Context) -> Iterator[Problem]:
    """Judged only for DeepSeek, and only where the release is one that is known."""
    if isinstance(host.weights, Unknown) or isinstance(host.weights.configuration, Unknown) or not context.model_types:
        return
    told = host.weights.configuration.get("model_type")
    if isinstance(told, str) and told.lower().startswith("deepseek") and told not in context.model_types:
        takes = " or ".join(sorted(context.model_types))
        yield Problem(host.name, f"model_type {told[:40]}, the image takes {takes}")
