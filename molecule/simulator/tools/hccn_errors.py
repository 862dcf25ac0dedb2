"""hccn_tool's messages, with the stream and the exit status of each (H/hccn_tool/cmd.c, ossl_user_linux.h, main.c).

main returns a 16-bit code and the shell sees its low byte, so one status has several meanings. Messages of level INFO
go to stdout, of level ERR to stderr.
"""

from __future__ import annotations

from .answer import Answer

MORE = "Enter [ hccn_tool -h ] for more details.\n"

DONE = Answer("Cmd executed successfully!\n")  # a setting's end (record_result_success_to_log)
TYPE = Answer("", 'Get invalid major cmd type. The valid major cmd type should be "-a" or "-i".\n' + MORE, 1)  # 0x1001
COUNT_OF_WORDS = Answer("", "Get invalid major cmd number. Please check your input.\n" + MORE, 2)  # 0x1002
COMMAND = Answer("", "Get invalid major cmd.\n" + MORE, 3)  # 0x1003
DEVICE = Answer("", "Get invalid device id.\n", 4)  # 0x1004
ADDRESS = Answer("", "The ip address you configured is invalid!\n", 6)  # 0x2006
NO_CERTIFICATE = Answer("", "No certificate found, please set certs firstly!\n", 14)  # 0x200E
BUSY = Answer("hccn_tool is busy, please try again.\n", "", 11)  # 0x300B, INFO
DENIED = Answer("", "permission denied: pls check this cmd run permission.\n", 12)  # 0x300C
UNSUPPORTED = Answer("The command is not supported on this product.\n", "", 13)  # 0x300D, INFO
BROADCAST = Answer("", "Can not config broadcast address!\n", 37)  # 0x3025
FAILED = Answer("", "Command execute failed!\n", 1)  # 0x4001
NO_GATEWAY = Answer("", "Get gateway failed, because no gateway was preset there!\n", 2)  # 0x4002
NOT_READY = Answer("", "Get device health status failed!\n", 3)  # 0x4003
GONE = Answer("", "The device is not exist!\n", 4)  # 0x4004
NO_ADDRESS = Answer("", "Get ipconf failed, because no ip was preset there!\n", 13)  # 0x400D
LINK_DOWN = Answer("", "Execute failed: Link status is down.\n", 22)  # 0x4016


def usage(option: str, help_text: str, reason: str, status: int) -> Answer:
    """A usage error of one command: the reason on stderr, its help on stdout (uda_cmd_pram_list_print)."""
    return Answer(f"[ hccn_tool -i devid {option} ] needs the following parameters:\n{help_text}\n", reason, status)


def unknown_option(option: str, help_text: str) -> Answer:
    """0x2003."""
    return usage(option, help_text, "Get unknown option!\n", 3)


def wrong_count(option: str, help_text: str) -> Answer:
    """0x2004."""
    return usage(option, help_text, "The total count of input parameters is wrong!\n", 4)


def invalid_enable(option: str, help_text: str) -> Answer:
    """0x2010."""
    return usage(option, help_text, "Get invalid enable value!\n", 16)
