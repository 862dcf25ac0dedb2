"""What things of a deployment are called on its hosts: the one place for names that several rooms must agree on."""

from __future__ import annotations

from mindie_deploy.cluster.settings import Settings

DEPLOYMENT_LABEL = "mindie-deploy.deployment"  # marks a container as ours, its value is the deployment


def container_name(settings: Settings) -> str:
    """Returns the container's name, the same on every host and whatever the host's rank."""
    return f"{settings.deployment}-mindie"
