#!/usr/bin/python3
"""Prints docs/simulator-state.md, made of the schema: python3 molecule/simulator/tools/document.py > docs/simulator-state.md."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools.fields import Field, Table  # noqa: E402
from tools.schema import HOST  # noqa: E402

HEAD = """# The state file of a simulated host

One YAML file per host, `<work>/hosts/<host>.yml`, says what its hardware is. What is left out has the value of a healthy
host; an empty file is a host without NPUs. The tools (`npu-smi`, `hccn_tool`, `lspci`) read it at every call. Files, device
nodes, processes and the clock follow after `python3 /opt/simulator/tools/apply.py` on the host (`cluster.py exec HOST -- ...`).
An unknown field, a wrong type or a value out of range is refused with its place and rule; a tool then ends with status 70.

Faults by name: `molecule/simulator/fault.py list`, `apply NAME --host HOST [--npu N]`, `clear [NAME]`.
This page is made from the schema (`molecule/simulator/tools/document.py`).

What happens where:

| what | how it is simulated |
|---|---|
| a process that holds NPU memory | any process on the host whose environment has `SIMULATED_NPU_CLAIM="npu=3,mib=56470,from=<epoch>,over=<seconds>,aicore=0"` (several joined by `;`); memory grows evenly from `from` over `over` seconds. Seen in `info`, `-t usages`, `common`, `proc-mem`. A child that only inherits the variable does not count |
| one command per device | `hccn_tool` holds `/run/simulator/hccn-N.lock`; a second call gets the busy text (`-ip`, `-net_health`, `-vnic`: `Command execute failed!`) |
| ping | answered from both ends: link, address, mask or gateway, `fabric`, `cannot_reach`, `ping_lost`. Two ports of different subnets meet when both have a gateway in their own |
| `-tls -s enable 0\\|1` | writes `tls.switch` and `tls_recorded` here, and `tls_enable_N` to /etc/hccn.conf. Other settings are refused with a message that begins with `simulated` |
| clock | `clock.offset_s` shifts Python's time.time() on the host, no more: containers share the kernel's clock, and time namespaces do not shift the wall clock |
| engine, image, weights, disk | the fields record what a fault's commands did on the host; a change by hand of the field alone does nothing |
| firewall | recorded only: nothing enacts it yet |
| kernel modules, /sys, dmidecode | not simulated |

Three sources: what public captures show (98-column table, `HCCS` matrix: the default), what the tools' open source prints
(`dialect`), and what is invented (identifiers, the process block of the 116-column table, times of pings).

A host with a link down on NPU 5:

```yaml
npus:
- id: 5
  hccn:
    address: 10.20.5.13
    gateway: 10.20.5.1
    link: DOWN
```

In YAML, a bus id or a MAC address made of digits needs quotes.
"""


def document() -> str:
    """The whole page."""
    parts = [HEAD]
    tables: list[tuple[str, Table]] = [("the file", HOST)]
    while tables:
        title, table = tables.pop(0)
        parts.append(f"\n## {title}\n\n| field | value | default | meaning |\n|---|---|---|---|\n")
        for name, field in table.items():
            inner = field.kind in ("section", "rows")
            parts.append(f"| `{name}` | {_values(field)} | {_default(field)} | {_escaped(field.meaning)} |\n")
            if inner:
                tables.append((name if title == "the file" else f"{title}.{name}", field.inner))
    return "".join(parts)


def _values(field: Field) -> str:
    names = {"rows": "list of mappings", "section": "mapping", "free": "mapping", "list": f"list of {field.of}"}
    text = names.get(field.kind, field.kind)
    if field.words:
        text = ", ".join(f"`{word}`" for word in field.words)
    if field.low is not None or field.high is not None:
        low = "" if field.low is None else f"{field.low:g}"
        high = "" if field.high is None else f"{field.high:g}"
        text += f" {low}..{high}"
    return text + (" or null" if field.none else "")


def _default(field: Field) -> str:
    if field.kind in ("section", "rows", "free"):
        return ""
    value: Any = field.default
    if isinstance(value, list) and len(str(value)) > 40:
        return "see schema"
    shown = {None: "null", True: "true", False: "false"}.get(value, value) if not isinstance(value, list) else value
    return f"`{shown}`" if shown != "" else ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
