"""mindieservice_daemon from its first line to its end (source 4)."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from . import checks, configuration, home, http_server, rank_table, shared_memory, weights
from .engine import Alone, Engine, Gang
from .knobs import KnobError, Knobs
from .knobs import load as load_knobs
from .log import Log, LogDirectoryError
from .rendezvous import Follower, Leader, RendezvousError
from .routes_business import routes as business_routes
from .routes_management import management_routes, metrics_routes
from .service import Service
from .workers import Workers

BAD_COMMAND_LINE = 255
BAD_KNOBS = 70
FAILED = "Failed to init endpoint! Please check the service log or console output."


class Daemon:
    """One run. The main thread starts everything and then only waits; another one hears of signals and ends it."""

    def __init__(self, environ: Mapping[str, str], knobs: Knobs, log: Log) -> None:
        self._environ = environ
        self._knobs = knobs
        self._log = log
        self._workers: Workers | None = None
        self._service: Service | None = None
        self._shared: list[Path] = []
        self._ending = threading.Lock()
        # The C handler writes the number of each signal here, in whatever thread the kernel picked. A Python handler
        # would only run once the main thread wakes up, and could interrupt it while it holds a lock.
        self._signals, self._signalled = os.pipe()
        os.set_blocking(self._signalled, False)

    def run(self, options: Mapping[str, str], binary: Path) -> NoReturn:
        """Never returns: the process ends by a signal of its own."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        threading.Thread(target=self._handle_signals, name="signals", daemon=True).start()
        try:
            self._start(options, binary)
        except (checks.RefusedError, shared_memory.SharedMemoryError, http_server.PortError) as error:
            self._refuse(error)
        except rank_table.SegmentationFaultError:
            _segmentation_fault()
        except RendezvousError as error:
            # Source 4.3: an exception in an executor thread: abort, the same path, after the pause.
            _say_uncaught(error)
            self._end(pause=True)
        while True:
            time.sleep(3600)

    def _start(self, options: Mapping[str, str], binary: Path) -> None:
        root = home.home_directory(self._environ, binary)
        checks.say_on_stdout("LogLevelDynamicHandler start")
        path = home.config_path(options, self._environ, root)
        config = configuration.load(path, root, self._environ, self._say)
        hosts = len(config.table.servers) if config.table else 1
        dp = int(config.model.extra.get("dp", "1"))
        shared_memory.check(max(1, dp // hosts), self._knobs.shm_free_mib)
        gang = self._meet(config)
        self._shared = shared_memory.create(len(config.backend.device_ids))
        self._workers = Workers(
            config, self._knobs, self._environ, self._log, binary.parent / "mindie_llm_backend_connector"
        )
        self._workers.start(tables_agree=gang is None or gang.tables_agree)
        blocks = self._workers.wait_loaded()
        if gang is not None:
            blocks = gang.agree(blocks)
        if config.leads:
            self._serve(config, gang, blocks)
        else:
            text = "Multi Nodes infer slave instance need not init TokenizerProcessPool and HttpWrapper"
            checks.say_on_stdout(text)
            self._log.info(text)
        checks.say_on_stdout("Daemon start success!")
        self._log.info("Daemon start success!")
        if self._service is not None:
            self._service.healthy = True
        if self._knobs.die_after_seconds is not None:
            timer = threading.Timer(self._knobs.die_after_seconds, self._die)
            timer.daemon = True
            timer.start()

    def _meet(self, config: configuration.Configuration) -> Leader | Follower | None:
        """The rendezvous before any worker is started (source 4.1 step 4)."""
        table = config.table
        if table is None or table.local is None:
            return None
        backend = config.backend
        if table.local.leads:
            leader = Leader(
                table.local.container_ip, backend.port, len(table.servers) - 1, table.digest, backend.tls, self._log
            )
            leader.gather()
            return leader
        if self._knobs.never_register:
            self._log.info("simulated: never registers with the master")
            while True:
                time.sleep(3600)
        # No rank 0 anywhere: nobody leads, and there is no address to dial (source 2). The workers refuse such a
        # table, so they are started without a meeting.
        if table.leader is None:
            return None
        follower = Follower(
            table.leader.container_ip, backend.port, table.local.container_ip, table.digest, backend.tls, self._log
        )
        follower.join(self._knobs)
        return follower

    def _serve(self, config: configuration.Configuration, gang: Leader | Follower | None, blocks: int) -> None:
        """HTTP, on the leader only and only now (source 0, point 7)."""
        steps: Gang = gang if isinstance(gang, Leader) else Alone()
        dp = int(config.model.extra.get("dp", "1"))
        server = config.server
        places = config.schedule["maxBatchSize"] * dp
        engine = Engine(steps, self._knobs.tokens_per_second, places, server.token_timeout, server.e2e_timeout)
        facts = weights.read_config(config.model.weights_path, self._say) or {}
        self._service = Service(
            config=config,
            engine=engine,
            knobs=self._knobs,
            environ=self._environ,
            kv_blocks=blocks,
            dtype=str(facts.get("torch_dtype", "float16")),
            terminate=lambda: os.killpg(os.getpgrp(), signal.SIGTERM),
            kill=lambda: os.killpg(os.getpgrp(), signal.SIGKILL),
        )
        planes = {
            http_server.BUSINESS: business_routes(self._service),
            http_server.MANAGEMENT: management_routes(self._service),
            http_server.METRICS: metrics_routes(self._service),
        }
        http_server.open_listeners(server, planes, self._log)

    def _say(self, text: str) -> None:
        """Complaints of the loading go to stdout and to the log."""
        checks.say_on_stdout(text)
        self._log.debug(text)

    def _refuse(self, error: Exception) -> None:
        """The end of a start that failed: SIGKILL to the own process group, 137 for whoever looks (source 4.3)."""
        if str(error) == configuration.CHECK_FAILED:
            # Source 1.1: the thread that polls the file is joined first.
            time.sleep(self._knobs.refuse_pause_seconds)
        if not isinstance(error, checks.RefusedError):
            self._log.error(str(error))
            sys.stderr.write(f"{error}\n")
        self._log.error(FAILED)
        sys.stderr.write(f"ERR: {FAILED}\n")
        sys.stderr.flush()
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def _handle_signals(self) -> NoReturn:
        while True:
            numbers = set(os.read(self._signals, 512))
            if numbers - {signal.SIGCHLD}:
                self._log.warn(f"Received exit signal{sorted(numbers - {signal.SIGCHLD})}")
                self._end(pause=True)
            death = self._workers.death() if self._workers is not None else None
            if death is not None:
                self._on_death(death)

    def _on_death(self, text: str) -> None:
        self._log.warn(f"{text}. Successfully handled SIGCHLD, now killing process group")
        if self._knobs.die_on_load_fraction is not None and self._knobs.exit_status is not None:
            self._exit_as_told(self._knobs.exit_status)
        self._end(pause=False)

    def _end(self, *, pause: bool) -> None:
        """Health false, the pause, the children, then abort: 134, never 0. A second call does nothing (source 4.3)."""
        if not self._ending.acquire(blocking=False):
            return
        if self._service is not None:
            self._service.healthy = False
        if pause:
            time.sleep(self._knobs.stop_pause_seconds)
        grace = self._knobs.child_grace_seconds
        sys.stderr.write(f"Daemon is killing, please wait about {grace:.0f} seconds...\n")
        parent = os.getppid()
        if parent > 0:
            os.kill(parent, signal.SIGCHLD)
        if self._workers is not None:
            self._workers.end(grace)
        sys.stderr.write("All subprocesses exited gracefully.\n")
        shared_memory.remove(self._shared)
        sys.stderr.flush()
        os.abort()

    def _die(self) -> None:
        """The death that the knob die_after_seconds asks for."""
        if self._knobs.exit_status is not None:
            self._exit_as_told(self._knobs.exit_status)
        if self._workers is not None:
            self._workers.kill_one()
        else:
            self._end(pause=False)

    def _exit_as_told(self, status: int) -> None:
        if not self._ending.acquire(blocking=False):
            return
        if status == 128 + signal.SIGKILL:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        if self._workers is not None:
            self._workers.end(self._knobs.child_grace_seconds)
        shared_memory.remove(self._shared)
        os._exit(status)


def main(arguments: Sequence[str], environ: Mapping[str, str], binary: Path) -> int:
    """Returns only for what ends before the start proper: 255 for the command line, 70 for a broken knobs file."""
    sys.stderr.write(f"g_mainPid = {os.getpid()}\n")
    sys.stderr.flush()
    # An abort of the real one leaves a core where the site wants it; the simulated one has nothing worth a look.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        knobs = load_knobs(environ)
    except KnobError as error:
        sys.stderr.write(f"simulated MindIE: {error}\n")
        return BAD_KNOBS
    try:
        log = Log("server", environ)
    except LogDirectoryError as error:
        # Source 4.1 step 1: an exception that nobody catches.
        _say_uncaught(error)
        os.abort()
    try:
        os.setpgid(0, 0)
    except OSError as error:
        # setpgid(2): EPERM for a session leader. Process 1 of a container is one, so the daemon cannot be process 1:
        # the real one ends with -1 here (llm_daemon.cpp, main), before anything else is done.
        log.error(f"Failed to set process group. errno is {error.errno}")
        sys.stderr.write(f"Failed to set process group. errno is {error.errno}\n")
        return BAD_COMMAND_LINE
    try:
        options = home.parse_arguments(arguments)
    except home.CommandLineError as error:
        log.error(str(error))
        sys.stderr.write(f"{error}\n")
        return BAD_COMMAND_LINE
    return Daemon(environ, knobs, log).run(options, binary)


def _say_uncaught(error: Exception) -> None:
    """What the C++ runtime says of an exception that nobody caught."""
    sys.stderr.write(f"terminate called after throwing an instance of 'std::runtime_error'\n  what():  {error}\n")
    sys.stderr.flush()


def _segmentation_fault() -> NoReturn:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(128 + signal.SIGSEGV)
