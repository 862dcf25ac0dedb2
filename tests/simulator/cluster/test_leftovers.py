"""What belongs to a cluster is found by its name, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from simulated_cluster.leftovers import cgroup_directories, mounts_below, processes_in_cgroups, remove_cgroups

MOUNTS = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
40 22 0:30 / /run/one/exec/netns/a rw shared:5 - nsfs nsfs rw
41 22 0:31 / /run/one rw - tmpfs tmpfs rw
42 22 0:32 / /run/one-other rw - tmpfs tmpfs rw
43 22 0:33 / /run/one/a\\040b rw - tmpfs tmpfs rw
"""


def test_mounts_below_a_directory_deepest_first() -> None:
    assert mounts_below(Path("/run/one"), MOUNTS) == ["/run/one/exec/netns/a", "/run/one/a b", "/run/one"]


def test_control_groups_of_both_versions(tmp_path: Path) -> None:
    for path in ("cpu/mine/hosts/host1/c1", "memory/mine", "cpu/other", "mine/hosts"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "cpu/mine/hosts/host1/c1/cgroup.procs").write_text("12\n0\n", encoding="ascii")
    assert {str(path.relative_to(tmp_path)) for path in cgroup_directories("mine", tmp_path)} == {
        "mine",
        "cpu/mine",
        "memory/mine",
    }
    assert processes_in_cgroups("mine", tmp_path) == {12}
    (tmp_path / "cpu/mine/hosts/host1/c1/cgroup.procs").unlink()
    remove_cgroups("mine", tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["cpu", "cpu/other", "memory"]
