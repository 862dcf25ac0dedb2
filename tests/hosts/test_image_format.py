"""What is asked about the image brings home only what is read: an image's environment may hold secrets.

Docker's own client fills the template in, from the answers of an engine that is none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.engine import image
from mindie_deploy.hosts.facts import ImageFacts
from mindie_deploy.hosts.items_host import engine_items

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="there is no client of Docker here")

DIGEST = "sha256:" + "b" * 64
WHOLE: dict[str, Any] = {
    "Id": DIGEST,
    "RepoTags": ["mindie:2.0"],
    "Architecture": "arm64",
    "Size": 7,
    "Config": {
        "Env": ["PATH=/bin", "HTTP_PROXY=http://bob:geheim@p:1", "https_proxy=", "MIES_TOKEN=geheim", "bare", "=x"],
        "Labels": {"a": 'b"c'},
    },
}
IMAGES = {
    "mindie:2.0": WHOLE,
    "without-configuration": {**WHOLE, "Config": None},
    "empty-configuration": {**WHOLE, "Config": {}},
}


class Engine(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._reply(200, "OK")

    def do_GET(self) -> None:
        if self.path.endswith("/_ping"):
            self._reply(200, "OK")
            return
        name = self.path.rpartition("/images/")[2].removesuffix("/json")
        if name in IMAGES:
            self._reply(200, IMAGES[name])
        else:
            self._reply(404, {"message": f"No such image: {name}"})

    def _reply(self, status: int, told: object) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Api-Version": "1.43"}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_words: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """The address of an engine that has the images."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"tcp://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def asked(engine: str, reference: str) -> Answer:
    (command,) = (item["command"] for item in engine_items("docker", reference) if item["key"] == "engine/image")
    assert isinstance(command, list)
    environment = {**os.environ, "DOCKER_HOST": engine}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def test_only_what_is_read_is_told(engine: str) -> None:
    answer = asked(engine, "mindie:2.0")
    assert "geheim" not in answer.text and "PATH" not in answer.text
    wanted = ImageFacts("mindie:2.0", DIGEST, "arm64", {"a": 'b"c'}, 7, proxies=("HTTP_PROXY",))
    assert image(answer, "mindie:2.0") == wanted
    assert wanted == image(Answer(0, json.dumps([WHOLE]) + "\n"), "mindie:2.0"), "as older versions have saved it"


@pytest.mark.parametrize("reference", ["without-configuration", "empty-configuration"])
def test_an_image_may_have_no_labels_and_no_environment(engine: str, reference: str) -> None:
    assert image(asked(engine, reference), reference) == ImageFacts(reference, DIGEST, "arm64", {}, 7)


def test_an_image_that_is_not_there_is_none(engine: str) -> None:
    assert image(asked(engine, "gone"), "gone") is None
