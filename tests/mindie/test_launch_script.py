"""launch.sh, run by a real bash with a stand-in for the daemon."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mindie_deploy.mindie.launch_script import NOT_IN_IMAGE, launch_script
from mindie_deploy.mindie.versions import VERSIONS, Version

DAEMON = """\
#!/bin/bash
echo "cwd=$PWD umask=$(umask) level=$MINDIE_LOG_LEVEL quoted=$QUOTED env=$SET_BY_ENV_FILE"
env | grep -i -E '_proxy|VISIBLE_DEVICES|HOST_IP|RANK_TABLE_FILE' || echo "clean"
exit 3
"""


def inside_pid_namespace() -> list[str]:
    """Returns the words that make a command process 1, or skips where this is not allowed."""
    words = ["unshare", "--pid", "--fork", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a process namespace")
    return words


class Image:
    """A directory that looks like the image's."""

    def __init__(self, root: Path, daemon: str = DAEMON) -> None:
        self.root = root
        self.service = root / "mindie-service"
        (self.service / "bin").mkdir(parents=True)
        self.daemon = self.service / "bin" / "mindieservice_daemon"
        self.daemon.write_text(daemon)
        self.daemon.chmod(0o755)
        self.set_env = root / "set_env.sh"
        self.set_env.write_text("export MINDIE_LOG_LEVEL=ERROR SET_BY_ENV_FILE=yes\nfalse\n")
        self.environment = root / "environment"
        self.environment.write_text("MINDIE_LOG_LEVEL=info\nQUOTED=a 'b' $HOME \"c\"\n")
        self.script = root / "launch.sh"

    def write(self, *, several: bool = True, **changes: object) -> None:
        version = replace(
            VERSIONS[0],
            service_directories=(str(self.root / "absent"), str(self.service)),
            set_env_files=(str(self.root / "absent.sh"), str(self.set_env)),
            **changes,  # type: ignore[arg-type]
        )
        self.script.write_text(launch_script(version, str(self.environment), several))

    def run(self, *before: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "HTTPS_PROXY": "http://p:1",
            "http_proxy": "http://p:1",
            "ASCEND_RT_VISIBLE_DEVICES": "0",
            "HOST_IP": "10.0.0.1",
            "RANK_TABLE_FILE": "/x",
        }
        words = [*before, "bash", str(self.script)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_the_daemon_gets_directory_umask_environment_and_no_proxy(image: Image) -> None:
    image.write()
    result = image.run()
    said = result.stdout.splitlines()
    assert said[0] == f"cwd={image.service} umask=0027 level=info quoted=a 'b' $HOME \"c\" env=yes"
    assert said[1:] == ["RANK_TABLE_FILE=/x"]
    assert (result.returncode, result.stderr) == (3, "")


def test_one_host_has_no_rank_table(image: Image) -> None:
    image.write(several=False)
    assert image.run().stdout.splitlines()[1:] == ["clean"]


def test_the_python_starter_is_preferred_where_the_image_has_it(image: Image) -> None:
    image.write(starter="true")
    assert image.run().returncode == 0
    image.write(starter="no-such-starter")
    assert image.run().returncode == 3


def test_an_image_without_mindie_is_said_clearly(image: Image) -> None:
    image.write()
    image.daemon.unlink()
    result = image.run()
    assert result.returncode == NOT_IN_IMAGE == 78
    assert "this image has no MindIE 2.0.T3" in result.stderr
    assert str(image.service) in result.stderr
    assert "mindie_image" in result.stderr


def test_as_process_1_a_daemon_that_kills_its_group_ends_with_137(tmp_path: Path) -> None:
    daemon = "#!/usr/bin/env python3\nimport os, time\nos.setpgid(0, 0)\nos.killpg(0, 9)\ntime.sleep(60)\n"
    image = Image(tmp_path, daemon)
    image.write()
    assert image.run(*inside_pid_namespace()).returncode == 137


def test_as_process_1_an_abort_ends_with_134(tmp_path: Path) -> None:
    image = Image(tmp_path, "#!/usr/bin/env python3\nimport os\nos.abort()\n")
    image.write()
    assert image.run(*inside_pid_namespace()).returncode == 134


def test_as_process_1_it_hands_a_stop_on_and_ends_with_the_daemons_status(tmp_path: Path) -> None:
    daemon = "#!/bin/bash\ntrap 'sleep 0.5; exit 42' TERM\necho ready\nwhile :; do sleep 0.1; done\n"
    image = Image(tmp_path, daemon)
    image.write()
    words = [*inside_pid_namespace(), "bash", str(image.script)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        time.sleep(0.2)
        os.kill(int(children[0]), signal.SIGTERM)  # a second one while it ends
        assert process.wait(timeout=20) == 42


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_every_release_gives_a_script_that_bash_reads(version: Version, tmp_path: Path) -> None:
    script = tmp_path / "launch.sh"
    script.write_text(launch_script(version, "/var/lib/mindie-deploy/r1/environment", several_hosts=True))
    assert "@" not in script.read_text().replace('"$@"', "")
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
