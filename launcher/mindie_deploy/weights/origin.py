"""What members of an exchange read from outside of it: a mount together, a host its own other directory, a hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mindie_deploy.weights.hub import hub_headers
from mindie_deploy.weights.source import Source, SourceKind

TIMEOUT_S = 60


def origin_of(
    source: Source, lacking: Sequence[str], seen: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Returns the `origin` of a plan, or None where everything comes from members.

    `lacking`: the members that need something, in the order of ranks. `seen`: the registered look at the source; of a
    hub it has `urls`. `settings`: those of the deployment. The result holds the hub's token and the proxy's login.
    """
    if not lacking:
        return None
    if source.kind is SourceKind.MOUNT:
        return {"kind": "directory", "path": source.path, "members": list(lacking)}
    if source.kind is SourceKind.HOST and source.host in lacking:
        return {"kind": "directory", "path": source.path, "members": [source.host]}
    if not source.kind.on_the_web or not seen.get("urls"):
        return None
    proxy = str(settings.get("weights_proxy") or "")
    chosen = [name for name in settings.get("weights_hub_hosts") or [] if name in lacking]
    return {
        "kind": "http",
        "members": chosen or list(lacking),
        "urls": dict(seen["urls"]),
        "headers": hub_headers(source.kind, str(settings.get("weights_hub_token") or "")),
        "proxy": {"http": proxy, "https": proxy, "no": ""} if proxy else None,
        "ca_file": settings.get("weights_hub_ca_file") or None,
        "timeout": TIMEOUT_S,
    }
