"""TCP ports that MindIE and a transfer of the weights will listen on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mindie_deploy.hosts.facts import HostFacts, Unknown, WeightsFacts
from mindie_deploy.hosts.targets import exchanges_image
from mindie_deploy.hosts.weights_listing import is_complete
from mindie_deploy.preflight.context import Context, is_ours_running
from mindie_deploy.preflight.finding import Problem
from mindie_deploy.preflight.registry import check

TABLES = "/proc/net/tcp, /proc/net/tcp6"
HOLDER = "ss -ltnp 'sport = :PORT' names the process that listens. Stop it, or set another port: "


@check(
    "ports.free",
    title="a port that MindIE needs is taken",
    severity="block",
    command=TABLES,
    needs=("listening",),
    why="MindIE binds its ports only after the weights are loaded, on all addresses: a taken one ends the start after "
    'many minutes ("Socket bind failed"). Only the leader listens; a taken port of a follower is mentioned.',
    remedy=f"{HOLDER}mindie_port, mindie_management_port, mindie_metrics_port, mindie_multi_nodes_infer_port.",
    source="MindIE-LLM: HttpServer::HttpServerInit, IsPortUsed",
)
def free(host: HostFacts, context: Context) -> Iterator[Problem]:
    if isinstance(host.listening, Unknown) or is_ours_running(host, context.settings):
        return
    leads = context.is_leader(host.name)
    for setting, port in _needed(context).items():
        holders = sorted({one.address for one in host.listening if one.port == port and not one.by_check})
        if not holders:
            continue
        says = f"port {port} ({setting}) is listened on at {', '.join(holders)}"
        if leads:
            yield Problem(host.name, says)
        else:
            title = "a port of MindIE is taken on a follower, which does not need it"
            yield Problem(host.name, says, severity="info", title=title, remedy="Nothing, unless it may become leader.")


@check(
    "ports.weights",
    title="the port for the transfer of weights and image is taken",
    severity="block",
    scope="cluster",
    command=TABLES,
    needs=("listening",),
    why="While weights are copied every host listens on this port, and while the image's archive is copied every host "
    "that lacks the image, and the host that has the archive: the hosts take them from one another.",
    remedy=f"{HOLDER}mindie_weights_port.",
    source="design: the hosts exchange the files",
)
def weights(hosts: Mapping[str, HostFacts], context: Context) -> Iterator[Problem]:
    lacking = any(not isinstance(one.weights, WeightsFacts) or not is_complete(one.weights) for one in hosts.values())
    weights_travel = bool(context.settings.weights_source) and lacking
    port = context.settings.weights_port
    for host in hosts.values():
        image_travels = exchanges_image(host.name, hosts, context.settings)
        if isinstance(host.listening, Unknown) or not (weights_travel or image_travels):
            continue
        if any(one.port == port and not one.by_check for one in host.listening):
            yield Problem(host.name, f"port {port} (mindie_weights_port) is listened on")


def _needed(context: Context) -> dict[str, int]:
    """Returns the leader's ports by setting; a port that several settings share is named once."""
    settings = context.settings
    names = ["port", "management_port", "metrics_port", "multi_nodes_infer_port"]
    if settings.backend_type == "torch" or settings.pipeline_parallel_size > 1:
        names.append("master_port")
    ports: dict[int, list[str]] = {}
    for name in names:
        ports.setdefault(getattr(settings, name), []).append(f"mindie_{name}")
    return {", ".join(names): port for port, names in ports.items()}
