"""Why a host gave no facts, told from Ansible's answer."""

from __future__ import annotations

import pytest

from mindie_deploy.preflight.unreachable import why

SENT = "Task failed: Data could not be sent to remote host "


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (SENT + '"192.0.2.1". Make sure this host can be reached over SSH.', "no-connection"),
        (SENT + "'192.0.2.1': ssh: connect to host 192.0.2.1 port 22: Connection refused", "no-connection"),
        ("Failed to connect to the host via ssh: Connection closed by 192.0.2.1 port 22", "no-connection"),
        ("Failed to connect to the host via ssh: root@192.0.2.1: Permission denied (publickey).", "authentication"),
        ("Received disconnect from 192.0.2.1: Too many authentication failures", "authentication"),
        ("Failed to connect to the host via ssh: Host key verification failed.", "host-key"),
        ("Failed to create temporary directory. ... /tmp: Permission denied (13)", "other"),
        ("Timeout (12s) waiting for privilege escalation prompt: ", "other"),
    ],
)
def test_a_connection_that_failed(message: str, kind: str) -> None:
    found = why({"unreachable": True, "msg": message})
    assert found.kind == kind
    assert found.reason
    assert message.strip().endswith(found.reason)


@pytest.mark.parametrize("answer", [{}, {"module_stderr": "sh: /usr/bin/python3: Permission denied (126)"}, {"msg": 7}])
def test_a_host_that_answered_is_not_called_unreachable(answer: dict[str, object]) -> None:
    found = why(answer)
    assert found.kind == "other"
    assert found.reason


def test_frames_around_a_warning_are_left_out() -> None:
    told = (
        "Failed to connect to the host via ssh: @@@@@@@\r\n@  WARNING: CHANGED!  @\r\n@@@@@@@\r\nroot@192.0.2.1 differs"
    )
    found = why({"unreachable": True, "msg": told})
    assert found.reason == "Failed to connect to the host via ssh:\nWARNING: CHANGED!\nroot@192.0.2.1 differs"


def test_sshs_own_words_stand_alone() -> None:
    said = "ssh: connect to host 192.0.2.1 port 22: Connection refused"
    told = (
        f'Task failed: Data could not be sent to remote host "a". Make sure this host can be reached over ssh: {said}'
    )
    assert why({"unreachable": True, "msg": told}).reason == said
