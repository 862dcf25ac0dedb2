"""The management and metrics planes (source 5, second table and below)."""

from __future__ import annotations

import threading
import time
from urllib.parse import parse_qs

from .engine import EngineTimeoutError
from .http_server import Exchange, Route
from .service import Service

STATUS_READY, STATUS_NORMAL = 0, 1


def management_routes(service: Service) -> list[Route]:
    """The routes of the management plane."""
    plane = Management(service)
    return [
        ("GET", r"/v2/health/live", plane.health),
        ("GET", r"/v2/health/ready", plane.health),
        ("GET", r"/health", plane.health),
        ("GET", r"/v2/models/([^/]+)/ready", plane.model_ready),
        ("GET", r"/health/timed(?:-([0-9]+))?", plane.timed),
        ("GET", r"/info", plane.info),
        ("GET", r"/metrics-json", plane.metrics_json),
        ("GET", r"/v1/engine-server/running-status", plane.running_status),
        ("GET", r"/stopService", plane.stop),
    ]


def metrics_routes(service: Service) -> list[Route]:
    """The one route of the metrics plane."""
    return [("GET", r"/metrics", Management(service).metrics)]


class Management:
    """Handlers of the management and metrics planes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def health(self, exchange: Exchange) -> None:
        """200 with nothing in it, also when a follower is long dead (source 0, point 9)."""
        exchange.send_nothing(200 if self._up() else 503)

    def model_ready(self, exchange: Exchange) -> None:
        if not self._up():
            exchange.send_nothing(503)
        elif exchange.parameters[0] != self._service.config.model.name:
            exchange.send_problem(404, f"Model {exchange.parameters[0]} not found")
        else:
            exchange.send_nothing(200)

    def timed(self, exchange: Exchange) -> None:
        """A real inference of one token within N seconds, 1 to 600, 10 by default."""
        if self._service.stopping:
            exchange.send_json(200, {"status": "healthy"})
            return
        if not self._service.healthy:
            exchange.send_nothing(503)
            return
        seconds = int(exchange.parameters[0] or 10)
        if not 1 <= seconds <= 600:
            exchange.send_problem(404, "The wait time must be in [1, 600].")
            return
        try:
            for _ in self._service.engine.generate(["."], 1, limit=seconds):
                pass
        except EngineTimeoutError:
            exchange.send_problem(500, "Engine callback timeout")
            return
        exchange.send_json(200, {"status": "healthy"})

    def info(self, exchange: Exchange) -> None:
        """Facts of model and scheduler in the form of text-generation-inference."""
        if not self._up():
            exchange.send_nothing(503)
            return
        config = self._service.config
        exchange.send_json(
            200,
            {
                "docker_label": None,
                "max_batch_total_tokens": config.schedule["maxPrefillTokens"],
                "max_best_of": 1,
                "max_concurrent_requests": config.schedule["maxBatchSize"],
                "max_stop_sequences": None,
                "max_waiting_tokens": None,
                "sha": None,
                "validation_workers": None,
                "version": "1.0.0",
                "waiting_served_ratio": None,
                "models": [
                    {
                        "model_device_type": "npu",
                        "model_dtype": self._service.dtype,
                        "model_id": config.model.name,
                        "model_pipeline_tag": "text-generation",
                        "model_sha": None,
                        "max_total_tokens": config.model.max_seq_len,
                    }
                ],
                "max_input_length": config.model.max_input_len,
            },
        )

    def metrics_json(self, exchange: Exchange) -> None:
        if not self._up():
            exchange.send_nothing(503)
            return
        metrics = self._service.engine.metrics
        server = self._service.config.server
        values = {
            "TTFT": f"{metrics.average_ms('time_to_first_token_seconds'):.0f}",
            "TBT": f"{metrics.average_ms('time_per_output_token_seconds'):.0f}",
            "waitingInferRequestNum": str(metrics.waiting),
            "processingInferRequestNum": str(metrics.running),
            "remainBlocks": str(self._service.kv_blocks),
        }
        instance = f"{server.management_address}:{server.management_port}"
        now = int(time.time())
        result = [
            {"metric": {"__name__": name, "instance": instance}, "value": [now, value]}
            for name, value in values.items()
        ]
        exchange.send_json(200, {"resultType": "vector", "result": result})

    def running_status(self, exchange: Exchange) -> None:
        status = STATUS_NORMAL if self._service.engine.metrics.received else STATUS_READY
        exchange.send_json(200, {"status": status, "errors": []})

    def stop(self, exchange: Exchange) -> None:
        """Waits for what runs, answers 200, then SIGTERM to the group; Force: SIGKILL after a pause (source 4.3)."""
        if self._service.stopping:
            exchange.send_nothing(500)
            return
        self._service.stopping = True
        if parse_qs(exchange.query).get("mode") == ["Force"]:
            threading.Timer(self._service.knobs.stop_pause_seconds, self._service.kill).start()
            exchange.send_nothing(200)
            return
        metrics = self._service.engine.metrics
        while metrics.running or metrics.waiting:
            time.sleep(0.05)
        exchange.send_nothing(200)
        exchange.wfile.flush()
        threading.Timer(0.1, self._service.terminate).start()

    def metrics(self, exchange: Exchange) -> None:
        """Prometheus text; 500 unless MIES_SERVICE_MONITOR_MODE=1 (source 5)."""
        if not self._service.monitored:
            exchange.send_nothing(500)
            return
        exchange.send_text(200, self._service.engine.metrics.prometheus(self._service.config.model.name))

    def _up(self) -> bool:
        return self._service.healthy and not self._service.stopping
