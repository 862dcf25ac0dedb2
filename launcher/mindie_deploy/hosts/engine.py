"""The container engine, its image and its containers, as its client prints them (Docker, Podman where it differs)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from mindie_deploy.cluster.names import DEPLOYMENT_LABEL
from mindie_deploy.hosts.answer import Answer, number_of, text_of
from mindie_deploy.hosts.facts import ContainerFacts, EngineFacts, ImageFacts, Reading, Unknown
from mindie_deploy.hosts.text import excerpt, lines_of

NPU_DEVICE = re.compile(r"/dev/(davinci\w*|devmm_svm|hisi_hdc)")
VISIBLE_DEVICES = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*", re.ASCII)
NO_IMAGE = re.compile(r"no such (image|object)|image not known", re.IGNORECASE)
PROXY_VARIABLE = re.compile(r"((?:http|https|all)_proxy)=.", re.IGNORECASE)
VANISHED = re.compile(r"no such (container|object)", re.IGNORECASE)


def engine(information: Answer | Unknown, containers: Answer | Unknown, own_name: str = "") -> Reading[EngineFacts]:
    """Reads `info` and the container lines, of which those that concern NPUs, or have our container's name, are kept.

    An old Docker client ends `info` with status 0 when the daemon is down.
    """
    if isinstance(information, Unknown):
        return information
    told = _object(information.stdout)
    if told is None:
        return information.failure("the engine's info")
    errors = told.get("ServerErrors")
    if isinstance(errors, list) and errors:
        return Unknown(excerpt("\n".join(str(error) for error in errors)))
    docker, podman = text_of(told.get("ServerVersion")), _inner(told, "version", "Version")
    version = docker or text_of(podman)
    if information.status != 0 or not version:
        return information.failure("the engine's info")
    listed = _containers(containers)
    if isinstance(listed, Unknown):
        return listed
    podman_host = told.get("host")
    host = podman_host if isinstance(podman_host, Mapping) else {}
    return EngineFacts(
        version=version,
        root=text_of(told.get("DockerRootDir")) or text_of(_inner(told, "store", "graphRoot")) or None,
        architecture=text_of(told.get("Architecture")) or text_of(_inner(told, "host", "arch")) or None,
        containers=tuple(one for one in listed if concerns_npus(one) or one.name == own_name),
        default_runtime=text_of(told.get("DefaultRuntime")) or text_of(_inner(host, "ociRuntime", "name")) or None,
        cgroup_version=(text_of(told.get("CgroupVersion")) or text_of(host.get("cgroupVersion"))).lstrip("v") or None,
        security=_security(told, host),
        images=_images(told),
    )


def _images(told: Mapping[str, object]) -> int | None:
    """Returns the number of images."""
    store = _inner(told, "store", "imageStore")
    count = number_of(told.get("Images"))
    if count is None and isinstance(store, Mapping):
        count = number_of(store.get("number"))
    return count if count is not None and count >= 0 else None


def _security(told: Mapping[str, object], host: Mapping[str, object]) -> tuple[str, ...]:
    """Returns the names of Docker's SecurityOptions ("name=seccomp,profile=builtin"), and Podman's switches for it."""
    options = told.get("SecurityOptions")
    found = [
        match[1]
        for option in (options if isinstance(options, list) else [])
        if (match := re.match(r"(?:name=)?([a-z]{1,20})", text_of(option)))
    ]
    switches = {"rootless": "rootless", "selinuxEnabled": "selinux", "apparmorEnabled": "apparmor"}
    found += [word for key, word in switches.items() if _inner(host, "security", key) is True]
    return tuple(dict.fromkeys(found))


def concerns_npus(container: ContainerFacts) -> bool:
    """Tells whether a container can reach an NPU: by a device, by being privileged, or because it is one of ours."""
    return (
        container.privileged
        or DEPLOYMENT_LABEL in container.labels
        or any(device == "/dev" or NPU_DEVICE.fullmatch(device) for device in container.devices)
    )


def image(answer: Answer | Unknown, reference: str) -> Reading[ImageFacts | None]:
    """Reads `image inspect`; None where the engine answered that it has no such image."""
    if isinstance(answer, Unknown):
        return answer
    if answer.status != 0 and NO_IMAGE.search(answer.text):
        return None
    told = _list(answer.stdout)
    if answer.status != 0 or told is None or len(told) != 1 or not isinstance(told[0], Mapping):
        return answer.failure("image inspect")
    record = told[0]
    identity = text_of(record.get("Id"))
    if re.fullmatch(r"[0-9a-f]{64}", identity):
        identity = f"sha256:{identity}"  # Podman leaves the algorithm out
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", identity):
        return Unknown("image inspect: the answer has no content digest")
    size = number_of(record.get("Size"))
    return ImageFacts(
        reference=reference,
        id=identity,
        architecture=text_of(record.get("Architecture")) or None,
        labels=_texts(_inner(record, "Config", "Labels")) or _texts(record.get("Labels")),
        size_bytes=size if size is not None and size >= 0 else None,
        proxies=_proxies(_inner(record, "Config", "Env")),
    )


def _proxies(environment: object) -> tuple[str, ...]:
    """Returns the names of an image's variables that send traffic to a proxy; their values may hold passwords."""
    listed = environment if isinstance(environment, list) else []
    found = (PROXY_VARIABLE.match(text_of(entry)) for entry in listed)
    return tuple(match[1] for match in found if match)


def _containers(answer: Answer | Unknown) -> Reading[tuple[ContainerFacts, ...]]:
    """Reads one JSON object a line. A container that ended between the listing and the look is not an error."""
    if isinstance(answer, Unknown):
        return answer
    if answer.truncated or (answer.status != 0 and not VANISHED.search(answer.text)):
        return answer.failure("the list of containers")
    found = []
    for line in lines_of(answer.stdout):
        if not line.strip():
            continue
        record = _object(line)
        if record is None:
            return Unknown(f"the list of containers has an unreadable line: {excerpt(line)}")
        container = _container(record)
        if container is None:
            return Unknown(f"the list of containers has an incomplete line: {excerpt(line)}")
        found.append(container)
    return tuple(found)


def _container(record: Mapping[str, object]) -> ContainerFacts | None:
    """Returns one container, None where its identity or its state is missing."""
    state = record.get("State")
    if not isinstance(state, Mapping) or not text_of(record.get("Id")) or not text_of(state.get("Status")):
        return None
    identity = text_of(record.get("ImageId"))
    return ContainerFacts(
        id=text_of(record.get("Id")),
        name=text_of(record.get("Name")).lstrip("/"),
        image=text_of(record.get("Image")),
        image_id=f"sha256:{identity}" if re.fullmatch(r"[0-9a-f]{64}", identity) else identity,
        status=text_of(state.get("Status")),
        running=state.get("Running") is True,
        pid=number_of(state.get("Pid")) or 0,
        exit_code=number_of(state.get("ExitCode")) or 0,
        started_at=text_of(state.get("StartedAt")),
        devices=_devices(record),
        privileged=record.get("Privileged") is True,
        labels=_texts(record.get("Labels")),
    )


def _devices(record: Mapping[str, object]) -> tuple[str, ...]:
    """Returns the host's devices of a container, also those that Huawei's runtime adds for a variable."""
    listed = record.get("Devices")
    paths = (
        [text_of(device.get("PathOnHost")) for device in listed if isinstance(device, Mapping)]
        if isinstance(listed, list)
        else []
    )
    wishes = record.get("VisibleDevices")
    visible = next((text_of(wish) for wish in wishes if wish), "") if isinstance(wishes, list) else ""
    if text_of(record.get("Runtime")) == "ascend" and VISIBLE_DEVICES.fullmatch(visible):
        for part in visible.split(","):
            first, _, last = part.partition("-")
            # Bounded: a host has at most 64 NPUs, and virtual ones have larger numbers of no davinci device.
            paths.extend(f"/dev/davinci{n}" for n in range(int(first), min(int(last or first), int(first) + 64) + 1))
    return tuple(dict.fromkeys(path for path in paths if path))


def _object(text: str) -> Mapping[str, object] | None:
    """Returns a JSON object, or None."""
    value = _parsed(text)
    return value if isinstance(value, Mapping) else None


def _list(text: str) -> list[object] | None:
    """Returns a JSON list, or None."""
    value = _parsed(text)
    return value if isinstance(value, list) else None


def _parsed(text: str) -> object:
    """Returns the value of a JSON text, None for anything that is none (nesting beyond reason included)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _inner(record: Mapping[str, object], outer: str, inner: str) -> object:
    """Returns a value of a nested object, or None."""
    value = record.get(outer)
    return value.get(inner) if isinstance(value, Mapping) else None


def _texts(value: object) -> dict[str, str]:
    """Returns the entries of an object that are texts."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key): text for key, text in value.items() if isinstance(text, str)}
