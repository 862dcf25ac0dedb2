"""The form of one NPU in the state file, and of its network port."""

from __future__ import annotations

from .fields import Table, address, free, number, rows, section, switch, text, values, whole

# Words of npu-smi: N/npu_common.c, npu_common_get_health_state_str. "unnamed" is a number without a word.
HEALTH_WORDS = ("OK", "Warning", "Alarm", "Critical", "UNKNOWN", "unnamed")
# Words of hccn_tool -net_health: H/hccn_tool/tool_ops.c, g_net_health_status.
NET_HEALTH_WORDS = (
    "Success", "Socket fail", "Receive timeout", "Unreachable", "Time exceeded", "Fault", "Init", "Thread error",
    "Detect ip set", "Unknown",
)  # fmt: skip

CERTIFICATE: Table = {
    "type": text("pub cert", "kind as printed"),
    "subject": text("/C=CN/O=Huawei/CN=example", "subject"),
    "issuer": text("/C=CN/O=Huawei/CN=Huawei IT Product CA", "issuer"),
    "start": text("2024-01-01 00:00:00", "valid from, GMT", pattern=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "end": text("2044-01-01 00:00:00", "valid until, GMT", pattern=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
}

TLS: Table = {
    "switch": whole(0, "0 off, 1 on", low=0, high=1),
    "preset": whole(1, "1: the certificate is the preset one", low=0, high=1),
    "alarm_days": whole(60, "warns so many days before the end", low=0, high=180),
    "certificates": rows(CERTIFICATE, "certificates; empty list: one preset certificate"),
}

OPTICAL: Table = {
    "present": switch(True, "a module is plugged in"),
    "temperature_c": whole(44, "degrees Celsius", low=-128, high=127),
    "vcc_mv": number(3264.0, "supply, mV", low=0),
    "tx_power_mw": values([1.2, 1.2101, 1.2202, 1.2303], "four lanes, mW", of="number", low=0),
    "rx_power_mw": values([0.95, 0.9577, 0.9654, 0.9731], "four lanes, mW", of="number", low=0),
    "tx_bias_ma": values([7.6, 7.626, 7.652, 7.678], "four lanes, mA", of="number", low=0),
    "tx_los": whole(0, "lanes without transmit signal, bit mask", low=0, high=15),
    "rx_los": whole(0, "lanes without light, bit mask", low=0, high=15),
    "tx_lol": whole(0, "lanes without transmit lock, bit mask", low=0, high=15),
    "rx_lol": whole(0, "lanes without receive lock, bit mask", low=0, high=15),
    "vendor": text("HISILICON", "vendor name"),
    "part": text("EXAMPLE-PN", "part number"),
    "serial": text("EXAMPLE000000001", "serial number"),
    "wavelength_nm": whole(1702, "wave length, nm", low=0),
    "date": text("240101", "date code"),
}

HCCN: Table = {
    "address": address(None, "IPv4 address; null: none set", none=True),
    "netmask": address("255.255.255.0", "mask"),
    "gateway": address(None, "default gateway; null: none", none=True),
    "netdetect": address(None, "address that the device's own net detection asks; null: none (0.0.0.0)", none=True),
    "interface": text(None, "name on the device; null: eth and the id", none=True),
    "link": text("UP", "link", words=("UP", "DOWN")),
    "net_health": text("Success", "word of -net_health", words=NET_HEALTH_WORDS),
    "tls": section(TLS, "TLS switch and certificates; null: no certificate store", none=True),
    "tls_recorded": whole(
        None, "tls_enable_N in /etc/hccn.conf, written by `-tls -s`; null: not there", low=0, high=1, none=True
    ),
    "speed_mbps": whole(200000, "Mbit/s; null: Unknown!", none=True, low=0),
    "mtu": whole(1500, "MTU", low=68, high=9702),
    "mac": text("02:00:5e:00:00:00", "MAC address", pattern="[0-9a-f]{2}(:[0-9a-f]{2}){5}"),
    "fabric": text("rail", "name of the switch plane; ports of different planes never meet"),
    "lldp": section(
        {
            "mac": text("02:00:00:11:22:33", "chassis"),
            "interface": text("400GE1/0/1", "switch port"),
        },
        "LLDP neighbour; null: none",
        none=True,
    ),
    "vnic": section(
        {
            "link": text("UP", "link", words=("UP", "DOWN")),
            "address": address("192.168.1.100", "address"),
            "netmask": address("255.255.255.0", "mask"),
        },
        "-vnic",
    ),
    "optical": section(OPTICAL, "-optical"),
    "stat": free({}, "counters of -stat that are not zero"),
    "stat_growth": free({}, "counters of -stat that grow with every call, by how much"),
    "link_history": rows(
        {
            "state": text("UP", "what the link became", words=("UP", "DOWN")),
            "ago_s": number(864000.0, "how long ago, seconds", low=0),
        },
        "records of -link_stat, oldest first; `link_never_up` empties it",
    ),
    "link_never_up": switch(False, "no record at all in -link_stat"),
    "arp": values([], "rows of -arp as the device prints them"),
    "process": switch(True, "-process: the communication process runs"),
    "config_status": text("NONE", "-cfg status", words=("NONE", "START", "FAIL", "SUCCESS", "FAULT")),
    "ping_ms": values([], "times of the answers to a ping, ms; empty: made up", of="number", low=0),
    "ping_lost": values(
        [], "packets (0, 1, 2) of each ping from or to this port that are lost", of="whole", low=0, high=2
    ),
    "cannot_reach": values([], "addresses that this port alone does not reach (one-way fault)", of="address"),
    "fails": values([], "queries that end with `Command execute failed!`, by option name without dash"),
    "busy": switch(False, "another command of the device is always running"),
    "denied": switch(False, "the device refuses the caller"),
}

ECC: Table = {
    "supported": switch(True, "false: `-c` query is refused, card query prints the header only"),
    **{
        name: whole(0, meaning, low=0)
        for name, meaning in (
            ("single", "single bit errors"), ("double", "double bit errors"),
            ("single_total", "single bit errors since ever"), ("double_total", "double bit errors since ever"),
            ("single_isolated", "pages isolated for single bit errors"),
            ("double_isolated", "pages isolated for double bit errors"),
            ("single_next", "pages to be isolated at the next start"), ("double_next", "the same, double bit"),
        )
    },
}  # fmt: skip

NPU: Table = {
    "id": whole(0, "id of the NPU, 0 to 7 on an 8-NPU host; from 64 on: a virtual NPU", low=0, high=255),
    "chip_name": text("910B3", "as in `npu-smi info`"),
    "lost": switch(False, "does not answer at start: no row in `info`, -1 in `-l` and `-m`"),
    "dead": switch(False, "hccn_tool's health question is never answered (5 minutes, then an error)"),
    "health": text("OK", "health word", words=HEALTH_WORDS),
    "error_codes": rows(
        {
            "code": text("80E01801", "hexadecimal code", pattern="[0-9A-F]{1,8}"),
            "text": text(None, "explanation; null: the driver has none", none=True),
        },
        "codes of `-t health`",
    ),
    "power_w": number(95.0, "W", low=0, high=1000),
    "temperature_c": whole(40, "degrees Celsius", low=-40, high=150),
    "hbm_temperature_c": whole(44, "degrees Celsius", low=-40, high=150),
    "mcu_temperature_c": whole(38, "of the board controller, degrees Celsius", low=-40, high=150),
    "mcu_health": text("OK", "health word of the board controller", words=HEALTH_WORDS),
    "hbm_total_mib": whole(65536, "MiB", low=0),
    "hbm_used_mib": whole(3400, "MiB in use without any process (a leak: high, and no process)", low=0),
    "aicore_percent": whole(0, "AICore rate without any claim", low=0, high=100),
    "aivector_percent": whole(0, "rate", low=0, high=100),
    "aicube_percent": whole(0, "rate", low=0, high=100),
    "aicpu_percent": whole(0, "rate", low=0, high=100),
    "ctrlcpu_percent": whole(0, "rate", low=0, high=100),
    "utilization_percent": whole(0, "rate", low=0, high=100),
    "hbm_bandwidth_percent": whole(0, "rate", low=0, high=100),
    "frequency_mhz": whole(1800, "rated AICore clock", low=0),
    "current_frequency_mhz": whole(1800, "present AICore clock", low=0),
    "bus_id": text("0000:C1:00.0", "PCI address", pattern="[0-9A-F]{4}:[0-9A-F]{2}:[0-9A-F]{2}\\.[0-9A-F]"),
    "pci": switch(True, "lspci shows it"),
    "serial": text("EXAMPLE0000000001", "serial number of the board"),
    "subsystem_id": text("0x4000", "PCI subsystem device id", pattern="0x[0-9A-Fa-f]{4}"),
    "firmware_version": text(None, "of this NPU where it differs; null: the package's", none=True),
    "compatibility": text(
        None,
        "driver's verdict on the firmware; null: from the version ranges",
        none=True,
        words=("OK", "NOK", "UNKNOWN", "NOT SUPPORT"),
    ),
    "unreadable": values(
        [],
        "reads that fail: name, power, temperature, hbm, bus, firmware (printed as 0 or nothing)",
        words=("name", "power", "temperature", "hbm", "bus", "firmware"),
    ),
    "processes": rows(
        {
            "pid": whole(1, "pid", low=1),
            "name": text("python3", "name; empty: /proc entry unreadable"),
            "mib": whole(0, "HBM, MiB", low=0),
        },
        "rows of the process table without a real process behind them; their memory counts",
    ),
    "ecc": section(ECC, "`-t ecc`"),
    "hccn": section(HCCN, "network port; see below"),
}
