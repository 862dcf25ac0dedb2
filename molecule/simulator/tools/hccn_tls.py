"""hccn_tool -tls: showing and setting the switch (H/hccn_tool/tool_tls.c)."""

from __future__ import annotations

import time

from . import hccn_errors as errors
from .answer import Answer
from .light import Any

STATUS = "\t tls expiration status[{}](0:normal, 1:near expiration, 2:has expired)\n"
PRESET_WARNING = (
    "[Warning] The currently loaded is a preset certificate, which has security risks."
    "It is recommended to configure a security certificate.\n"
)
_FORM = "%Y-%m-%d %H:%M:%S"
PRESET_CERTIFICATE = {
    "type": "pub cert", "subject": "/C=CN/O=Huawei/CN=example", "issuer": "/C=CN/O=Huawei/CN=Huawei IT Product CA",
    "start": "2024-01-01 00:00:00", "end": "2044-01-01 00:00:00",
}  # fmt: skip


def show_tls(number: int, tls: dict[str, Any] | None, now: float) -> Answer:
    """The switch line and each certificate; an expired one is told on stderr, status 0 (tool_check_cert_expired)."""
    if tls is None:
        return errors.NO_CERTIFICATE
    out = (
        f"dev_id:{number}, tls switch[{tls['switch']}](0:disable, 1:enable), tls preconfigured[{tls['preset']}]"
        f"(0:non-preset, 1:preset), tls alarm time threshold[{tls['alarm_days']}]days\n"
    )
    err = ""
    for certificate in tls["certificates"] or [PRESET_CERTIFICATE]:
        start, end = _seconds(certificate["start"]), _seconds(certificate["end"])
        out += (
            f"dev_id:{number}, [{certificate['type']}] info:\n\t subject[{certificate['subject']}]\n"
            f"\t issuer[{certificate['issuer']}]\n\t start_time[{_printed(start)} GMT]\n"
            f"\t end_time[{_printed(end)} GMT]\n"
        )
        if end <= now:
            err += STATUS.format(2)
        else:
            out += STATUS.format(1 if end - now <= tls["alarm_days"] * 86400 else 0)
    return Answer(out, err)


def refuse_setting(tls: dict[str, Any] | None, words: list[str], help_text: str) -> Answer | None:
    """Why `-tls -s WORDS` cannot be done, or None when it can (tool_set_tls, tool_set_tls_enable)."""
    if len(words) < 2:
        return errors.wrong_count("-tls", help_text)
    if words[0] != "enable":
        if words[0] in ("alarm", "path"):
            return Answer("", f"simulated hccn_tool: -tls -s {words[0]} is not simulated\n", 1)
        return errors.unknown_option("-tls", help_text)
    if len(words) > 2:
        return errors.wrong_count("-tls", help_text)
    if words[1] not in ("0", "1"):
        return errors.invalid_enable("-tls", help_text)
    return errors.NO_CERTIFICATE if tls is None else None


def confirm_setting(tls: dict[str, Any], enable: int) -> Answer:
    """What is printed after the switch was set; a setting ends with a success line (record_result_success_to_log)."""
    warning = PRESET_WARNING if enable == 1 and tls["preset"] == 1 else ""
    return Answer(f"{warning}Cmd executed successfully!\n")


def _seconds(text: str) -> int:
    import calendar  # only certificates need it

    return calendar.timegm(time.strptime(text, _FORM))


def _printed(seconds: int) -> str:
    return time.asctime(time.gmtime(seconds))
