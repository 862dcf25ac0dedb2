"""Reaches the endpoint: straight where its port answers from here, else through SSH to the leader."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mindie_deploy.endpoint.client import Endpoint, NotListeningError
from mindie_deploy.errors import MindieDeployError
from mindie_deploy.remote.address import Address, address_of
from mindie_deploy.remote.tunnel import tunnel
from mindie_deploy.runs.deployment import Deployment
from mindie_deploy.runs.environment import ansible_environment


def endpoint_url(deployment: Deployment) -> str:
    """Returns the address of the API on the leader."""
    if deployment.settings is None or deployment.hosts is None:
        raise MindieDeployError("the settings are not known yet", "please report this")
    address = deployment.hosts[0].address
    return f"http://{f'[{address}]' if ':' in address else address}:{deployment.settings.port}"


def address_of_host(deployment: Deployment, name: str) -> Address:
    """Returns how a host of the inventory is reached over SSH."""
    files = deployment.inventory.files
    first = files[0] if files else Path.cwd()
    checking = ansible_environment().get("ANSIBLE_HOST_KEY_CHECKING", "True")
    return address_of(
        name,
        deployment.inventory.variables[name],
        inventory_directory=first if first.is_dir() else first.parent,
        host_key_checking=checking.lower() in ("true", "yes", "1", "on"),
    )


@contextlib.contextmanager
def reached(deployment: Deployment) -> Iterator[tuple[Endpoint, str]]:
    """Gives the endpoint and how it is reached: "direct" or "through SSH".

    Raises NotListeningError when nothing answers there, UnreachableError when the leader is not reached over SSH.
    """
    url = endpoint_url(deployment)
    with Endpoint(url) as direct:
        if direct.listening():
            yield direct, "direct"
            return
    assert deployment.hosts is not None and deployment.settings is not None  # endpoint_url has checked
    leader = deployment.hosts[0]
    with (
        tunnel(address_of_host(deployment, leader.name), leader.address, deployment.settings.port) as port,
        Endpoint(f"http://127.0.0.1:{port}") as through,
    ):
        if not through.listening():
            raise NotListeningError(
                f"no model answers on {leader.name}, port {deployment.settings.port}: "
                "it is not started, still loading, or has ended",
                "mindie-deploy status tells which; mindie-deploy up starts it",
            )
        yield through, "through SSH"
