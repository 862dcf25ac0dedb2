"""hccn_tool: the RoCE port of one NPU. The answers that a preflight needs of every device, and the tool's errors.

The tool's exit status is the low byte of an internal code: one status has several meanings, and some failures end with
0. So the text decides, on both streams, and the status only says that a missing text is a failure.
"""

from __future__ import annotations

import re
from enum import Enum

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Busy, Reading, Unknown
from mindie_deploy.hosts.text import clean, is_ipv4, whole

NET_HEALTH_WORDS = frozenset(
    {
        "Success",
        "Socket fail",
        "Socket failed",  # older drivers
        "Receive timeout",
        "Unreachable",
        "Time exceeded",
        "Fault",
        "Init",
        "Thread error",
        "Detect ip set",
        "Unknown",
    }
)


class Trouble(Enum):
    """What an error text of hccn_tool means."""

    BUSY = "busy"
    PERMISSION = "permission"
    UNSUPPORTED = "unsupported"
    NOT_CONFIGURED = "not_configured"
    NO_CERTIFICATE = "no_certificate"
    LINK_DOWN = "link_down"
    DEVICE_NOT_READY = "device_not_ready"
    NO_DEVICE = "no_device"
    CONFIGURATION = "configuration"
    USAGE = "usage"
    FAILED = "failed"


# Source of the texts: cmd.c, tool.c and ossl_user_linux.h of hccn_tool.
TROUBLE_TEXTS: tuple[tuple[Trouble, str], ...] = (
    (Trouble.BUSY, "hccn_tool is busy"),
    (Trouble.BUSY, "Get lock failed. Please try again"),
    (Trouble.BUSY, "I2c is busy"),
    (Trouble.BUSY, "The device is occupied"),
    (Trouble.BUSY, "optical module initializing"),
    (Trouble.PERMISSION, "permission denied"),
    (Trouble.UNSUPPORTED, "not supported on this product"),
    (Trouble.UNSUPPORTED, "This device does not support"),
    (Trouble.NOT_CONFIGURED, "because no ip was preset there"),
    (Trouble.NOT_CONFIGURED, "because no gateway was preset there"),
    (Trouble.NOT_CONFIGURED, "because ip is not configured"),
    (Trouble.NO_CERTIFICATE, "No certificate found"),
    (Trouble.LINK_DOWN, "Link status is down"),
    (Trouble.DEVICE_NOT_READY, "Get device health status failed"),
    (Trouble.NO_DEVICE, "The device is not exist"),
    (Trouble.CONFIGURATION, "Parsing configurations from config file failed"),
    (Trouble.CONFIGURATION, "hccn.conf can't access"),
    (Trouble.USAGE, "Get invalid device id"),
    (Trouble.USAGE, "Get invalid major cmd"),
    (Trouble.USAGE, "Get unknown option"),
    (Trouble.USAGE, "total count of input parameters is wrong"),
    (Trouble.USAGE, "address you configured is invalid"),
    (Trouble.FAILED, "The cmd line execute timeout"),
    (Trouble.FAILED, "Command execute failed"),
    (Trouble.FAILED, "Cmd execute failed"),
)


def trouble(answer: Answer) -> Trouble | None:
    """Returns what the error text of an answer means, or None where there is none that is known."""
    text = clean(answer.text)
    return next((kind for kind, words in TROUBLE_TEXTS if words in text), None)


def unreadable(answer: Answer, what: str) -> Unknown:
    """Returns why an answer has no value."""
    kind = trouble(answer)
    reason = answer.failure(f"hccn_tool {what}").reason
    if kind is Trouble.BUSY:
        return Busy(f"hccn_tool {what}: the tool was busy each time")
    if answer.status == 0 and kind is None and not clean(answer.text).strip():
        return Unknown(f"hccn_tool {what} printed nothing")
    return Unknown(reason)


def only(pattern: str, answer: Answer) -> str | None:
    """Returns the group of a pattern that must match one line of standard output, exactly once."""
    found: list[str] = re.findall(rf"^[ \t]*{pattern}[ \t]*$", clean(answer.stdout), re.MULTILINE | re.ASCII)
    return found[0] if len(found) == 1 else None


def address(answer: Answer) -> Reading[str | None]:
    """Reads the address of `-ip -g`; None where none is set."""
    return _address(answer, "-ip", r"ipaddr[ \t]*:[ \t]*(\S+)")


def netmask(answer: Answer) -> Reading[str | None]:
    """Reads the netmask of `-ip -g`; None where no address is set."""
    return _address(answer, "-ip", r"netmask[ \t]*:[ \t]*(\S+)")


def netdetect(answer: Answer) -> Reading[str | None]:
    """Reads the detect address of `-netdetect -g` ("netdetect address:" on older drivers); 0.0.0.0 is none."""
    return _address(answer, "-netdetect", r"netdetect addr(?:ess)?[ \t]*:[ \t]*(\S+)")


def gateway(answer: Answer) -> Reading[str | None]:
    """Reads the gateway of `-gateway -g`; None where none is set."""
    return _address(answer, "-gateway", r"default gateway[ \t]*:[ \t]*([^\s,]+)(?:,[ \t]*Iface:[ \t]*\S+)?")


def gateway_interface(answer: Answer) -> str | None:
    """Reads the interface of `-gateway -g` inside the device (eth0..), or None."""
    return only(r"default gateway[ \t]*:[ \t]*[^\s,]+,[ \t]*Iface:[ \t]*(\S+)", answer)


def link_up(answer: Answer) -> Reading[bool]:
    """Reads `-link -g`. A link that is down ends with status 0 too."""
    word = only(r"link status[ \t]*:[ \t]*(UP|DOWN)", answer)
    return unreadable(answer, "-link") if word is None else word == "UP"


def net_health(answer: Answer) -> Reading[str]:
    """Reads the word of `-net_health -g`. It speaks of the detect address only; Init means that there is none yet."""
    word = only(r"net health status[ \t]*:[ \t]*([A-Za-z ]+?)", answer)
    return word if word in NET_HEALTH_WORDS else unreadable(answer, "-net_health")


def tls(answer: Answer, device: int | None = None) -> Reading[bool | None]:
    """Reads the switch of `-tls -g`; None where there is no certificate store, and so no TLS."""
    found = re.findall(r"^[ \t]*dev_id:(\d{1,9}), tls switch\[([01])\]", clean(answer.stdout), re.MULTILINE | re.ASCII)
    if len(found) == 1 and (device is None or int(found[0][0]) == device):
        return bool(found[0][1] == "1")
    if not found and trouble(answer) in (Trouble.NO_CERTIFICATE, Trouble.UNSUPPORTED):
        return None
    return unreadable(answer, "-tls")


def speed_mbps(answer: Answer) -> Reading[int | None]:
    """Reads `-speed -g` in Mbit/s; None where the tool says Unknown."""
    word = only(r"Speed:[ \t]*(\d{1,9}[ \t]*Mb/s|Unknown!?)", answer)
    if word is None:
        return unreadable(answer, "-speed")
    return None if word.startswith("Unknown") else int(word.removesuffix("Mb/s"))


def mtu(answer: Answer) -> Reading[int | None]:
    """Reads `-mtu -g` in bytes."""
    value = whole(only(r"mtu[ \t]*:[ \t]*(\d+)", answer) or "")
    return value if value is not None and 0 < value <= 65535 else unreadable(answer, "-mtu")


def mac(answer: Answer) -> Reading[str | None]:
    """Reads `-mac -g`, in lower case."""
    word = only(r"mac addr[ \t]*:[ \t]*((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})", answer)
    return unreadable(answer, "-mac") if word is None else word.lower()


def _address(answer: Answer, what: str, pattern: str) -> Reading[str | None]:
    """Reads an IPv4 address after a word; None where the tool says that none is set."""
    word = only(pattern, answer)
    if word is None:
        # The word may be there without a readable value: then the error text of another line must not count as "none".
        if trouble(answer) is Trouble.NOT_CONFIGURED and not answer.stdout.strip():
            return None
        return unreadable(answer, what)
    if not is_ipv4(word):
        return unreadable(answer, what)
    return None if word == "0.0.0.0" else word  # noqa: S104  (an unset address, not one to listen on)
