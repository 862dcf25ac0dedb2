"""Rules between settings that hold for any number of hosts; each names keys, values, rule and source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from mindie_deploy.cluster.paths import inside
from mindie_deploy.cluster.problems import SettingProblem
from mindie_deploy.cluster.schema import PREFIX, join
from mindie_deploy.cluster.web import is_plain_web

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

SCHEDULE = "MindIE-LLM, schedule_config.cpp"
SERVER = "MindIE-LLM, server_config.cpp and http_server.cpp"
PARAMETERS = "MindIE documents, service parameters"
GPUSTACK = "GPUStack 0.7.1, ascend_mindie.py"
TOKEN_LIMITS = ("max_input_token_len", "max_prefill_tokens", "max_iter_times")
PATH_LIMIT = 256  # characters that MindIE reads of RANK_TABLE_FILE (MindIE-LLM, env_util.cpp)

Problems = Iterator[SettingProblem]


def cross_problems(settings: Settings) -> list[SettingProblem]:
    """Returns every contradiction between settings that does not depend on the number of hosts."""
    return [problem for rule in RULES for problem in rule(settings)]


def effective(settings: Settings, name: str) -> int:
    """Returns a numeric setting; a token limit of -1 is resolved to max_seq_len."""
    value = int(getattr(settings, name))
    return settings.max_seq_len if value == -1 and name in TOKEN_LIMITS else value


def _problem(settings: Settings, name: str, rule: str, source: str) -> SettingProblem:
    return SettingProblem(PREFIX + name, getattr(settings, name), f"{rule} ({source})")


def _at_most(settings: Settings, name: str, other: str, source: str) -> Problems:
    value, limit = effective(settings, name), effective(settings, other)
    if value > limit:
        yield _problem(settings, name, f"{value} must be at most {PREFIX}{other}, which is {limit}", source)


def _token_rules(settings: Settings) -> Problems:
    yield from _at_most(settings, "max_input_token_len", "max_seq_len", PARAMETERS)
    yield from _at_most(settings, "max_iter_times", "max_seq_len", PARAMETERS)
    longest, prefill = effective(settings, "max_input_token_len"), effective(settings, "max_prefill_tokens")
    if prefill < longest and not settings.enable_split:
        rule = f"{prefill} must be at least {PREFIX}max_input_token_len, which is {longest}"
        yield _problem(settings, "max_prefill_tokens", rule, SCHEDULE)


def _batch_rules(settings: Settings) -> Problems:
    yield from _at_most(settings, "max_prefill_batch_size", "max_batch_size", SCHEDULE)
    yield from _at_most(settings, "max_preempt_count", "max_batch_size", SCHEDULE)
    if settings.max_preempt_count > 0 and settings.cpu_mem_size == 0:
        rule = f"must be above 0 when {PREFIX}max_preempt_count is, which is {settings.max_preempt_count}"
        yield _problem(settings, "cpu_mem_size", rule, SCHEDULE)
    if settings.enable_split:
        yield from _at_most(settings, "split_chunk_tokens", "max_input_token_len", GPUSTACK)
        yield from _at_most(settings, "split_start_batch_size", "max_batch_size", GPUSTACK)
    if settings.enable_buffer_response:
        for name in ("prefill_expected_time_ms", "decode_expected_time_ms"):
            if getattr(settings, name) == 0:
                rule = f"must be given (1 to 10000 ms) when {PREFIX}enable_buffer_response is true"
                yield _problem(settings, name, rule, GPUSTACK)


def _port_rules(settings: Settings) -> Problems:
    shared = ("port", "management_port", "metrics_port")
    others = ("multi_nodes_infer_port", "master_port", "weights_port")
    for one, other in combinations((*shared, *others), 2):
        if other in shared or getattr(settings, one) != getattr(settings, other):
            continue
        rule = f"must differ from {PREFIX}{one}, which is {getattr(settings, one)} too"
        yield _problem(settings, other, rule, SERVER)
    if settings.metrics_port == settings.port and settings.management_port != settings.port:
        rule = (
            f"may equal {PREFIX}port, which is {settings.port}, only if {PREFIX}management_port does too, "
            f"which is {settings.management_port}"
        )
        yield _problem(settings, "metrics_port", rule, SERVER)


EXCLUSIVE = (
    ("enable_split", "enable_memory_decoding"),
    ("enable_split", "enable_lookahead"),
    ("enable_split", "enable_multi_token_prediction"),
    ("enable_memory_decoding", "enable_lookahead"),
    ("enable_memory_decoding", "enable_multi_token_prediction"),
    ("enable_lookahead", "enable_multi_token_prediction"),
    ("rope_scaling", "enable_split"),
    ("rope_scaling", "enable_memory_decoding"),
    ("rope_scaling", "enable_lookahead"),
    ("rope_scaling", "enable_multi_token_prediction"),
    ("rope_scaling", "enable_prefix_caching"),
)
NOT_WITH_DATA_PARALLEL = ("enable_split", "enable_memory_decoding", "enable_lookahead", "enable_prefix_caching")


def _feature_rules(settings: Settings) -> Problems:
    for one, other in EXCLUSIVE:
        if getattr(settings, one) and getattr(settings, other):
            yield _problem(settings, other, f"excludes {PREFIX}{one}, which is set too", GPUSTACK)
    if settings.data_parallel_size > 1:
        for name in NOT_WITH_DATA_PARALLEL:
            if getattr(settings, name):
                rule = f"excludes {PREFIX}data_parallel_size above 1, which is {settings.data_parallel_size}"
                yield _problem(settings, name, rule, GPUSTACK)
    if settings.backend_type == "torch" and not str(settings.environment.get("HCCL_BUFFSIZE", "")).isdigit():
        rule = f"needs HCCL_BUFFSIZE in {PREFIX}environment, a whole number of MB such as 512"
        yield _problem(settings, "backend_type", rule, "MindIE-LLM, parallel_info_manager.py")


def _path_rules(settings: Settings) -> Problems:
    directory = f"{settings.state_directory}/{settings.deployment}"
    if inside(settings.model_path, settings.state_directory) or inside(settings.state_directory, settings.model_path):
        rule = f"must lie apart from {PREFIX}state_directory, which is {settings.state_directory}"
        yield _problem(settings, "model_path", rule, "purge removes the state directory, never the weights")
    if len(f"{directory}/ranktable.json") > PATH_LIMIT:
        rule = f"is too long: the rank table's path may have {PATH_LIMIT} characters"
        yield _problem(settings, "state_directory", rule, "MindIE-LLM, env_util.cpp")


def _weights_rules(settings: Settings) -> Problems:
    directory = settings.weights_source if settings.weights_source.startswith(("http://", "https://")) else ""
    if settings.weights_hub_token and is_plain_web(directory or settings.weights_hub_endpoint):
        where = f"{PREFIX}weights_source" if directory else f"{PREFIX}weights_hub_endpoint"
        rule = f"would be sent in plain text: {where} begins with http://"
        yield SettingProblem(f"{PREFIX}weights_hub_token", "(not shown)", f"{rule} (a token is as good as a login)")
    if directory and settings.weights_revision:
        rule = f"means nothing for a directory on a web server, which {PREFIX}weights_source names"
        yield _problem(settings, "weights_revision", rule, "only a hub's repositories have revisions")


def _check_rules(settings: Settings) -> Problems:
    if settings.clock_skew_warn_s > settings.clock_skew_block_s:
        rule = f"must be at most {PREFIX}clock_skew_block_s, which is {settings.clock_skew_block_s}"
        yield _problem(settings, "clock_skew_warn_s", rule, "a warning comes before a refusal")
    both = sorted(set(settings.checks_skip) & set(settings.checks_warn))
    if both:
        rule = f"{join(both)} cannot be in {PREFIX}checks_skip too"
        yield _problem(settings, "checks_warn", rule, "a skipped check cannot warn")


RULES: tuple[Callable[[Settings], Problems], ...] = (
    _token_rules,
    _batch_rules,
    _port_rules,
    _feature_rules,
    _path_rules,
    _weights_rules,
    _check_rules,
)
