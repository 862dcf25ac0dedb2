"""ServerConfig (source 1.3): what the daemon takes and refuses before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import checks, files
from .checks import Field, Say
from .home import variable


def _port(name: str, *, required: bool = False) -> Field:
    return Field(name, "int32", required=required, low=1024, high=65535)


FIELDS = (
    Field("ipAddress", "string"),
    Field("managementIpAddress", "string", required=False),
    _port("port", required=True),
    _port("managementPort"),
    # Required though documented with defaults (source 1.3): metricsPort, the timeouts, inferMode, distDPServerEnabled.
    _port("metricsPort", required=True),
    Field("allowAllZeroIpListening", "bool"),
    Field("maxLinkNum", "uint32", low=1, high=4096),
    Field("httpsEnabled", "bool"),
    Field("tokenTimeout", "int32", low=1, high=3600),
    Field("e2eTimeout", "int32", low=1, high=65535),
    Field("inferMode", "string", choices=("standard", "dmi")),
    Field("distDPServerEnabled", "bool"),
    Field("fullTextEnabled", "bool", required=False, default=False),
    Field("openAiSupport", "string", required=False, default="vllm"),
    Field("interCommTLSEnabled", "bool", required=False, default=True),
    _port("interCommPort"),
    Field("maxRequestLength", "uint32", required=False, default=40, low=1, high=100),
    Field("maxJsonDepth", "uint32", required=False, default=10, low=10, high=100),
    Field("layerwiseDisaggregated", "bool", required=False, default=False),
)
HEALTH_FIELDS = (Field("npuUsageThreshold", "uint32", required=False, default=0, low=0, high=100),)


@dataclass(frozen=True)
class ServerConfig:
    """The HTTP side: addresses, ports, limits. Timeouts in seconds, maxRequestLength in MB."""

    address: str
    management_address: str
    port: int
    management_port: int
    metrics_port: int
    max_links: int
    https: bool
    token_timeout: int
    e2e_timeout: int
    open_ai_support: str
    max_request_mb: int
    certificate: str
    key: str


def parse(data: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Types and required keys; raises RefusedError. A section that is absent counts as an empty one."""
    values = checks.read("ServerConfig", data, FIELDS, say)
    health = data.get("HealthCheckConfig", {})
    if not isinstance(health, dict):
        say("The type of param HealthCheckConfig should be object")
        raise checks.RefusedError("Failed to initialize ServerConfig from JSON.")
    values.update(checks.read("ServerConfig", health, HEALTH_FIELDS, say))
    for name, kind in TLS_KINDS.items():
        # TLS keys are only looked at when httpsEnabled (source 1.3).
        if values["httpsEnabled"]:
            values[name] = data.get(name, [] if kind == "array" else "")
            if not checks.of_kind(values[name], kind):
                say(f"{name} init error")
                raise checks.RefusedError("Failed to initialize ServerConfig from JSON.")
    return values


def check(values: dict[str, Any], environ: Mapping[str, str], home: Path, say: Say) -> ServerConfig | None:
    """Ranges, addresses and TLS files; None when refused."""
    sound = checks.in_range(values, FIELDS + HEALTH_FIELDS, say)
    # Source 1.3: MIES_CONTAINER_IP wins over ipAddress, MIES_CONTAINER_MANAGEMENT_IP over managementIpAddress.
    address = variable(environ, "MIES_CONTAINER_IP") or values["ipAddress"]
    management = (
        variable(environ, "MIES_CONTAINER_MANAGEMENT_IP") or values["managementIpAddress"] or values["ipAddress"]
    )
    zero = values["allowAllZeroIpListening"]
    sound = checks.address_allowed("ipAddress", address, say, zero=zero) and sound
    sound = checks.address_allowed("managementIpAddress", management, say, zero=zero) and sound
    management_port = values["managementPort"] if values["managementPort"] is not None else values["port"]
    if values["httpsEnabled"]:
        one_plane = address == management and values["port"] == management_port == values["metricsPort"]
        sound = _tls_files(values, home, say, planes=("",) if one_plane else ("", "management", "metrics")) and sound
    if not sound:
        return None
    return ServerConfig(
        address=address.strip("[]"),
        management_address=management.strip("[]"),
        port=values["port"],
        management_port=management_port,
        metrics_port=values["metricsPort"],
        max_links=values["maxLinkNum"],
        https=values["httpsEnabled"],
        token_timeout=values["tokenTimeout"],
        e2e_timeout=values["e2eTimeout"],
        open_ai_support=values["openAiSupport"],
        max_request_mb=values["maxRequestLength"],
        certificate=str(home / values["tlsCert"]) if values["httpsEnabled"] else "",
        key=str(home / values["tlsPk"]) if values["httpsEnabled"] else "",
    )


def _key(plane: str, name: str) -> str:
    """tlsCert of the business plane is managementTlsCert of the management plane."""
    return f"{plane}Tls{name}" if plane else f"tls{name}"


TLS_KINDS = {"tlsCaPath": "string"} | {
    _key(plane, name): kind
    for plane in ("", "management", "metrics")
    for name, kind in (("CaFile", "array"), ("Cert", "string"), ("Pk", "string"), ("CrlPath", "string"),
                       ("CrlFiles", "array"))
}  # fmt: skip


def _tls_files(values: Mapping[str, Any], home: Path, say: Say, *, planes: tuple[str, ...]) -> bool:
    """Certificates, keys and lists of each plane: below home, owned by the process, 640 or tighter (source 1.3)."""
    sound = True
    for plane in planes:
        authorities, revoked = values[_key(plane, "CaFile")], values[_key(plane, "CrlFiles")]
        if not 1 <= len(authorities) <= 3:
            say(f"ERR: serverConfig_.{_key(plane, 'CaFile')} size must in [1, 3] .")
            sound = False
        if len(revoked) > 3:
            say(f"ERR: serverConfig_.{_key(plane, 'CrlFiles')} size must in [0, 3] .")
            sound = False
        wanted = [home / values[_key(plane, name)] for name in ("Cert", "Pk")]
        # The CA files of the other planes are looked for below tlsCaPath too (source 1.3).
        wanted += [home / values["tlsCaPath"] / str(name) for name in authorities]
        if values[_key(plane, "CrlPath")] and revoked:
            wanted += [home / values[_key(plane, "CrlPath")] / str(name) for name in revoked]
        for path in wanted:
            if not files.own_file(str(path), say):
                say(f"The {_key(plane, 'Cert')} path is invalid by: {path}")
                sound = False
    return sound
