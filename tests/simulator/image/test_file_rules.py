"""Owner, mode, link and size of files, and where config.json is looked for (src/utils/log/file_utils.cpp)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.simulator.image.gang import DAEMON, Host, write_json, write_weights


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_tight_modes_pass(single: Host, mode: int) -> None:
    single.write()
    single.config_path.chmod(mode)
    single.start(write=False).ready()


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o700, 0o750])
@pytest.mark.parametrize("switch", ["", "0"])
def test_wide_modes_are_refused_whatever_the_switch_says(single: Host, mode: int, switch: str) -> None:
    # MINDIE_CHECK_INPUTFILES_PERMISSION=0 has no effect in the daemon.
    single.environ["MINDIE_CHECK_INPUTFILES_PERMISSION"] = switch
    single.write()
    single.config_path.chmod(mode)
    assert single.start(write=False).status() == 137
    assert "but required no greater than" in single.out()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_foreign_owner_is_refused_even_for_root(single: Host) -> None:
    single.write()
    os.chown(single.config_path, 1001, 1001)
    assert single.start(write=False).status() == 137
    assert "owner id diff: current process user id is 0, file owner id is 1001" in single.out()


def test_link_empty_and_missing(single: Host) -> None:
    single.write()
    real = single.directory / "real.json"
    single.config_path.rename(real)
    assert single.start(write=False).status() == 137
    assert "not a regular file or not exists" in single.out()
    single.config_path.symlink_to(real)
    assert single.start(write=False).status() == 137
    assert "is a link" in single.out()
    single.config_path.unlink()
    single.config_path.touch(mode=0o640)
    assert single.start(write=False).status() == 137
    assert "The input file is empty" in single.out()


def test_more_than_ten_mebibytes(single: Host) -> None:
    single.config["padding"] = "x" * (10 * 1024 * 1024)
    assert single.start().status() == 137
    assert "file is too large" in single.out()


@pytest.mark.parametrize("mode", [0o644, 0o750])
def test_rank_table_has_the_same_rules(follower: Host, mode: int) -> None:
    follower.write()
    follower.table_path.chmod(mode)
    assert follower.start(write=False).status() == 137
    assert "Ranktable file path is invalid." in follower.out()


def test_option_wins_over_variable(single: Host) -> None:
    single.arguments = ["--config-file", str(single.config_path)]
    single.environ["MIES_CONFIG_JSON_PATH"] = "/nonexistent/config.json"
    single.start().ready()


def test_no_falling_back_from_the_variable(single: Host) -> None:
    single.environ["MIES_CONFIG_JSON_PATH"] = "/nonexistent/config.json"
    assert single.start().status() == 137
    assert "ConfigManager: Get config path failed." in single.out()


@pytest.mark.parametrize("package", [True, False])
def test_home_is_the_package_or_the_installed_one(single: Host, package: bool) -> None:
    # MINDIE_LLM_HOME_PATH counts only with an __init__.py in it.
    del single.environ["MIES_CONFIG_JSON_PATH"]
    for name in ("package", "installed"):
        (single.directory / name / "conf").mkdir(parents=True)
        write_json(single.directory / name / "conf" / "config.json", single.config)
    if package:
        (single.directory / "package" / "__init__.py").touch()
    single.environ["MINDIE_LLM_HOME_PATH"] = str(single.directory / "package")
    single.environ["MIES_INSTALL_PATH"] = str(single.directory / "installed")
    single.start().ready()
    expected = "package" if package else "installed"
    assert f"Load Config from {single.directory}/{expected}/conf/config.json." in single.out()


def test_home_is_above_the_binary_otherwise(single: Host) -> None:
    del single.environ["MIES_CONFIG_JSON_PATH"]
    assert single.start().status() == 137
    assert "Get config path failed" in single.out()
    assert DAEMON.parent.parent.is_dir()


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--help"], "Unrecognized command-line argument"),
        (["--config-file"], "Missing value for key: --config-file"),
        (["config.json"], "Unrecognized command-line argument"),
    ],
)
def test_bad_command_line(single: Host, arguments: list[str], fragment: str) -> None:
    single.arguments = arguments
    assert single.start().status() == 255
    assert fragment in single.err()


def test_log_directory_wider_than_750_aborts(single: Host) -> None:
    (single.directory / "home/mindie/log/debug").mkdir(parents=True)
    (single.directory / "home/mindie/log/debug").chmod(0o755)
    assert single.start().status() == 134
    assert "terminate called after throwing" in single.err()


def test_weights_directory_may_be_a_link_and_wide_for_root(single: Host, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("the rule is root's")
    real = write_weights(tmp_path / "real")
    real.chmod(0o777)
    (real / "config.json").chmod(0o644)
    (tmp_path / "link").symlink_to(real)
    single.model["modelWeightPath"] = str(tmp_path / "link")
    single.start().ready()


@pytest.mark.parametrize("spoil", ["missing", "broken"])
def test_weights_config_must_be_there_and_json(single: Host, tmp_path: Path, spoil: str) -> None:
    directory = write_weights(tmp_path / "model")
    if spoil == "missing":
        (directory / "config.json").unlink()
    else:
        (directory / "config.json").write_text("{")
    single.model["modelWeightPath"] = str(directory)
    assert single.start().status() == 137
    assert "Failed check model config.json!" in single.out()


def test_missing_generation_config_is_only_a_warning(single: Host, tmp_path: Path) -> None:
    directory = write_weights(tmp_path / "model")
    (directory / "generation_config.json").unlink()
    single.model["modelWeightPath"] = str(directory)
    single.start().ready()
    assert "generation_config.json is missing" in single.out()
