"""A process that only is there: `stand_in.py NAME [PORT]` sleeps under that name, and holds a TCP port if one is given.

Started by apply.py on a simulated host; what it claims is in its environment (see claims.py).
"""

import socket
import sys
import time


def main(arguments: list[str]) -> None:
    """Says "ready" once the name is set and the port is held, and stays."""
    with open("/proc/self/comm", "w", encoding="utf-8") as comm:
        comm.write(arguments[0])
    server = socket.create_server(("", int(arguments[1]))) if len(arguments) > 1 else None
    print("ready", flush=True)
    while True:
        if server is None:
            time.sleep(3600)
        else:
            server.accept()[0].close()


if __name__ == "__main__":
    main(sys.argv[1:])
