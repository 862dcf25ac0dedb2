"""Logs of failed starts, and the causes that are named."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindie_deploy.mindie.error_catalogue import FAULTS, likely_causes

HEALTHY = """\
g_mainPid = 1
LogLevelDynamicHandler start
ConfigManager: Load Config from /var/lib/mindie-deploy/deepseek-r1/config.json
[ConfigManager::InitConfigManager] Successfully init config manager
Start to parse ranktable file
Finished parsing ranktable file.
Update worldSize and npuDeviceIds of backend config successfully for Multi Nodes Inference.
[2026-03-01 10:00:00.000+08:00] [1] [1] [llm] [INFO] [a.cpp:1] : Model loading took 43.1 GiB memory.
[2026-03-01 10:00:00.000+08:00] [1] [1] [llm] [INFO] model init success, parent pid=1, global_rank_id=8
HCCL_CONNECT_TIMEOUT=7200 HCCL_BUFFSIZE=512 NPU_MEMORY_FRACTION=0.95
Multi Nodes infer slave instance need not init TokenizerProcessPool and HttpWrapper
Daemon start success!
"""


def test_a_healthy_log_has_no_cause() -> None:
    assert likely_causes(HEALTHY, None) == []
    assert likely_causes(HEALTHY, 0) == []
    assert likely_causes("", None) == []


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("npuDeviceID does not allow repetitive element", "own-address-not-in-rank-table"),
        ("ERR: npuDeviceIds does not allow repeated ids", "own-address-not-in-rank-table"),
        ("The env variable MIES_CONTAINER_IP isn't exist.", "no-container-ip"),
        ("Invalid server_count 4", "rank-table-form"),
        ("Check path: /data/R1 failed, by: the directory does not exist.", "weights-path"),
        ("The input file is empty", "input-file"),
        ("Process 78 exited normally with status 1", "worker-died"),
        ("Parameter device_ip is invalid in ranktable file.", "rank-table-form"),
        ("Ranktable file is not exist, please set a valid ranktable file path", "rank-table-form"),
        ("Check Other group permission failed: ranktable.json: Current permission is 4", "rank-table-mode"),
        ("Check Other group permission failed: config.json: Current permission is 4", "config-mode"),
        ("owner id diff: current process user id is 0, file owner id is 1000", "file-mode"),
        ("The file /x/config.json is a link.", "file-mode"),
        ("[ParamChecker::CheckJsonParamType] tokenTimeout: missing compulsory field", "config-key"),
        ("The type of param port should be integer, but got string", "config-key"),
        ("Parameter maxLinkNum should be in [1, 4096], but got 5000.", "config-range"),
        ("Endpoint port cannot be equal to multiNodesInferPort.", "config-range"),
        ("Management or Business or Metrics Http server listen port is occupied", "port-taken"),
        ("ValueError: moe_tp (8) x moe_ep (32) must equal world size 32", "parallel-sizes"),
        ("Unrecognized command-line argument, expect [--config-file]", "command-line"),
        ("gRPC Slave Worker Thread: stream closed by server", "leader-ended"),
        ("Process 77 was terminated by signal 9", "worker-died"),
        ("unsupported dtype F8_E4M3 in model-00001-of-00163.safetensors", "fp8-weights"),
        ("ValueError: unsupported quantization_config with quant_method fp8", "quantization"),
        ("containerIp of server 0 is empty", "rank-table-form"),
        ("Check path: /x/ranktable.json failed, by: Check Other group permission failed", "rank-table-mode"),
        ("Check path: /x/config.json failed: owner is not the process user", "config-mode"),
        (
            "Check path: config.json failed, by: Check Other group permission failed: Current permission is 4, but "
            "required no greater than 0.",
            "weights-mode",
        ),
        ("Check_path: config.json failed", "weights-mode"),
        ("Check path: /data/x.so failed, by: Check Owner permission failed", "file-mode"),
        ("[json.exception.type_error.302] type must be boolean, but is null", "config-key"),
        ("There should be one modelParam for Standard templateType", "one-model-entry"),
        ('  File "/x/atb_llm/utils/mapping.py", line 88, in validate', "parallel-sizes"),
        ("DP number per node: 0", "data-parallel-per-host"),
        ("Socket bind failed", "port-taken"),
        ("bind: Address already in use", "port-taken"),
        ("Failed to start gRPC server on port 1120", "rendezvous-port-taken"),
        ("MIE04E120407 shared memory", "shared-memory"),
        ("tlsCert path not found", "certificates"),
        ("cgroup: fork rejected by pids controller", "pids-limit"),
        ("Failed to establish connection to master after maximum retries", "rendezvous-gave-up"),
        ("EI0006: Getting socket times out. Reason: ...", "hccl-connect-timeout"),
        ("[ERROR] HCCL connect timeout", "hccl-init"),
        ("Some ranks tlsStatus are inconsistent", "tls-differs"),
        ("EI0004 The ranktable or rank is invalid", "rank-table-invalid"),
        ("EI0005: arguments inconsistent", "hosts-differ"),
        ("EJ0004: the IP address(10.0.0.1) in the ranktable is inconsistent with the IP", "rank-table-address"),
        ("EI0008: CANN versions", "cann-differs"),
        ("EI0013 error cqe status", "rdma-retransmission"),
        ("EJ0001: the last training process is running", "former-run-not-gone"),
        ("ra hdc message process failed ret(-67)", "npu-link-down"),
        ("gloo/transport/tcp: Connection refused, local=[127.0.0.1]", "gloo-interface"),
        ("EL0015 set device failed", "npu-bound-elsewhere"),
        ("Invalid device ID 6", "npu-device-id"),
        ("RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB", "npu-out-of-memory"),
        ("Warmup failed", "no-room-for-kv-cache"),
        ("Out of memory: Killed process 4242 (mindie_llm_back)", "host-out-of-memory"),
        ("KeyError: 'model.layers.3.mlp.experts.0.gate_proj.weight_scale_inv'", "fp8-weights"),
        ("quantize type w8a8 is not supported", "quantization"),
        ("unsupported model type: deepseek_v3", "model-type"),
        ("safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge", "damaged-weights"),
        ("FileNotFoundError: No such file: model-00001-of-00163.safetensors", "damaged-weights"),
        ("KeyError: 'model.layers.60.mlp.gate.weight'", "missing-tensor"),
        ("Failed to get vocab size from tokenizer wrapper", "tokenizer"),
        ("'IbisTokenizer' object has no attribute 'cache_path'", "tokenizer-bug"),
        ("Max retries exceeded with url: /x", "downloads"),
        ("UnicodeEncodeError: 'ascii' codec can't encode characters", "locale"),
        ("libatb.so: undefined symbol: _ZN3", "libraries"),
        ("ModuleNotFoundError: No module named 'torch_npu'", "python-packages"),
        ("LLMPythonModel initializes fail", "model-initialisation"),
        ("mindie-deploy: this image has no MindIE 2.0.RC2: no bin/x in /y", "no-mindie-in-image"),
        ("Failed to init endpoint! Please check the service log or console output.", "init-endpoint"),
        ("ValueError: something else", "python-error"),
    ],
)
def test_a_line_names_its_cause(line: str, cause: str) -> None:
    found = likely_causes(HEALTHY + line + "\n", None)
    assert [found[0].id] == [cause]
    assert found[0].evidence == line.strip()
    assert found[0].title
    assert found[0].remedy


def test_causes_come_before_their_consequences_whatever_the_order() -> None:
    log = "Failed to init endpoint!\nValueError: x\nRank table error\nSocket bind failed\n"
    assert [cause.id for cause in likely_causes(log, 137)] == [
        "port-taken",
        "init-endpoint",
        "python-error",
        "exit-137",
    ]


def test_the_first_of_two_specific_causes_leads() -> None:
    log = "EI0006: x\nNPU out of memory\nEI0006: y\n"
    found = likely_causes(log, None)
    assert [(cause.id, cause.evidence) for cause in found] == [
        ("hccl-connect-timeout", "EI0006: x"),
        ("npu-out-of-memory", "NPU out of memory"),
    ]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (137, "killed"),
        (134, "aborted"),
        (255, "command line"),
        (139, "crashed"),
        (78, "image"),
        (143, "stop"),
        (5, "5"),
    ],
)
def test_an_exit_status_says_what_it_means_where_the_log_says_nothing(status: int, word: str) -> None:
    (cause,) = likely_causes("", status)
    assert word in cause.title
    assert cause.remedy
    assert set(cause.to_dict()) == {"id", "title", "evidence", "remedy"}


def test_evidence_is_safe_to_show() -> None:
    (cause,) = likely_causes("\x1b[31mSocket bind failed\x07 " + "x" * 5000, None)
    assert cause.evidence.isprintable()
    assert len(cause.evidence) <= 300


def test_the_catalogue_is_sound() -> None:
    assert len({fault.id for fault in FAULTS}) == len(FAULTS) >= 60
    for fault in FAULTS:
        re.compile(fault.pattern)
        assert fault.title and fault.remedy and fault.source, fault.id


def test_a_big_log_takes_seconds_not_minutes() -> None:
    line = (
        "[2026-03-01 10:00:00] [1] [llm] [INFO] tp dp hccl rank_table tokenizer MASTER_PORT gloo worker proxy quant\n"
    )
    began = time.monotonic()
    likely_causes(line * 10000, 137)
    likely_causes("hccl quant tokenizer worker " * 40000, 137)
    assert time.monotonic() - began < 20


@given(st.text(), st.one_of(st.none(), st.integers(-300, 300)))
def test_any_log_is_read(text: str, status: int | None) -> None:
    likely_causes(text, status)
