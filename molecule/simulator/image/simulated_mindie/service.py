"""What the routes share: the accepted configuration, the engine, the health flag, and how to end."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .answers import Origin
from .chat_request import Limits
from .configuration import Configuration
from .engine import Engine
from .knobs import Knobs


@dataclass
class Service:
    """The served model. `healthy` is true from the success line until the end begins (source 4.1 step 8)."""

    config: Configuration
    engine: Engine
    knobs: Knobs
    environ: Mapping[str, str]
    kv_blocks: int
    dtype: str
    terminate: Callable[[], None]
    kill: Callable[[], None]
    healthy: bool = False
    stopping: bool = False
    created: int = field(default_factory=lambda: int(time.time()))
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def origin(self) -> Origin:
        table = self.config.table
        return Origin(
            self.config.model.name,
            len(table.servers) if table else 1,
            table.world_size if table else len(self.config.backend.device_ids),
        )

    @property
    def limits(self) -> Limits:
        model = self.config.model
        return Limits(
            model=model.name,
            max_input=model.max_input_len,
            max_seq=model.max_seq_len,
            max_iterations=self.config.schedule["maxIterTimes"],
            asynchronous=self.environ.get("MINDIE_ASYNC_SCHEDULING_ENABLE") == "1",
        )

    @property
    def monitored(self) -> bool:
        """Whether /metrics answers (source 3)."""
        return self.environ.get("MIES_SERVICE_MONITOR_MODE") == "1"

    @property
    def reasoning(self) -> bool:
        """Whether the text between think tags is split off: enable_reasoning in the model settings (source 5)."""
        settings = json.loads(self.config.model.models or "{}")
        return isinstance(settings, dict) and any(
            isinstance(part, dict) and part.get("enable_reasoning") is True for part in settings.values()
        )

    def next_id(self) -> str:
        """endpoint_common_1, endpoint_common_2 ... (source 5)."""
        with self._lock:
            self._numbers += 1
            return f"endpoint_common_{self._numbers}"

    def shown_path(self) -> str:
        """The weights path with its first two directories hidden, as /v1/models shows it."""
        parts = [part for part in self.config.model.weights_path.split(os.sep) if part]
        return "/".join(["***", *parts[2:]]) if len(parts) > 2 else "***/" + "/".join(parts[-1:])
