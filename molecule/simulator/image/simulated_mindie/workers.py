"""The worker processes of one host: started, heard of, watched, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from . import environment, memory
from .configuration import Configuration
from .knobs import Knobs
from .log import Log
from .mapping import sizes
from .rank_table import Device, RankTable
from .worker import COMMAND, Job

CLAIM_VARIABLE = "SIMULATED_NPU_CLAIM"


class Workers:
    """One child process per local NPU."""

    def __init__(
        self, config: Configuration, knobs: Knobs, environ: Mapping[str, str], log: Log, connector: Path
    ) -> None:
        self._connector = connector
        self._config = config
        self._knobs = knobs
        self._environ = environ
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []
        self._reader = -1

    def start(self, *, tables_agree: bool) -> None:
        """Starts them all; each claims HBM on its NPU through its environment, for the simulated npu-smi to see."""
        devices = self._devices()
        self._reader, writer = os.pipe()
        claim = self._claim_mib()
        for local_rank, device in enumerate(devices):
            job = self._job(local_rank, device, devices, writer, tables_agree)
            environ = dict(self._environ)
            environ[CLAIM_VARIABLE] = (
                f"npu={device.device_id},mib={claim},from={int(time.time())},"
                f"over={max(1, int(self._knobs.load_seconds))},aicore=0"
            )
            self._processes.append(
                subprocess.Popen(
                    [COMMAND, "-IS", str(self._connector), job.to_argument()],
                    executable=sys.executable,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    pass_fds=(writer,),
                )
            )
        os.close(writer)

    def wait_loaded(self) -> int:
        """Returns the smallest KV block count once every worker has loaded. A death meanwhile ends the process."""
        blocks: list[int] = []
        with os.fdopen(self._reader, "r", encoding="ascii") as reader:
            while len(blocks) < len(self._processes):
                line = reader.readline()
                if not line:
                    # All have died; the thread that handles SIGCHLD is about to end the process.
                    threading.Event().wait()
                blocks.append(int(json.loads(line)["blocks"]))
        return min(blocks)

    def death(self) -> str | None:
        """What to say of the first worker that ended with another status than 0 (source 4.3: at any time), or None."""
        for process in list(self._processes):
            status = process.poll()
            if not status:
                continue
            if status < 0:
                self._log.error(f"Process {process.pid} was terminated by signal {-status}")
            else:
                self._log.info(f"Process {process.pid} exited normally with status {status}")
            return f"Process {process.pid} exited"
        return None

    def end(self, grace: float) -> None:
        """SIGTERM, up to `grace` seconds, SIGKILL."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        for process in self._processes:
            try:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill_one(self) -> None:
        """SIGKILL to the first worker: the death that a knob asks for."""
        if self._processes:
            self._processes[0].kill()

    def _devices(self) -> tuple[Device, ...]:
        table = self._config.table
        if table is not None and table.local is not None:
            # Local ids in the order of a set, that is sorted, ranks in list order (source 2).
            ids = self._config.backend.device_ids
            return tuple(
                Device(device_id, entry.device_ip, entry.rank)
                for device_id, entry in zip(ids, table.local.devices, strict=True)
            )
        return tuple(Device(npu, "", rank) for rank, npu in enumerate(self._config.backend.device_ids))

    def _job(
        self, local_rank: int, device: Device, devices: tuple[Device, ...], writer: int, tables_agree: bool
    ) -> Job:
        table: RankTable | None = self._config.table
        model, schedule = self._config.model, self._config.schedule
        # Raised by the engine when smaller (source 1.4, maxPrefillTokens).
        tokens = max(
            schedule["maxPrefillTokens"],
            min(model.max_seq_len, model.max_input_len + schedule["maxIterTimes"]),
        )
        return Job(
            npu=device.device_id,
            local_rank=local_rank,
            local_size=len(devices),
            rank=device.rank,
            world=table.world_size if table else len(devices),
            hosts=len(table.servers) if table else 1,
            ranks=[entry.rank for server in table.servers for entry in server.devices]
            if table
            else list(range(len(devices))),
            server_ids=[server.server_id for server in table.servers] if table else [],
            device_ip=device.device_ip,
            tables_agree=tables_agree,
            weights_path=model.weights_path,
            backend_type=model.backend_type,
            mock=model.instance_type == "StandardMock",
            extra=model.extra,
            plugin_params=model.plugin_params,
            block_size=schedule["cacheBlockSize"],
            tokens_needed=tokens,
            parent=os.getpid(),
            pipe=writer,
            knobs=asdict(self._knobs),
        )

    def _claim_mib(self) -> int:
        """MiB that a loaded worker will hold."""
        table, model = self._config.table, self._config.model
        if model.instance_type == "StandardMock":
            return 0
        world = table.world_size if table else len(self._config.backend.device_ids)
        hosts = len(table.servers) if table else 1
        try:
            # Whatever is wrong here a worker is about to die of, with its own words; it then claims nothing.
            environment.check(self._environ)
            found = sizes(model.extra, world, hosts, model.backend_type, self._environ.get("HCCL_BUFFSIZE", ""))
            config = json.loads((Path(model.weights_path) / "config.json").read_text(encoding="utf-8"))
        except ValueError:
            return 0
        fraction = environment.memory_fraction(self._environ)
        return memory.fit(config, found, fraction, self._knobs).claim_mib
