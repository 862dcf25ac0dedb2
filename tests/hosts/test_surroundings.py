"""What surrounds a container: texts of several systems, and what is no such text."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mindie_deploy.cluster.settings import Settings
from mindie_deploy.hosts.answer import Answer, FileText, Missing, finished_lines
from mindie_deploy.hosts.engine import engine, image
from mindie_deploy.hosts.engine_limits import limits, proxies
from mindie_deploy.hosts.facts import EngineFacts, ImageFacts, InterfaceState, KernelFacts, Surroundings, Unknown
from mindie_deploy.hosts.firewall import firewall
from mindie_deploy.hosts.items_surroundings import (
    INSTALLED_KERNELS_SCRIPT,
    KERNEL_SCRIPT,
    LINKS_SCRIPT,
    PROXIES_SCRIPT,
    surroundings_items,
)
from mindie_deploy.hosts.kernel import installed_kernels, kernel
from mindie_deploy.hosts.surroundings import digests, links, own_name, surroundings
from tests.hosts.test_mutations import MUTATIONS, destroyed, invented, mutated
from tests.hosts.typecheck import mismatch

NO_FILE = Missing("/etc/locale.conf")
KERNEL = """/proc/sys/kernel/pid_max:4194304
/proc/sys/kernel/threads-max:12374026
/proc/sys/fs/file-max:9223372036854775807
/proc/sys/fs/nr_open:1073741816
/proc/sys/net/core/somaxconn:4096
/proc/sys/net/netfilter/nf_conntrack_count:311
/proc/sys/net/netfilter/nf_conntrack_max:262144
/proc/sys/net/ipv4/ip_local_port_range:32768\t60999
/proc/sys/net/ipv4/ip_local_reserved_ports:8080,60000-60031
/sys/kernel/mm/transparent_hugepage/enabled:always [madvise] never
/sys/fs/selinux/enforce:1
/sys/class/dmi/id/product_name:Atlas 800T A2
/sys/devices/system/cpu/cpufreq/policy0/scaling_governor:performance
/sys/devices/system/cpu/cpufreq/policy1/scaling_governor:powersave
/sys/devices/system/cpu/cpufreq/policy2/scaling_governor:performance
/sys/class/net/enp189s0f0/mtu:1500
/sys/class/net/lo/mtu:65536
/sys/class/net/enp189s0f0/operstate:up
/sys/class/net/lo/operstate:unknown
"""
CGROUPS = FileText("/proc/cgroups", "devices\t5\t98\t1\n")


def known(value: Any) -> Any:
    assert not isinstance(value, Unknown), value
    return value


def test_values_of_the_kernel() -> None:
    found = known(kernel(Answer(0, KERNEL), CGROUPS, FileText("/etc/locale.conf", 'LANG="zh_CN.UTF-8"\n')))

    assert found == KernelFacts(
        transparent_huge_pages="madvise",
        governors={"performance": 2, "powersave": 1},
        selinux_enforcing=True,
        pid_max=4194304,
        threads_max=12374026,
        file_max=None,  # no limit: more digits than a measurement has
        nr_open=1073741816,
        somaxconn=4096,
        conntrack_count=311,
        conntrack_max=262144,
        product="Atlas 800T A2",
        interfaces={"enp189s0f0": InterfaceState(1500, "up"), "lo": InterfaceState(65536, "unknown")},
        device_cgroup=True,
        locale="zh_CN.UTF-8",
        ephemeral_ports=((32768, 60999),),
        reserved_ports=((8080, 8080), (60000, 60031)),
    )


@pytest.mark.parametrize(("text", "ports"), [("", ()), ("1,x", None), ("5-4", None), ("70000", None)])
def test_a_list_of_reserved_ports_may_be_empty(text: str, ports: object) -> None:
    lines = f"/proc/sys/kernel/pid_max:32768\n/proc/sys/net/ipv4/ip_local_reserved_ports:{text}\n"
    assert known(kernel(Answer(0, lines), CGROUPS, NO_FILE)).reserved_ports == ports


def test_what_a_host_does_not_have_stays_unknown_to_it() -> None:
    found = known(kernel(Answer(0, "/proc/sys/kernel/pid_max:32768\n"), Missing("/proc/cgroups"), NO_FILE))

    assert found == KernelFacts(pid_max=32768)


@pytest.mark.parametrize("product", ["To be filled by O.E.M.", "Default string", "", "None", "System Product Name"])
def test_a_placeholder_is_no_product(product: str) -> None:
    text = f"/proc/sys/kernel/pid_max:32768\n/sys/class/dmi/id/product_name:{product}\n"
    assert known(kernel(Answer(0, text), CGROUPS, NO_FILE)).product is None


@pytest.mark.parametrize(
    "line",
    [
        "/proc/sys/kernel/pid_max:-1",
        "/proc/sys/kernel/pid_max:many",
        "/proc/sys/kernel/pid_max:32768x",
        "/sys/kernel/mm/transparent_hugepage/enabled:always madvise never",
        "/sys/fs/selinux/enforce:2",
        "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor:\x1b[31m!",
        "no colon at all",
    ],
)
def test_a_value_in_no_known_form_is_none(line: str) -> None:
    text = f"/proc/sys/fs/nr_open:1048576\n{line}\n"
    assert known(kernel(Answer(0, text), Missing("/proc/cgroups"), NO_FILE)) == KernelFacts(nr_open=1048576)


def test_an_interface_in_an_unheard_of_state_has_none() -> None:
    text = "/proc/sys/fs/nr_open:1\n/sys/class/net/eth0/operstate:sideways\n/sys/class/net/eth0/mtu:big\n"
    found = known(kernel(Answer(0, text), CGROUPS, FileText("/etc/locale.conf", "LANG=$(reboot)\n", truncated=False)))
    assert found.interfaces == {"eth0": InterfaceState(None, None)} and found.locale is None


@pytest.mark.parametrize(
    "answer", [Answer(127, ""), Answer(0, ""), Answer(0, "grep: not found\n"), Answer(0, KERNEL, truncated=True)]
)
def test_no_values_of_the_kernel_are_unknown(answer: Answer) -> None:
    assert isinstance(kernel(answer, CGROUPS, NO_FILE), Unknown)
    assert kernel(Unknown("no answer within 10 s"), CGROUPS, NO_FILE) == Unknown("no answer within 10 s")


@pytest.mark.parametrize(("text", "enabled"), [("devices 5 98 0\n", False), ("devices 5 98 1\n", True), ("x\n", None)])
def test_the_controller_of_devices(text: str, enabled: bool | None) -> None:
    assert known(kernel(Answer(0, KERNEL), FileText("/proc/cgroups", text), NO_FILE)).device_cgroup is enabled


def test_a_truncated_locale_is_none() -> None:
    found = known(kernel(Answer(0, KERNEL), CGROUPS, FileText("/etc/locale.conf", "LANG=C.UTF-8\n", truncated=True)))
    assert found.locale is None


FIREWALLD = """table inet firewalld {
\tchain filter_INPUT {
\t\ttype filter hook input priority filter + 10; policy accept;
\t\tct state { established, related } accept
\t\tct status dnat accept
\t\tiifname "lo" accept
\t\tjump filter_INPUT_ZONES
\t\tct state invalid drop
\t\treject with icmpx admin-prohibited
\t}
}
"""
UFW = """table ip filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; policy drop;
\t\tcounter packets 1234 bytes 99999 jump ufw-before-logging-input
\t\tcounter packets 1234 bytes 99999 jump ufw-before-input
\t}
}
table ip6 filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; policy accept;
\t}
}
"""
OPEN = """table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy accept;
\t\tip saddr 10.9.0.0/16 drop
\t}
}
"""
ALL_IN = """table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tcounter packets 12 bytes 345 accept
\t}
}
"""
CENTOS = """-P INPUT ACCEPT
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
"""


@pytest.mark.parametrize(
    ("text", "refusing"),
    [
        (FIREWALLD, ("nftables, table inet firewalld, chain filter_INPUT",)),
        (UFW, ("nftables, table ip filter, chain INPUT",)),
        (OPEN, ()),
        (ALL_IN, ()),
        (CENTOS, ("iptables, chain INPUT",)),
        ("-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n", ("iptables, chain INPUT",)),
        ("-P INPUT DROP\n-A INPUT -j ACCEPT\n", ()),
        ("-P INPUT ACCEPT\n-A INPUT -s 10.9.0.0/16 -j DROP\n", ()),
        (FIREWALLD + CENTOS, ("nftables, table inet firewalld, chain filter_INPUT", "iptables, chain INPUT")),
        ("table ip nat {\n\tchain PREROUTING {\n\t\tdrop\n\t}\n}\n", ()),
        ("", ()),
    ],
)
def test_what_a_firewall_refuses(text: str, refusing: tuple[str, ...]) -> None:
    assert known(firewall(Answer(0, text))).refusing == refusing


@pytest.mark.parametrize(
    "answer",
    [
        Answer(1, "", "Operation not permitted (you must be root)"),
        Answer(0, FIREWALLD, truncated=True),
        Answer(0, FIREWALLD[: FIREWALLD.index("\t\treject")]),
    ],
)
def test_half_a_firewall_says_nothing(answer: Answer) -> None:
    assert isinstance(firewall(answer), Unknown)


LIMITS = """Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max processes             unlimited            unlimited            processes 
Max open files            1024                 524288               files     
Max locked memory         8388608              8388608              bytes     
"""  # noqa: W291  (as the kernel prints it)


@pytest.mark.parametrize(
    ("more", "nofile"),
    [
        ("", (1024, 524288)),
        ('"default-ulimits": {  "nofile": { "Name": "nofile", "Hard": 65536, "Soft": 65535 }  }\n', (65535, 65536)),
        ("--default-ulimit=nofile=4096:8192\n", (4096, 8192)),
        ("--default-ulimit nofile=4096\n", (4096, 4096)),
        ('--default-ulimit "nofile=4096:-1\n', (4096, -1)),
    ],
)
def test_the_limits_that_a_container_is_born_with(more: str, nofile: tuple[int, int]) -> None:
    expected = {"nproc": (-1, -1), "nofile": nofile}
    assert known(limits(Answer(0, LIMITS + more))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Max open files            many                 files\n",
        LIMITS + '"default-ulimits": {"nofile": {"Name": "nofile"}}\n',
        LIMITS + '"default-ulimits": {"nofile": 5}\n',
        LIMITS + '"default-ulimits": []\n',
        LIMITS + '"default-ulimits": {"nofile": {"Soft": true, "Hard": 2}}\n',
        LIMITS + '"default-ulimits": {"nofile"\n',
    ],
)
def test_limits_in_no_known_form_are_unknown(text: str) -> None:
    assert isinstance(limits(Answer(0, text)), Unknown)
    assert isinstance(limits(Answer(1, text)), Unknown)


def test_proxies_of_both_engines() -> None:
    docker = '"httpProxy":"http://proxy:3128"\n"noProxy" : "localhost,10.0.0.0/24"\n"httpsProxy": ""\n'
    assert known(proxies(Answer(0, docker))) == {"httpProxy": "http://proxy:3128", "noProxy": "localhost,10.0.0.0/24"}
    podman = "HTTPS_PROXY=http://proxy:3128\nno_proxy=localhost\nMY_http_proxy=x\n"
    assert known(proxies(Answer(0, podman))) == {"httpsProxy": "http://proxy:3128", "noProxy": "localhost"}
    assert known(proxies(Answer(0, ""))) == {}
    assert isinstance(proxies(Answer(2, "")), Unknown)


def run(script: str, *words: str, **environment: str) -> str:
    """What a script of the collection prints on this machine."""
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    return done.stdout


def test_no_login_of_a_registry_and_no_password_of_a_proxy_leaves_the_host(tmp_path: Path) -> None:
    secret = '{"auths": {"r": {"auth": "c2VjcmV0"}}, "proxies": {"default": {"httpProxy": "http://bob:pw@p:3128"}}}'
    (tmp_path / "config.json").write_text(secret, encoding="utf-8")

    told = run(PROXIES_SCRIPT, "docker", DOCKER_CONFIG=str(tmp_path))

    assert known(proxies(Answer(0, told))) == {"httpProxy": "http://p:3128"}
    assert run(PROXIES_SCRIPT, "docker", DOCKER_CONFIG=str(tmp_path / "none")) == ""
    assert run(PROXIES_SCRIPT, "podman", https_proxy="http://bob:pw@p:1") == "https_proxy=http://p:1\n"


@pytest.mark.parametrize(
    ("address", "left"),
    [
        ("http://bob:p@ss@proxy:3128/", "http://proxy:3128/"),
        ("http://bob:pa/ss@proxy:3128", "http://proxy:3128"),
        ("bob:pass@proxy:3128", "proxy:3128"),
        ("bob:p@s/s@proxy", "proxy"),
        ("http:\\/\\/bob:pass@proxy:3128", "http:\\/\\/proxy:3128"),
        ("socks5h://bob:pass:word,@proxy:1080", "socks5h://proxy:1080"),
        ("http://proxy:3128", "http://proxy:3128"),
        ("localhost,10.0.0.0/24", "localhost,10.0.0.0/24"),
    ],
)
def test_the_login_of_a_proxy_ends_at_the_last_at(tmp_path: Path, address: str, left: str) -> None:
    (tmp_path / "config.json").write_text(f'{{"proxies": {{"default": {{"httpProxy" : "{address}"}}}}}}')
    assert run(PROXIES_SCRIPT, "docker", DOCKER_CONFIG=str(tmp_path)) == f'"httpProxy" : "{left}"\n'
    assert run(PROXIES_SCRIPT, "podman", ALL_PROXY=address) == f"ALL_PROXY={left}\n"


def test_a_password_may_be_written_as_json_writes_it(tmp_path: Path) -> None:
    for password in ('a\\"geheim', "geheim\\u0040x", "geheim\\\\"):
        (tmp_path / "config.json").write_text(f'{{"httpsProxy": "http://bob:{password}@proxy:1", "n": 1}}')
        assert run(PROXIES_SCRIPT, "docker", DOCKER_CONFIG=str(tmp_path)) == '"httpsProxy": "http://proxy:1"\n'
    (tmp_path / "config.json").write_text('{"httpsProxy": "bob:geheim\\u0040proxy:1"}')
    assert run(PROXIES_SCRIPT, "docker", DOCKER_CONFIG=str(tmp_path)) == '"httpsProxy": "proxy:1"\n'


def test_this_machine_tells_its_values_whole() -> None:
    """A value of /proc/sys that is read byte by byte is cut to its first digit."""
    found = known(kernel(Answer(0, run(KERNEL_SCRIPT)), Missing("/proc/cgroups"), NO_FILE))

    assert found.pid_max == int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    assert found.interfaces["lo"].mtu == int(Path("/sys/class/net/lo/mtu").read_text(encoding="ascii"))


def test_links_are_followed_to_their_end(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("{}", encoding="utf-8")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").symlink_to("../blob")
    (tmp_path / "model/gone.json").symlink_to("/nowhere/x y.json")
    (tmp_path / "model/own.json").write_text("{}", encoding="utf-8")

    found = known(links(Answer(0, run(LINKS_SCRIPT, str(tmp_path / "model")))))

    assert found == {"config.json": str((tmp_path / "blob").resolve()), "gone.json": "/nowhere/x y.json"}
    assert run(LINKS_SCRIPT, str(tmp_path / "none")) == ""
    assert isinstance(links(Answer(127, "")), Unknown)


def test_digests_of_the_files_that_exist() -> None:
    text = f"{'a' * 64}  /data/R1/config.json\nsha256sum: warning\n{'b' * 63}  /data/R1/tokenizer.json\n"
    assert known(digests(Answer(1, text, "sha256sum: /data/R1/x: No such file"))) == {"config.json": "a" * 64}
    assert known(digests(Answer(0, ""))) == {}
    assert isinstance(digests(Answer(127, "", "sha256sum: not found")), Unknown)
    assert isinstance(digests(Answer(0, text, truncated=True)), Unknown)


@pytest.mark.parametrize(
    ("answer", "addresses"),
    [
        (Answer(0, "127.0.1.1       STREAM node1\n127.0.1.1       DGRAM\n127.0.1.1       RAW\n"), ("127.0.1.1",)),
        (Answer(0, "fe80::1%eth0    STREAM node1\n10.0.0.11  STREAM\n"), ("fe80::1", "10.0.0.11")),
        (Answer(2, ""), ()),
    ],
)
def test_the_addresses_of_the_own_name(answer: Answer, addresses: tuple[str, ...]) -> None:
    assert own_name(answer) == addresses


def test_a_name_service_that_fails_says_nothing() -> None:
    assert isinstance(own_name(Answer(127, "", "getent: not found")), Unknown)
    assert isinstance(own_name(Answer(0, "node1\n")), Unknown)


def test_the_engine_tells_its_runtime_and_security() -> None:
    docker = (
        '{"ServerVersion": "24.0.7", "Images": 4, "DefaultRuntime": "ascend", "CgroupVersion": "2",'
        ' "SecurityOptions": ["name=seccomp,profile=builtin", "name=selinux", "name=userns", 7]}\n'
    )
    found = known(engine(Answer(0, docker), Answer(0, "")))
    assert (found.default_runtime, found.cgroup_version, found.images) == ("ascend", "2", 4)
    assert found.security == ("seccomp", "selinux", "userns")
    podman = (
        '{"version": {"Version": "4.9.4"}, "store": {"imageStore": {"number": 2}},'
        ' "host": {"arch": "arm64", "cgroupVersion": "v1",'
        ' "ociRuntime": {"name": "crun"}, "security": {"rootless": true, "selinuxEnabled": true}}}\n'
    )
    found = known(engine(Answer(0, podman), Answer(0, "")))
    assert (found.default_runtime, found.cgroup_version, found.images) == ("crun", "1", 2)
    assert found.security == ("rootless", "selinux")
    bare = known(engine(Answer(0, '{"ServerVersion": "18.09", "SecurityOptions": null, "host": 5}\n'), Answer(0, "")))
    assert bare == EngineFacts("18.09", None, None, ())


def test_an_image_names_its_proxies_without_their_values() -> None:
    text = (
        '[{"Id": "sha256:%s", "Config": {"Env": ["PATH=/bin", "HTTP_PROXY=http://bob:pw@p:1", "https_proxy=", 5]}}]\n'
        % ("b" * 64)
    )
    found = known(image(Answer(0, text), "mindie:2.0"))
    assert isinstance(found, ImageFacts) and found.proxies == ("HTTP_PROXY",)


def test_nothing_collected_is_unknown_part_by_part() -> None:
    found = surroundings({"items": {}})
    assert all(isinstance(getattr(found, name), Unknown) for name in vars(found))
    assert mismatch(found, Surroundings) is None


def test_shared_memory_with_its_files() -> None:
    paths = [
        {"path": "/dev/shm", "exists": True, "kind": "directory", "mode": "1777"},
        {"path": "/dev/shm/x_llm_backend_0", "exists": True, "kind": "file", "owner": "root"},
    ]
    items = {"shm": {"paths": paths}, "disk/shm": {"total_bytes": 100, "available_bytes": 60, "ancestor": "/dev/shm"}}
    found = known(surroundings({"items": items}).shared_memory)
    assert [state.path for state in found.files] == ["/dev/shm/x_llm_backend_0"]
    assert known(found.space).available_bytes == 60
    assert isinstance(surroundings({"items": {"shm": {"paths": paths[1:]}}}).shared_memory, Unknown)


def test_every_question_is_short_of_time_and_writes_nothing() -> None:
    items = surroundings_items(Settings())
    keys = [item["key"] for item in items]
    assert len(keys) == len(set(keys)) == 14
    assert all("timeout" in item for item in items if "command" in item)


def kernel_of(answer: Answer) -> Any:
    return kernel(answer, CGROUPS, NO_FILE)


DIGESTS = "".join(f"{character * 64}  /data/R1/{character}.json\n" for character in "0123456789abcdef")
LINKS = "config.json\t/root/.cache/blobs/7f\nmodel-00001-of-000002.safetensors\t/root/.cache/blobs/9a\n"
PROXIES = '"httpProxy":"http://proxy:3128"\n"noProxy":"localhost,10.0.0.0/24"\n'
AHOSTS = "127.0.1.1       STREAM node1\n127.0.1.1       DGRAM\nfe80::1%eth0  RAW\n"
DEFAULTS = (
    '"default-ulimits": {"nofile": {"Name": "nofile", "Hard": 65536, "Soft": 65535}}\n--default-ulimit nproc=9:9\n'
)
INSTALLED = "5.10.0-216.0.0.115.oe2203sp4.aarch64 driver\n5.10.0-60.18.0.50.oe2203.aarch64 none\n"
MUTATED = {
    "installed_kernels": (installed_kernels, [INSTALLED]),
    "kernel": (kernel_of, [KERNEL]),
    "firewall": (firewall, [FIREWALLD, UFW, OPEN, CENTOS]),
    "limits": (limits, [LIMITS, LIMITS + DEFAULTS]),
    "proxies": (proxies, [PROXIES]),
    "own_name": (own_name, [AHOSTS]),
    "digests": (digests, [DIGESTS]),
    "links": (links, [LINKS]),
}


@pytest.mark.parametrize("name", MUTATED)
def test_no_mutation_breaks_a_parser(name: str) -> None:
    parse, texts = MUTATED[name]
    chance = random.Random(name)
    for _ in range(MUTATIONS):
        found = parse(Answer(0, finished_lines(mutated(chance, texts))))
        assert not isinstance(found, Unknown) or found.reason.strip()


# A list of rules, and limits of which one counts over another, say something else when a line is gone; so does a count.
KEEPING = {**{name: MUTATED[name] for name in ("proxies", "own_name", "digests", "links")}, "kernel": (kernel_of, [
    "\n".join(line for line in KERNEL.split("\n") if "policy2" not in line)
])}  # fmt: skip


@pytest.mark.parametrize("name", KEEPING)
def test_what_is_missing_is_never_another_value(name: str) -> None:
    parse, texts = KEEPING[name]
    chance = random.Random(name)
    whole = parse(Answer(0, texts[0]))
    for _ in range(MUTATIONS // 5):
        less = destroyed(chance, texts[0])
        assert invented(parse(Answer(0, less)), whole) is None, less


def test_kernels_that_can_be_booted_and_where_the_driver_has_modules(tmp_path: Path) -> None:
    modules, boot = tmp_path / "modules", tmp_path / "boot"
    boot.mkdir()
    for release, file in (
        ("5.10.0-60", "updates/drv_pcie_host.ko"),
        ("5.10.0-216", "updates/dkms/asdrv_fms.ko.xz"),
        ("5.10.0-217", "extra/other_drv_x.ko"),
        ("5.10.0-218", "kernel/drivers/x.ko"),
        ("5.10.0-1", "updates/drv_pcie_host.ko"),  # was removed: nothing boots it
    ):
        (modules / release / file).parent.mkdir(parents=True)
        (modules / release / file).touch()
        if release != "5.10.0-1":
            (boot / f"vmlinuz-{release}").touch()
    script = INSTALLED_KERNELS_SCRIPT.replace("/boot/", f"{boot}/").replace("/lib/modules", str(modules))
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert installed_kernels(Answer(done.returncode, done.stdout)) == {
        "5.10.0-60": True,
        "5.10.0-216": True,
        "5.10.0-217": False,
        "5.10.0-218": False,
    }
    script = script.replace(str(modules), str(tmp_path / "none"))
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert installed_kernels(Answer(done.returncode, done.stdout)) == {}
    assert isinstance(installed_kernels(Answer(0, INSTALLED, truncated=True)), Unknown)
