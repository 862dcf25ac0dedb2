"""Reads ranges through an HttpOrigin and tells what came of it; runs under any Python from 3.7 on.

Takes JSON on stdin: {"spec": ..., "reads": [[name, offset, length]], "threads": n}; prints JSON. Waiting takes no time;
how long it would have taken is told.
"""

import hashlib
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from mindie_exchange.hub import HttpOrigin, OriginError


class Clock:
    """Stands for the event that ends a run: notes how long was waited."""

    def __init__(self):
        self.waits = []
        self.lock = threading.Lock()

    def wait(self, seconds):
        with self.lock:
            self.waits.append(seconds)
        return False

    def is_set(self):
        return False


def read(origin, name, offset, length):
    target = bytearray(length)
    try:
        origin.read_into(name, offset, memoryview(target))
    except OriginError as error:
        return {"error": str(error), "final": error.final, "retry_after": error.retry_after}
    return {"sha256": hashlib.sha256(target).hexdigest()}


def main():
    task = json.load(sys.stdin)
    clock = Clock()
    try:
        origin = HttpOrigin(task["spec"], clock)
    except OriginError as error:
        json.dump({"results": [{"error": str(error), "final": error.final}]}, sys.stdout)
        return
    with ThreadPoolExecutor(task["threads"]) as pool:
        results = list(pool.map(lambda one: read(origin, *one), task["reads"]))
    meter = origin.meter
    names = ("bytes_received", "bytes_asked_twice", "requests", "failures", "targets_asked_anew", "rate")
    told = {"results": results, "waits": clock.waits, "python": list(sys.version_info[:2])}
    json.dump(dict(told, **{name: getattr(meter, name) for name in names}), sys.stdout)


if __name__ == "__main__":
    main()
