"""One worker process per NPU: environment, rank table, sizes, weights, warm-up, then it stays until it is ended.

It tells the daemon of its end of loading by one JSON line on the pipe it was given; whatever it dislikes is an uncaught
exception, with the traceback on stderr and exit status 1, which the daemon answers by ending (source 4.3).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import checkpoint, environment, mapping, memory
from .knobs import Knobs
from .log import Log

COMMAND = "mindie_llm_backend"


@dataclass(frozen=True)
class Job:
    """All a worker is told, as JSON in its arguments; `ranks` and `server_ids` are the whole table's."""

    npu: int
    local_rank: int
    local_size: int
    rank: int
    world: int
    hosts: int
    ranks: list[int]
    server_ids: list[str]
    device_ip: str
    tables_agree: bool
    weights_path: str
    backend_type: str
    mock: bool
    extra: dict[str, str]
    plugin_params: str
    block_size: int
    tokens_needed: int
    parent: int
    pipe: int
    knobs: dict[str, Any]

    def to_argument(self) -> str:
        return json.dumps(asdict(self))


class RankTableError(ValueError):
    """A table that the daemon took and the worker or HCCL does not."""


def main(arguments: list[str], environ: Mapping[str, str]) -> None:
    """Never returns in good health: it waits for a signal."""
    # ps, npu-smi and the kernel show 15 letters: "mindie_llm_back".
    Path("/proc/self/comm").write_text(COMMAND[:15], encoding="ascii")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    job = Job(**json.loads(arguments[0]))
    knobs = Knobs(**job.knobs)
    environment.check(environ)
    log = Log("llm", environ)
    started = time.monotonic()

    def until(fraction: float) -> None:
        """Sleeps until `fraction` of the loading time has gone by, dying on the way when a knob says so."""
        stop = knobs.die_on_load_fraction
        if stop is not None and job.local_rank == 0 and fraction >= stop:
            time.sleep(max(0.0, started + stop * knobs.load_seconds - time.monotonic()))
            raise RuntimeError("simulated death while loading")
        time.sleep(max(0.0, started + fraction * knobs.load_seconds - time.monotonic()))

    log.info(f"global rank {job.rank} local rank {job.local_rank} npu {job.npu}: start to init model")
    blocks = _load(job, knobs, environ, log, until) if not job.mock else 0
    until(1.0)
    log.info(f"model init success, parent pid={job.parent}, global_rank_id={job.rank}")
    os.write(job.pipe, (json.dumps({"local_rank": job.local_rank, "blocks": blocks}) + "\n").encode())
    while True:
        signal.pause()


def _load(job: Job, knobs: Knobs, environ: Mapping[str, str], log: Log, until: Any) -> int:
    until(0.05)
    _check_table(job, knobs)
    buffer_size = environ.get("HCCL_BUFFSIZE", "")
    sizes = mapping.sizes(job.extra, job.world, job.hosts, job.backend_type, buffer_size)
    mapping.executors_per_host(sizes.dp, job.hosts)
    if job.plugin_params:
        try:
            json.loads(job.plugin_params)
        except ValueError as error:
            # Source 1.4: bad JSON passes the load and ends the engine start.
            raise RuntimeError(f"plugin_params is not JSON: {error}") from error
    directory = Path(job.weights_path)
    config = checkpoint.model_config(directory, environ)
    checkpoint.check_tokenizer(directory, environ)
    names = checkpoint.shards(directory)
    if knobs.hang or sorted(job.ranks) != list(range(job.world)):
        # Gaps and repeated ranks are nobody's business in MindIE; HCCL then hangs (source 2).
        log.info("waiting for the other ranks")
        while True:
            signal.pause()
    found = memory.fit(config, sizes, environment.memory_fraction(environ), knobs)
    if found.weights > found.budget:
        until(0.9 * found.budget / found.weights)
        memory.check_weights(found, job.npu)
    # Each real worker opens every shard; here the workers of a host share them out, so that each is read once.
    own = names[job.local_rank :: job.local_size]
    for index, name in enumerate(own):
        until(0.1 + 0.75 * index / len(own))
        checkpoint.check_shard(directory / name, environ)
    until(0.9)
    log.info(f"Model loading took {found.weights / memory.GIB:.2f} GiB memory.")
    blocks = memory.kv_blocks(found, config, job.block_size, job.tokens_needed)
    per_block = memory.kv_bytes_per_token(config) * job.block_size
    log.info(f"One block during warmup needs npu memory(GiB) {per_block / memory.GIB:.4f}")
    log.info(f"Allocated {blocks * per_block / memory.GIB:.2f} (GiB) NPU memory for KVcache")
    return blocks


def _check_table(job: Job, knobs: Knobs) -> None:
    # Source 2, "Python worker": rank_id below the number of devices, server_id an IP address.
    if any(rank >= job.world for rank in job.ranks):
        raise RankTableError(f"rank_id should be less than the number of devices {job.world}, got {max(job.ranks)}")
    from .rank_table import is_server_ip

    for server_id in job.server_ids:
        if server_id and not is_server_ip(server_id):
            raise RankTableError(f"server_id {server_id} in rank table is not an IP address")
    # HCCL compares a checksum of the table between the ranks (field notes 3 and fault 13).
    if not job.tables_agree:
        raise RankTableError("EI0005: arguments inconsistent: [RankConsistentImpl][CompareFrame] rank table CRC")
    known = (knobs.device_ips or {}).get(str(job.npu))
    if known is not None and job.device_ip and known != job.device_ip:
        # fault 10.
        raise RankTableError(
            f"EJ0004: the IP address({job.device_ip}) in the ranktable is inconsistent with the IP {known} of the NPU"
        )
