"""hccn_tool: the command line, and which answer belongs to it (H/hccn_tool/cmd.c, parse_major_dev_cmd).

The order of refusals is the tool's: count of words, kind of command, name of command, device, then its own options.
"""

from __future__ import annotations

from . import hccn_errors as errors
from .answer import Answer
from .hccn_queries import HIDES_BUSY, QUERIES, Port
from .hccn_tls import confirm_setting, refuse_setting
from .light import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple, Sequence

if TYPE_CHECKING:  # pinging needs ipaddress, which costs as much as all the rest
    from .hccn_ping import End

HELP = {
    "ip": "   [-g]                 : get ip address and netmask/prefix_length ",
    "link": "   [-g]                   : get the eth ports link status, UP or DOWN ",
    "net_health": "   [-g]        : get net health status",
    "netdetect": (
        "   [-s]                : set net detect cfg \n"
        "       address %s      : set net detect IPv4 ip address, such as x.x.x.x\n"
        "   [-g]                : get net detect cfg "
    ),
    "gateway": "   [-g]                : get gateway address ",
    "lldp": "   [-g]        : get lldp cfg ",
    "speed": "   [-g]        : get port speed ",
    "mtu": "   [-g]        : get mtu cfg",
    "mac": "   [-g]        : get mac cfg",
    "vnic": "   [-g]        : get vnic link status, ip address and netmask ",
    "route": "   [-g]                 : get route table",
    "arp": "   [-g]        : get arp table",
    "process": "   [-g]        : get device process info",
    "stat": "   [-g]        : get packet statistics",
    "link_stat": "   [-g]        : get link history statistics",
    "tls": (
        "   [-s]        : set tls cfg\n       enable %d : set tls enable, 0: disable, 1: enable\n"
        "   [-g]        : get tls cfg"
    ),
    "optical": "   [-g]               : get optical info \n        [v2]            : get optical new version info ",
    "ping": "   [-g]            : get ping result\n       address %s  : destination ip address",
    "cfg": "   recovery    : recovery cfg \n   status      : config status ",
}
SETTABLE = frozenset({"tls", "netdetect"})
UNSET = frozenset({"ip", "gateway", "mac", "link", "mtu", "route", "arp", "stat", "link_stat", "optical"})


class Surroundings:
    """What an answer depends on besides the host's own state; everything has an effect-free default for tests."""

    def __init__(
        self,
        host: str = "",
        now: float = 0.0,
        network: Callable[[], Iterable[End]] = tuple,
        set_tls: Callable[[int, int], None] = lambda npu, enable: None,
        wait: Callable[[float], None] = lambda seconds: None,
        set_netdetect: Callable[[int, str], None] = lambda npu, address: None,
        root: bool = True,
    ) -> None:
        self.host = host
        self.now = now  # seconds since 1970
        self.network = network
        self.set_tls = set_tls
        self.wait = wait
        self.set_netdetect = set_netdetect
        self.root = root  # who asks; only root may set anything
        self.calls = 0  # how often this query was answered before


class Request(NamedTuple):
    """A command line that names a known command on a known device."""

    npu: dict[str, Any]
    name: str  # without the dash
    words: tuple[str, ...]  # after the name

    @property
    def number(self) -> int:
        """Device id."""
        return int(self.npu["id"])


def request(arguments: Sequence[str], state: dict[str, Any]) -> Request | Answer:
    """The request in a command line, or the refusal."""
    if not arguments or len(arguments) > 30:
        return errors.COUNT_OF_WORDS
    if list(arguments) in (["-h"], ["--help"]):
        return Answer("".join(f"hccn_tool -i devid -{name}\n{text}\n" for name, text in HELP.items()))
    if arguments[0] == "-a":
        return Answer("", "simulated hccn_tool: commands for all devices (-a) are not simulated\n", 1)
    if arguments[0] != "-i":
        return errors.TYPE
    if len(arguments) < 3 or arguments[2][:1] != "-" or arguments[2][1:] not in HELP:
        return errors.COMMAND
    number = arguments[1]
    if not number.isascii() or not number.isdigit() or len(number) > 2 or not state["driver"]["loaded"]:
        return errors.DEVICE
    npu = next((npu for npu in state["npus"] if npu["id"] == int(number)), None)
    if npu is None:
        return errors.DEVICE
    return Request(npu, arguments[2][1:], tuple(arguments[3:]))


def device_refusal(asked: Request, state: dict[str, Any], around: Surroundings) -> Answer | None:
    """The tool asks the device for its health before any command: H/hccn_tool/tool.c, tool_check_dev_health."""
    if asked.npu["lost"]:
        return errors.GONE
    if asked.npu["dead"]:
        around.wait(state["pace"]["dead_device_s"])  # once a second, 300 times
        return errors.NOT_READY
    return None


def busy_answer(name: str) -> Answer:
    """What a second command on the same device gets."""
    return errors.FAILED if name in HIDES_BUSY else errors.BUSY


def answer(asked: Request, state: dict[str, Any], around: Surroundings) -> Answer:
    """What the command prints, the device being there and free."""
    port = asked.npu["hccn"]
    name, words, help_text = asked.name, asked.words, HELP[asked.name]
    refusal = _usage(name, words, help_text)
    if refusal is not None:
        return refusal
    if port["denied"]:
        return errors.FAILED if name in HIDES_BUSY else errors.DENIED
    if port["busy"]:
        return busy_answer(name)
    if name in port["fails"]:
        return errors.FAILED
    if name == "ping":
        from .hccn_ping import End, ping

        around.wait(2 * state["pace"]["ping_s"])
        return ping(End(around.host, asked.number, port, lost=False), words[2], around.network)
    if name == "cfg":
        return Answer(f"config status:{port['config_status']}\n")
    older = state["dialect"]["hccn"] == "older"
    if name == "optical":
        from .hccn_optical import optical, optical_v2

        return optical_v2(port["optical"]) if words[1:] == ("v2",) else optical(port["optical"], older)
    if words[0] == "-s":
        return _set_tls(asked, around) if name == "tls" else _set_netdetect(asked, around)
    return QUERIES[name](Port(asked.number, port, older, around.now, around.calls))


def _usage(name: str, words: tuple[str, ...], help_text: str) -> Answer | None:
    """The refusal of the words after a command's name, or None (each tool_..._cmd_execute)."""
    option = f"-{name}"
    if not words:
        return errors.wrong_count(option, help_text)
    if name == "cfg":
        if words == ("recovery",):
            return Answer("", "simulated hccn_tool: -cfg recovery is not simulated\n", 1)
        return None if words == ("status",) else errors.unknown_option(option, help_text)
    if name in SETTABLE and words[0] == "-s":
        return None
    if words[0] != "-g":
        if words[0] in ("-s", "-a", "-d", "-c") and name in UNSET:
            text = f"simulated hccn_tool: {option} {words[0]} changes the device, which is not simulated\n"
            return Answer("", text, 1)
        return errors.unknown_option(option, help_text)
    if name == "ping":
        if len(words) not in (3, 5) or words[1] != "address":
            return errors.wrong_count(option, help_text)
        return None
    if name == "optical" and words[1:] == ("v2",):
        return None
    return errors.wrong_count(option, help_text) if len(words) > 1 else None


def _set_tls(asked: Request, around: Surroundings) -> Answer:
    tls = asked.npu["hccn"]["tls"]
    refusal = refuse_setting(tls, list(asked.words[1:]), HELP["tls"])
    if refusal is not None:
        return refusal
    if not around.root:
        return errors.DENIED
    enable = int(asked.words[2])
    around.set_tls(asked.number, enable)
    return confirm_setting(tls, enable)


def _set_netdetect(asked: Request, around: Surroundings) -> Answer:
    """The address to probe, kept by the device and in /etc/hccn.conf (H/hccn_tool/tool_ops.c, tool_set_netdetect)."""
    words, help_text = asked.words[1:], HELP["netdetect"]
    if len(words) != 2:
        return errors.wrong_count("-netdetect", help_text)
    if words[0] != "address":
        return errors.unknown_option("-netdetect", help_text)
    parts = words[1].split(".")
    if len(parts) != 4 or not all(is_byte(part) for part in parts):
        return errors.ADDRESS
    if words[1] == "255.255.255.255":
        return errors.BROADCAST
    if not around.root:
        return errors.DENIED
    around.set_netdetect(asked.number, words[1])
    return errors.DONE


def is_byte(text: str) -> bool:
    """Whether a text is a byte as inet_pton takes it."""
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 256 and (text == "0" or text[0] != "0")
