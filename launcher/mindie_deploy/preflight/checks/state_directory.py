"""The directory of the deployment's own files on the hosts."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.hosts.facts import HostFacts, PathState, Unknown
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check


@check(
    "state.directory",
    title="something else is where the deployment's own files belong",
    severity="block",
    command="stat of mindie_state_directory",
    needs=("surroundings.state_paths",),
    unknown="info",
    why="Configuration, rank table and lock are written into this directory before the start.",
    remedy="ls -ld the path. Move away what is there (mv PATH PATH.old), or set mindie_state_directory to another "
    "place.",
    source="design: state on a host lives in one directory",
)
def directory(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.surroundings.state_paths, Unknown):
        return
    for state in host.surroundings.state_paths:
        if state.exists and "directory" not in (state.kind, state.target_kind):
            yield Problem(host.name, f"{state.path} is {_what(state)}")


def _what(state: PathState) -> str:
    if state.kind != "link":
        return f"a {state.kind}"
    return f"a link to {state.target}, which is " + (f"a {state.target_kind}" if state.target_kind else "not there")
