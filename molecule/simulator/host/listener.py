"""Holds a TCP port of the host as any other program might. Usage: listener.py PORT"""

import socket
import sys
import time

with socket.create_server(("", int(sys.argv[1]))) as server:
    print("listening", flush=True)
    while True:
        connection, _ = server.accept()
        time.sleep(0.1)
        connection.close()
