"""Hosts that gave no facts. Such a finding hides everything else of the host: nothing else is known about it."""

from __future__ import annotations

from collections.abc import Iterator

from mindie_deploy.preflight.finding import Problem, Unreachable
from mindie_deploy.preflight.registry import check


@check(
    "host.unreachable",
    scope="unreachable",
    title="the host does not answer over SSH",
    severity="block",
    command="ssh",
    why="All members of a deployment start together; a host that cannot be reached cannot be prepared or watched.",
    remedy="Is the host up, and the address (ansible_host) and port in the inventory right? Try: ssh USER@ADDRESS "
    "true. If it is down, look at its console (BMC).",
    source="design: a deployment is a gang",
    skippable=False,
)
def unreachable(name: str, host: Unreachable) -> Iterator[Problem]:
    if host.kind == "no-connection":
        yield Problem(name, host.reason)


@check(
    "host.authentication",
    scope="unreachable",
    title="the host refuses our SSH key or user",
    severity="block",
    command="ssh",
    why="All members of a deployment start together; a host that refuses the login cannot be prepared or watched.",
    remedy="Check ansible_user and ansible_ssh_private_key_file in the inventory (the key file needs mode 0600), and "
    "that the public key is in the host's authorized_keys. Try: ssh -i KEY USER@ADDRESS true.",
    source="design: a deployment is a gang",
    skippable=False,
)
def authentication(name: str, host: Unreachable) -> Iterator[Problem]:
    if host.kind == "authentication":
        yield Problem(name, host.reason)


@check(
    "host.key-changed",
    scope="unreachable",
    title="the host's SSH key is not the known one",
    severity="block",
    command="ssh",
    why="Another machine may answer under the host's address. Nothing is sent to a machine that cannot prove who it "
    "is.",
    remedy="If the host was reinstalled, remove the old key (ssh-keygen -R ADDRESS) and log in once by hand, comparing "
    "the fingerprint. If not, find out which machine answers.",
    source="design: host key checking is on",
    skippable=False,
)
def key_changed(name: str, host: Unreachable) -> Iterator[Problem]:
    if host.kind == "host-key":
        yield Problem(name, host.reason)


@check(
    "host.collection",
    scope="unreachable",
    title="the host answers, but its facts could not be collected",
    severity="block",
    command="Ansible module mindie_collect",
    why="Without facts nothing about the host is proven.",
    remedy="Read the reason. The usual ones: no Python 3.7 or newer on the host (set ansible_python_interpreter), no "
    "right to become root (ansible_become_password, sudoers), a full or read-only /tmp.",
    source="design: a command that failed says nothing about the hardware",
    skippable=False,
)
def collection(name: str, host: Unreachable) -> Iterator[Problem]:
    if host.kind == "other":
        yield Problem(name, host.reason)
