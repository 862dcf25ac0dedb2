"""The host's firewall for incoming packets, as nft, iptables and firewalld's client list it."""

from __future__ import annotations

import re

from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import Reading, Unknown
from mindie_deploy.hosts.facts_surroundings import FirewallFacts
from mindie_deploy.hosts.text import lines_of

TABLE = re.compile(r"table (?P<name>[a-z0-9]+ \S{1,60}) \{")
CHAIN = re.compile(r"\tchain (?P<name>\S{1,60}) \{")
HOOK = re.compile(r"type filter hook input priority [^;]{1,40};(?: policy (?P<policy>accept|drop);)?")
# What is no condition: a rule with it is about every packet still.
NO_CONDITION = re.compile(
    r'counter packets \d+ bytes \d+ ?|counter name "[^"]*" ?|comment "[^"]*"|'
    r'log(?: prefix "[^"]*"| level [a-z]+| group \d+| snaplen \d+| queue-threshold \d+'
    r"| flags (?:all|skuid|ether|ip options|tcp [a-z,]+)(?= |$))* ?",
    re.ASCII,
)
REFUSAL = re.compile(r"drop|reject( with .{1,60})?")
# A zone and what becomes of what no rule of it lets in: ACCEPT, DROP, %%REJECT%%, or default, which rejects.
ZONE = re.compile(r"firewalld (?P<zone>\S{1,60}) (?P<target>\S{1,20})")
OLD_POLICY = re.compile(r"-P INPUT (?P<policy>ACCEPT|DROP)")
OLD_NO_CONDITION = re.compile(r' -m comment --comment ("[^"]*"|[^"\s]+)')
OLD_REFUSAL = re.compile(r"-A INPUT -j (DROP|REJECT( --reject-with \S{1,40})?)")


def firewall(answer: Answer) -> Reading[FirewallFacts]:
    """Reads the chains for incoming packets.

    A chain refuses what no rule lets in when its policy is drop, or when a rule without a condition drops or rejects.
    A rule without a condition that accepts lets everything in.
    A zone of firewalld refuses unless its target is ACCEPT. A list that ends in the middle says nothing.
    """
    if answer.status != 0 or answer.truncated:
        return answer.failure("listing the firewall")
    refusing: list[str] = []
    table = chain = ""
    rules: list[str] | None = None
    old: list[list[str]] = []  # each list of rules begins with its policy
    for line in lines_of(answer.stdout):
        if found := TABLE.fullmatch(line):
            table = found["name"]
        elif found := CHAIN.fullmatch(line):
            chain, rules = found["name"], []
        elif line == "\t}" and rules is not None:
            if _refuses(rules):
                refusing.append(f"nftables, table {table}, chain {chain}")
            rules = None
        elif zone := ZONE.fullmatch(line):
            if zone["target"] != "ACCEPT":
                refusing.append(f"firewalld, zone {zone['zone']}")
        elif rules is not None:
            rules.append(NO_CONDITION.sub("", line.strip()).strip())
        elif line.startswith("-P INPUT"):
            old.append([line])
        elif line.startswith("-A INPUT") and old:
            old[-1].append(OLD_NO_CONDITION.sub("", line))
    if rules is not None:
        return Unknown(f"the list of the firewall ends within chain {chain}")
    if any(map(_old_refuses, old)):
        refusing.append("iptables, chain INPUT")
    return FirewallFacts(tuple(refusing))


def _refuses(rules: list[str]) -> bool:
    """Tells whether a chain of nftables refuses what its conditions do not let in."""
    hook = next((found for rule in rules if (found := HOOK.fullmatch(rule))), None)
    if hook is None:
        return False
    for rule in rules:
        if rule == "accept":
            return False
        if REFUSAL.fullmatch(rule):
            return True
    return hook["policy"] == "drop"


def _old_refuses(lines: list[str]) -> bool:
    """Tells the same of the lines of `iptables -S INPUT`."""
    for line in lines:
        if line == "-A INPUT -j ACCEPT":
            return False
        if OLD_REFUSAL.fullmatch(line):
            return True
    return any((found := OLD_POLICY.fullmatch(line)) and found["policy"] == "DROP" for line in lines)
