"""Counts and times of requests, as /metrics and /metrics-json show them (source 5)."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

BUCKETS = {
    "time_to_first_token_seconds": (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10),
    "time_per_output_token_seconds": (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5),
    "e2e_request_latency_seconds": (1, 2.5, 5, 10, 15, 20, 30, 40, 50, 60),
    "request_prompt_tokens": (10, 50, 100, 200, 500, 1000, 2000, 5000, 10000),
    "request_generation_tokens": (10, 50, 100, 200, 500, 1000, 2000, 5000, 10000),
}
WINDOW = 1000  # DYNAMIC_AVERAGE_WINDOW_SIZE (source 3)


class Record:
    """One request on its way."""

    def __init__(self, owner: Metrics, prompt_tokens: int) -> None:
        self._owner = owner
        self._prompt = prompt_tokens
        self._began = self._last = time.monotonic()
        self._made = 0
        self.started = self.done = False

    def start(self) -> None:
        self.started = True
        self._owner.move(waiting=-1, running=1)

    def token(self) -> None:
        now = time.monotonic()
        name = "time_per_output_token_seconds" if self._made else "time_to_first_token_seconds"
        self._owner.observe(name, now - self._last)
        self._last = now
        self._made += 1

    def success(self) -> None:
        self.done = True
        self._owner.finish(self._prompt, self._made, time.monotonic() - self._began)


class Metrics:
    """Everything counted since the start; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.received = self.succeeded = self.failed = 0
        self.waiting = self.running = 0
        self.prompt_tokens = self.generated_tokens = 0
        self._histograms: dict[str, list[int]] = {name: [0] * (len(edges) + 1) for name, edges in BUCKETS.items()}
        self._sums = dict.fromkeys(BUCKETS, 0.0)
        self._recent: dict[str, deque[float]] = {name: deque(maxlen=WINDOW) for name in BUCKETS}

    @contextmanager
    def request(self, prompt_tokens: int) -> Iterator[Record]:
        """Counts a request from its arrival to its end; one that does not reach `success` has failed."""
        with self._lock:
            self.received += 1
            self.waiting += 1
        record = Record(self, prompt_tokens)
        try:
            yield record
        finally:
            with self._lock:
                if record.started:
                    self.running -= 1
                else:
                    self.waiting -= 1
                if not record.done:
                    self.failed += 1

    def move(self, *, waiting: int, running: int) -> None:
        with self._lock:
            self.waiting += waiting
            self.running += running

    def observe(self, name: str, value: float) -> None:
        with self._lock:
            place = sum(1 for edge in BUCKETS[name] if value > edge)
            self._histograms[name][place] += 1
            self._sums[name] += value
            self._recent[name].append(value)

    def finish(self, prompt: int, generated: int, seconds: float) -> None:
        self.observe("e2e_request_latency_seconds", seconds)
        self.observe("request_prompt_tokens", prompt)
        self.observe("request_generation_tokens", generated)
        with self._lock:
            self.succeeded += 1
            self.prompt_tokens += prompt
            self.generated_tokens += generated

    def average_ms(self, name: str) -> float:
        """Average of the last thousand values, in milliseconds; 0 without any."""
        with self._lock:
            values = self._recent[name]
            return 1000 * sum(values) / len(values) if values else 0.0

    def prometheus(self, model: str) -> str:
        """The text of /metrics; names without a vllm: prefix, label model_name (source 5)."""
        with self._lock:
            lived = max(time.monotonic() - self._began, 1e-9)
            ended = self.succeeded + self.failed
            counters = {
                "request_received_total": self.received,
                "request_success_total": self.succeeded,
                "request_failed_total": self.failed,
                "prompt_tokens_total": self.prompt_tokens,
                "generation_tokens_total": self.generated_tokens,
                "num_preemptions_total": 0,
            }
            gauges: dict[str, float] = {
                "num_requests_running": self.running,
                "num_requests_waiting": self.waiting,
                "num_requests_swapped": 0,
                "avg_prompt_throughput_toks_per_s": self.prompt_tokens / lived,
                "avg_generation_throughput_toks_per_s": self.generated_tokens / lived,
                "failed_request_perc": self.failed / ended if ended else 0.0,
                "npu_cache_usage_perc": 0.0,
                "cpu_cache_usage_perc": 0.0,
                "npu_prefix_cache_hit_rate": 0.0,
                "all_radix_match_num": 0,
                "npu_radix_match_hit_num": 0,
            }
            label = f'model_name="{model}"'
            lines: list[str] = []
            for name, value in counters.items():
                lines += [f"# HELP {name} {name}", f"# TYPE {name} counter", f"{name}{{{label}}} {value}"]
            for name, gauge in gauges.items():
                lines += [f"# HELP {name} {name}", f"# TYPE {name} gauge", f"{name}{{{label}}} {gauge:g}"]
            for name, edges in BUCKETS.items():
                lines += [f"# HELP {name} {name}", f"# TYPE {name} histogram"]
                total = 0
                for edge, count in zip((*edges, "+Inf"), self._histograms[name], strict=True):
                    total += count
                    lines.append(f'{name}_bucket{{{label},le="{edge}"}} {total}')
                lines += [f"{name}_count{{{label}}} {total}", f"{name}_sum{{{label}}} {self._sums[name]:g}"]
        return "\n".join(lines) + "\n"
