"""Settings that concern the checks themselves."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import CLUSTER, Problem
from mindie_deploy.preflight.registry import all_checks, check


@check(
    "settings.check-ids",
    title="a check that is to be skipped or lowered does not exist, or cannot be",
    severity="warn",
    scope="cluster",
    command="mindie_checks_skip, mindie_checks_warn",
    why="A slip in the id leaves the check as it was, and you may rely on the opposite.",
    remedy="Correct the id; docs/checks.md lists all of them.",
    source="docs/checks.md",
    skippable=False,
)
def check_ids(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    checks = all_checks()
    for setting, ids in (
        ("mindie_checks_skip", context.settings.checks_skip),
        ("mindie_checks_warn", context.settings.checks_warn),
    ):
        for check_id in ids:
            if check_id not in checks:
                near = difflib.get_close_matches(check_id, checks, n=1, cutoff=0.6)
                says = f"{setting}: there is no check {check_id}" + (f"; did you mean {near[0]}?" if near else "")
                yield Problem(CLUSTER, says)
            elif not checks[check_id].skippable:
                yield Problem(CLUSTER, f"{setting}: {check_id} is always judged")
