"""Rules of a firewall that refuse with a word more, and the script that lists them with the programs that are there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import FirewallFacts
from mindie_deploy.hosts.firewall import firewall
from mindie_deploy.hosts.items_surroundings import FIREWALL_SCRIPT

DROPS = "-P INPUT DROP\n-A INPUT -i lo -j ACCEPT\n"
ACCEPTS = "-P INPUT ACCEPT\n"
RULESET = """table ip filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; policy drop;
\t}
}
"""


def chain(*rules: str) -> str:
    lines = "".join(f"\t\t{rule}\n" for rule in rules)
    return f"table ip t {{\n\tchain in {{\n\t\ttype filter hook input priority 0; policy accept;\n{lines}\t}}\n}}\n"


def refuses(text: str) -> bool:
    found = firewall(Answer(0, text))
    assert isinstance(found, FirewallFacts), found
    return bool(found.refusing)


@pytest.mark.parametrize(
    "rule",
    [
        "drop",
        'log prefix "x " drop',
        'log prefix "[REFUSED] " level info drop',
        'log prefix "a drop" flags all counter packets 5 bytes 300 drop',
        "log flags tcp sequence,options group 3 reject with icmpx admin-prohibited",
        "log drop",
        'drop comment "x"',
        'counter packets 0 bytes 0 drop comment "what is left"',
        'counter name "refused" reject',
    ],
)
def test_a_refusal_that_also_logs_counts_or_explains_is_one(rule: str) -> None:
    assert refuses(chain(rule))


@pytest.mark.parametrize(
    "rules",
    [
        ('log prefix "drop "',),
        ('tcp dport 22 drop comment "x"',),
        ("log flags all ct state invalid drop",),
        ('accept comment "trusted"', "drop"),
        ('log prefix "in " accept', "drop"),
        ('limit rate 3/minute log prefix "x " drop',),
    ],
)
def test_what_has_a_condition_or_comes_after_what_lets_all_in_is_none(rules: tuple[str, ...]) -> None:
    assert not refuses(chain(*rules))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('-P INPUT ACCEPT\n-A INPUT -m comment --comment "the rest" -j DROP\n', True),
        ("-P INPUT ACCEPT\n-A INPUT -m comment --comment rest -j REJECT --reject-with icmp-port-unreachable\n", True),
        ('-P INPUT ACCEPT\n-A INPUT -s 10.0.0.9/32 -m comment --comment "one" -j DROP\n', False),
        ("-P INPUT ACCEPT\n-A INPUT -j ACCEPT\n" + DROPS, True),  # two lists: the second is judged for itself
    ],
)
def test_rules_of_iptables(text: str, expected: bool) -> None:
    assert refuses(text) is expected


def host(place: Path, *, modules: str = "", tables: str = "", **programs: str) -> subprocess.CompletedProcess[str]:
    """The script on a host with these modules, tables of iptables, and programs (the text of each as a script)."""
    (place / "bin").mkdir()
    for name in ("grep", "awk", "uname", "sh"):
        (place / "bin" / name).symlink_to(shutil.which(name) or name)
    for name, text in programs.items():
        program = place / "bin" / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)
    (place / "modules").write_text(modules, encoding="utf-8")
    (place / "tables").write_text(tables, encoding="utf-8")
    script = FIREWALL_SCRIPT.replace("/proc/modules", str(place / "modules"))
    script = (
        script.replace("/proc/[0-9]*", f"{place}/[0-9]*")
        .replace("/proc/net/ip_tables_names", str(place / "tables"))
        .replace("/lib/modules", str(place / "none"))
    )
    return subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, env={"PATH": str(place / "bin")}
    )


def iptables(kind: str, rules: str) -> str:
    version = f"iptables v1.8.7 ({kind})" if kind else "iptables v1.4.21"
    return f"case $1 in --version) echo '{version}';; -S) printf '%s' '{rules}';; esac"


NFT = {"modules": "nf_tables 1 0 - Live 0x0\n"}


def test_the_rules_of_nftables_are_listed_by_nft(tmp_path: Path) -> None:
    told = host(tmp_path, **NFT, nft=f"printf '%s' '{RULESET}'", iptables=iptables("nf_tables", ACCEPTS))
    assert told.returncode == 0 and refuses(told.stdout)


@pytest.mark.parametrize("name", ["iptables", "iptables_nft"])
def test_without_nft_they_are_listed_by_the_iptables_that_knows_them(tmp_path: Path, name: str) -> None:
    told = host(tmp_path, **NFT, **{name: iptables("nf_tables", DROPS)}, iptables_legacy=iptables("legacy", ACCEPTS))
    assert told.returncode == 0 and refuses(told.stdout)


@pytest.mark.parametrize(
    "programs", [{}, {"iptables": iptables("legacy", ACCEPTS)}, {"iptables": iptables("", ACCEPTS)}]
)
def test_rules_that_no_program_lists_are_not_known(tmp_path: Path, programs: dict[str, str]) -> None:
    told = host(tmp_path, **NFT, **programs)
    found = firewall(Answer(told.returncode, told.stdout, told.stderr))
    assert not isinstance(found, FirewallFacts)
    assert "rules of nftables, and the host has no program that lists them" in found.reason


@pytest.mark.parametrize(
    "programs",
    [
        {"iptables": iptables("", DROPS)},
        {"iptables": iptables("legacy", DROPS)},
        {"iptables": iptables("nf_tables", ACCEPTS), "iptables_legacy": iptables("legacy", DROPS)},
    ],
)
def test_an_older_iptables_is_asked_where_its_table_is_in_use(tmp_path: Path, programs: dict[str, str]) -> None:
    told = host(tmp_path, tables="nat\nfilter\n", **programs)
    assert told.returncode == 0 and refuses(told.stdout)


def firewalld(default: str, active: str, state: int = 0, **targets: str) -> str:
    """firewall-cmd of a firewalld with these zones and their targets."""
    zones = "".join(
        f"--zone={zone}*) printf '%s\\n' '{zone} (active)' '  target: {target}' '  services: ssh';; "
        for zone, target in targets.items()
    )
    return (
        f"case $* in --state) exit {state};; --get-default-zone) echo {default};; "
        f"--get-active-zones) printf '{active}';; {zones}*) exit 2;; esac"
    )


ACTIVE = "internal\\n  interfaces: eth1\\n"
OLD_RULES = {"iptables": iptables("nf_tables", ACCEPTS)}


@pytest.mark.parametrize(
    ("client", "refusing"),
    [
        (firewalld("public", "", public="default"), ("firewalld, zone public",)),
        (firewalld("public", "", public="%%REJECT%%"), ("firewalld, zone public",)),
        (firewalld("trusted", ACTIVE, trusted="ACCEPT", internal="DROP"), ("firewalld, zone internal",)),
        (firewalld("trusted", ACTIVE, trusted="ACCEPT", internal="ACCEPT"), ()),
        (firewalld("public", "", state=252), ()),
    ],
)
def test_without_nft_firewalld_is_asked_for_what_iptables_does_not_show(
    tmp_path: Path, client: str, refusing: tuple[str, ...]
) -> None:
    told = host(tmp_path, **NFT, **OLD_RULES, firewall_cmd=client)
    assert firewall(Answer(told.returncode, told.stdout, told.stderr)) == FirewallFacts(refusing)


def test_firewalld_alone_says_enough(tmp_path: Path) -> None:
    told = host(tmp_path, **NFT, firewall_cmd=firewalld("public", "", public="DROP"))
    assert firewall(Answer(told.returncode, told.stdout)) == FirewallFacts(("firewalld, zone public",))


@pytest.mark.parametrize(
    ("client", "why"),
    [
        (firewalld("public", "", state=253), "does not tell whether firewalld runs"),
        (firewalld("public", "", other="default"), "status 2"),
        ("case $* in --get-default-zone) echo public;; --zone=*) echo public;; esac", "what zone public refuses"),
    ],
)
def test_a_firewalld_that_does_not_tell_is_not_known(tmp_path: Path, client: str, why: str) -> None:
    told = host(tmp_path, **NFT, **OLD_RULES, firewall_cmd=client)
    found = firewall(Answer(told.returncode, told.stdout, told.stderr))
    assert not isinstance(found, FirewallFacts)
    assert why in found.reason


def test_a_firewalld_without_its_client_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "77").mkdir()
    (tmp_path / "77" / "comm").write_text("firewalld\n", encoding="utf-8")
    told = host(tmp_path, **NFT, **OLD_RULES)
    found = firewall(Answer(told.returncode, told.stdout, told.stderr))
    assert not isinstance(found, FirewallFacts)
    assert "firewalld runs, and the host has neither nft nor firewall-cmd" in found.reason


def test_where_nft_lists_all_firewalld_is_not_asked(tmp_path: Path) -> None:
    told = host(tmp_path, **NFT, nft=f"printf '%s' '{RULESET}'", firewall_cmd="echo firewalld public DROP")
    assert told.returncode == 0 and "firewalld" not in told.stdout


def test_nothing_is_asked_of_what_the_kernel_has_not_loaded(tmp_path: Path) -> None:
    told = host(tmp_path, tables="nat\n", nft="echo asked", iptables=iptables("legacy", DROPS))
    assert (told.returncode, told.stdout) == (0, "")
