"""What is asked of a host beyond its NPUs, engine and disks: few questions, and files before programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mindie_deploy.cluster.settings import Settings

Item = dict[str, object]

QUICK_TIMEOUT_S = 10
NAME_TIMEOUT_S = 5  # a name service that does not answer must not hold up the rest

# The first line of each of these files, by one process. (The shell's own `read` takes single bytes, and the files of
# /proc/sys give only the first of them.)
KERNEL_FILES = (
    "/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max", "/proc/sys/fs/file-max", "/proc/sys/fs/nr_open",
    "/proc/sys/net/core/somaxconn", "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/net/netfilter/nf_conntrack_max", "/proc/sys/net/ipv4/ip_local_port_range",
    "/proc/sys/net/ipv4/ip_local_reserved_ports", "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/fs/selinux/enforce", "/sys/class/dmi/id/product_name",
    "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor", "/sys/class/net/*/mtu", "/sys/class/net/*/operstate",
)  # fmt: skip
KERNEL_SCRIPT = f"grep -asHm1 '' {' '.join(KERNEL_FILES)}; true"

# Each kernel that the host can boot, and whether the NPU driver has modules for it: where its installer and DKMS put
# them, or where a kernel finds those of another one.
INSTALLED_KERNELS_SCRIPT = r"""
cd /lib/modules 2>/dev/null || exit 0
for kernel in *; do
    [ -e "/boot/vmlinuz-$kernel" ] || [ -e "/boot/Image-$kernel" ] || continue
    for file in $(find "$kernel/updates" "$kernel/extra" "$kernel/weak-updates" -name '*drv_*.ko*' 2>/dev/null); do
        case ${file##*/} in drv_*|asdrv_*) echo "$kernel driver"; continue 2;; esac
    done
    echo "$kernel none"
done
"""

# Chains of nftables that see incoming packets, then those of an older iptables where its table is in use. Nothing is
# asked of a part that the kernel has not loaded: the question would load it. Where there is no nft, iptables shows its
# own tables and not the one of firewalld (inet), which is asked for its zones in use (252: it does not run).
FIREWALL_SCRIPT = r"""
zoned=
list_zones() {
    if command -v firewall-cmd >/dev/null; then
        firewall-cmd --state >/dev/null
        case $? in
            0) default=$(firewall-cmd --get-default-zone) && zones=$(firewall-cmd --get-active-zones) || return
                zoned=1;;
            252) return 0;;
            *) echo "firewall-cmd does not tell whether firewalld runs" >&2; return 3;;
        esac
        for zone in $(printf '%s\n%s\n' "$default" "$zones" | awk '/^[^ \t]/ && !seen[$1]++{print $1}'); do
            target=$(firewall-cmd --zone="$zone" --list-all) || return
            printf '%s\n' "$target" | awk -v zone="$zone" '$1 == "target:"{print "firewalld", zone, $2; told = 1}
                END{if (!told) exit 1}' || { echo "firewall-cmd does not tell what zone $zone refuses" >&2; return 3; }
        done
    elif grep -qsx firewalld /proc/[0-9]*/comm; then
        echo "firewalld runs, and the host has neither nft nor firewall-cmd" >&2
        return 3
    fi
}
list_input() {
    for tool in "iptables-$1" iptables; do
        case $("$tool" --version 2>/dev/null) in
            *nf_tables*) kind=nft;;
            iptables*) kind=legacy;;
            *) continue;;
        esac
        [ "$kind" != "$1" ] || { "$tool" -S INPUT; return; }
    done
    echo "the kernel may have rules of $2, and the host has no program that lists them" >&2
    return 3
}
if grep -qs nf_tables /proc/modules "/lib/modules/$(uname -r)/modules.builtin"; then
    if command -v nft >/dev/null; then
        rules=$(nft list ruleset) || exit
        printf '%s\n' "$rules" | awk '/^table /{print}
            /^\tchain /{text = ""; wanted = 0; inside = 1}
            inside{text = text $0 "\n"; if (/hook input/) wanted = 1}
            inside && /^\t}/{if (wanted) printf "%s", text; inside = 0}'
    else
        list_zones || exit
        list_input nft nftables || [ -n "$zoned" ] || exit
    fi
fi
if grep -qx filter /proc/net/ip_tables_names 2>/dev/null; then
    list_input legacy iptables || exit
fi
true
"""

# Limits of the daemon that starts containers (k3s brings one of its own, which is not meant), then the engine's own
# defaults. Of its configuration only this part is read: there may be secrets in the rest.
LIMITS_SCRIPT = r"""
seen=
for wanted in containerd dockerd; do
    for file in $(grep -lsx "$wanted" /proc/[0-9]*/comm); do
        case $(readlink "${file%comm}exe") in */rancher/*|*/k3s/*|*/rke2/*|*/microk8s/*) continue;; esac
        [ -n "$seen" ] || { cat "${file%comm}limits"; seen=1; }
        [ "$wanted" != dockerd ] || tr '\0' ' ' < "${file%comm}cmdline" |
            grep -oE -- '--default-ulimit[= ]"?[a-z]+=-?[0-9]+(:-?[0-9]+)?'
    done
done 2>/dev/null
[ ! -r /etc/docker/daemon.json ] || tr -d '\n' < /etc/docker/daemon.json |
    grep -oE '"default-ulimits"[[:space:]]*:[[:space:]]*\{([^{}]|\{[^{}]*\})*\}'
true
"""

# Only the proxies: the rest of the file holds logins of registries. And without user and password, which end at the
# last @, with a scheme before them or without. Podman takes proxies from the environment instead.
PROXIES_SCRIPT = r"""
hide='s,\\u0040,@,g
s,^("[A-Za-z]+"[[:space:]]*:[[:space:]]*"|[A-Za-z_]+=)([A-Za-z][A-Za-z0-9+.-]*:(\\*/){2})?.*@,\1\2,'
if [ "$1" = podman ]; then
    env | grep -iE '^(http|https|ftp|all|no)_proxy=' | sed -E "$hide"
else
    file="${DOCKER_CONFIG:-$HOME/.docker}/config.json"
    [ ! -e "$file" ] || tr -d '\n' < "$file" |
        grep -oE '"(http|https|ftp|all|no)Proxy"[[:space:]]*:[[:space:]]*"([^"\\]|\\.)*"' | sed -E "$hide"
fi
true
"""

SHARED_MEMORY = "/dev/shm"  # noqa: S108  (where MindIE keeps it)
SHARED_MEMORY_FILES = (f"{SHARED_MEMORY}/*llm_backend_*", f"{SHARED_MEMORY}/llm_tokenizer_shared_memory_*")

# Files that change how a model answers, and are small enough to be read whole.
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "configuration_deepseek.py",
    "modeling_deepseek.py",
    "model.safetensors.index.json",
)
LINKS_SCRIPT = (
    'for file in "$1"/*; do [ ! -L "$file" ] || printf "%s\\t%s\\n" "${file##*/}" "$(readlink -m -- "$file")"; done'
)


def surroundings_items(settings: Settings) -> list[Item]:
    """Returns the questions that hosts.surroundings reads."""
    model, state = settings.model_path.rstrip("/"), settings.state_directory
    return [
        script("kernel", KERNEL_SCRIPT),
        script("kernels", INSTALLED_KERNELS_SCRIPT),
        {"key": "cgroups", "file": "/proc/cgroups", "lines": r"^devices\s"},
        {"key": "locale", "file": ["/etc/locale.conf", "/etc/default/locale"]},
        script("firewall", FIREWALL_SCRIPT),
        script("engine/limits", LIMITS_SCRIPT),
        script("engine/proxies", PROXIES_SCRIPT, settings.engine),
        {"key": "own-name", "command": ["sh", "-c", 'getent ahosts "$(uname -n)"'], "timeout": NAME_TIMEOUT_S},
        {"key": "shm", "stat": [SHARED_MEMORY, *SHARED_MEMORY_FILES]},
        {"key": "disk/shm", "disk": SHARED_MEMORY},
        {
            "key": "weights/digests",
            "command": ["sha256sum", "--", *(f"{model}/{name}" for name in SMALL_FILES)],
            "timeout": 15,
        },
        script("weights/links", LINKS_SCRIPT, model),
        {"key": "state", "stat": [state, f"{state}/{settings.deployment}"]},
        {"key": "lock", "stat": [f"{state}/{settings.deployment}/lock"]},
    ]


def script(key: str, text: str, *words: str) -> Item:
    """One question to the shell, with words as its arguments."""
    return {"key": key, "command": ["sh", "-c", text, "sh", *words], "timeout": QUICK_TIMEOUT_S}
