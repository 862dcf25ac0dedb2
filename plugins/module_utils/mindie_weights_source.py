# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""Where weights come from: a directory of this host, or another host that serves them over HTTP."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import http.client
import os
import threading
from urllib.parse import quote, urlsplit

SECRET_HEADER = "X-Mindie-Deploy-Secret"
CONNECT_TIMEOUT_S = 10


class FetchError(Exception):
    """Ends the run; something to tell the operator without a traceback."""


class BrokenError(Exception):
    """A connection broke or gave nonsense: worth another try."""


class Directory(object):
    """A source on this host (a shared mount, or the source host's own directory)."""

    def __init__(self, path, label):
        self.path, self.label = path, label
        if not os.path.isdir(path):
            raise FetchError("the source directory %s does not exist on %s" % (path, label))

    def open(self, name, offset, size):
        try:
            handle = open(os.path.join(self.path, name), "rb", buffering=0)  # noqa: SIM115  (the caller closes it)
        except OSError as error:
            raise FetchError("%s on %s: %s" % (os.path.join(self.path, name), self.label, error.strerror)) from None
        found = os.fstat(handle.fileno()).st_size
        if found != size:
            handle.close()
            raise FetchError("%s/%s has %d bytes and the manifest says %d" % (self.path, name, found, size))
        handle.seek(offset)
        return handle

    def forget(self):
        pass


class Http(object):
    """A source that another host serves. One connection for each thread, used again. Proxies are never asked."""

    def __init__(self, url, secret_file, timeout):
        self.label = url
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise FetchError("the source %r is not an http:// URL" % url)
        self.address, self.port, self.base = parts.hostname, parts.port or 80, parts.path.rstrip("/") + "/"
        self.timeout = timeout
        self.mine = threading.local()
        try:
            with open(secret_file) as handle:
                self.secret = handle.read(4096).strip()
        except OSError as error:
            raise FetchError("the secret file %s: %s" % (secret_file, error.strerror)) from None

    def connection(self):
        if getattr(self.mine, "connection", None) is None:
            connection = http.client.HTTPConnection(self.address, self.port, timeout=CONNECT_TIMEOUT_S)
            connection.connect()
            connection.sock.settimeout(self.timeout)
            self.mine.connection = connection
        return self.mine.connection

    def forget(self):
        """After trouble a connection may hold the rest of an old answer."""
        connection = getattr(self.mine, "connection", None)
        self.mine.connection = None
        if connection is not None:
            connection.close()

    def open(self, name, offset, size):
        headers = {SECRET_HEADER: self.secret}
        if offset:
            headers["Range"] = "bytes=%d-" % offset
        connection = self.connection()
        connection.request("GET", self.base + quote(name), headers=headers)
        answer = connection.getresponse()
        if answer.status in (403, 404, 416):
            reasons = {
                403: "it refuses our secret: another run started it, run the sync again",
                404: "it does not have the file",
                416: "its file is shorter than the manifest says",
            }
            raise FetchError("%s from %s: %s" % (name, self.label, reasons[answer.status]))
        if answer.status != (206 if offset else 200):
            raise BrokenError("it answers with status %d" % answer.status)
        place = "bytes %d-%d/%d" % (offset, size - 1, size)
        if offset and answer.getheader("Content-Range") != place:
            raise FetchError("%s from %s is %s, not %s" % (name, self.label, answer.getheader("Content-Range"), place))
        if answer.length != size - offset:
            raise FetchError(
                "%s from %s would have %s bytes and the manifest says %d"
                % (name, self.label, "unknown" if answer.length is None else answer.length + offset, size)
            )
        return answer
