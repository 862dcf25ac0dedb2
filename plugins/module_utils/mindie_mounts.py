# Copyright: the mindie-deploy authors
# SPDX-License-Identifier: Apache-2.0
"""What running containers have mounted from the host."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import subprocess

ENGINE_LIMIT_S = 60
# Name, and as JSON what is mounted from the host.
FORMAT = "{{.Name}}\t[{{range $i, $m := .Mounts}}{{if $i}},{{end}}{{json $m.Source}}{{end}}]"


class MountsError(Exception):
    """The engine does not tell what runs."""


def running_mounts(engine):
    """Returns (name of the container, path on the host) of all mounts; nothing where the engine is not installed."""
    try:
        ids = _asked([engine, "ps", "-q", "--no-trunc"]).split()
        lines = _asked([engine, "inspect", "--format", FORMAT, *ids]).splitlines() if ids else []
        rows = [line.split("\t", 1) for line in lines if line]
        return [(name.lstrip("/"), source) for name, sources in rows for source in json.loads(sources)]
    except FileNotFoundError:
        return []
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode("utf-8", "replace").strip()[-300:]
        raise MountsError(
            "%s does not tell what runs: %s" % (engine, words or "status %d" % error.returncode)
        ) from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise MountsError("%s does not tell what runs: %s" % (engine, error)) from None


def _asked(command):
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=ENGINE_LIMIT_S,
        check=True,
    ).stdout.decode("utf-8", "replace")
