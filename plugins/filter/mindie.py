# SPDX-License-Identifier: Apache-2.0
"""Filters: thin bridges from tasks to the package's decisions."""

from __future__ import annotations

from mindie_deploy.mindie.gang import plan
from mindie_deploy.plain import plain


def mindie_gang_plan(hosts, hostvars, digest, restart=False):
    """Returns {start, reasons} for the hosts whose containers were registered as mindie_observed."""
    containers = {}
    for host in hosts:
        observed = plain(hostvars[host].get("mindie_observed") or {})
        containers[host] = observed.get("container")
    return plan(containers, str(digest), restart=bool(restart)).to_dict()


class FilterModule:
    def filters(self):
        return {"mindie_gang_plan": mindie_gang_plan}
