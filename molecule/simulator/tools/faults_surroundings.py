"""Named faults of what surrounds a deployment on its host: kernel, engine, interfaces, shared memory, own files."""

from __future__ import annotations

from .fault_form import Commands, Fault
from .faults_host import HOST, MODEL_DIRECTORY, PUT_AWAY, SHARD

STATE = "/var/lib/mindie-deploy"
CGROUPS = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t24\t1\ndevices\t0\t1\t0\nmemory\t5\t80\t1\n"
OTHER_SAMPLING = f"""sed -i 's/"temperature": 0[.]6/"temperature": 0.7/' {MODEL_DIRECTORY}/generation_config.json"""
TRUE_SAMPLING = f"""sed -i 's/"temperature": 0[.]7/"temperature": 0.6/' {MODEL_DIRECTORY}/generation_config.json"""


def _kernel_says(path: str, value: str) -> str:
    """For grep: a file of the kernel as another line of its output, for kernels that do not have the file."""
    plain = path.replace("/", "[/]")
    return rf"/^{plain}:/d;/kernel[/]pid_max:/a\{path}:{value}"


def _altered(program: str, *seds: str) -> tuple[Commands, Commands]:
    return ((*HOST, "alter", program, "\n".join(seds)),), ((*HOST, "unalter", program),)


def _shown(path: str, text: str) -> tuple[Commands, Commands]:
    return ((*HOST, "show", path, f"{text}\n"),), ((*HOST, "restore", path),)


CONTAINERD = "$(pgrep -ox containerd)"
SECURITY = r's/"SecurityOptions":\[/&"name={}",/'
SELINUX = _altered("docker", SECURITY.format("selinux"))
ENFORCING = _altered("grep", _kernel_says("/sys/fs/selinux/enforce", "1"))
FIRST_CGROUP = _altered("docker", 's/"CgroupVersion":"2"/"CgroupVersion":"1"/')
NO_DEVICES = _shown("/proc/cgroups", CGROUPS)
PRODUCT = "/sys/class/dmi/id/product_name"
CONNECTIONS = "/proc/sys/net/netfilter/nf_conntrack_"

SURROUNDINGS_FAULTS: dict[str, Fault] = {
    "odd-runtime": Fault(
        "the engine's default runtime is kata", "docker.runtime", (),
        *_altered("docker", 's/"DefaultRuntime":"[^"]*"/"DefaultRuntime":"kata"/'),
    ),
    "user-namespace": Fault(
        "the engine maps the container's root to another user", "docker.user-namespace", (),
        *_altered("docker", SECURITY.format("userns")),
    ),
    "few-open-files": Fault(
        "containers may open 1024 files", "docker.ulimits", (),
        (("sh", "-c", f"prlimit --pid {CONTAINERD} --nofile --output SOFT --noheadings >/run/nofile.before; "
          f"prlimit --pid {CONTAINERD} --nofile=1024:"),),
        (("sh", "-c", f'prlimit --pid {CONTAINERD} --nofile="$(tr -d " " </run/nofile.before):"'),),
    ),
    "engine-disk-full": Fault(
        "the engine's disk has 1 MB left", "docker.disk", (),
        *_altered("df", r"s,[0-9][0-9]*  *\([0-9]*%  */var/lib/docker\)$,1000 \1,"),
    ),
    "device-cgroup-off": Fault(
        "the kernel's controller of devices is switched off", "docker.device-cgroup", (),
        (*FIRST_CGROUP[0], *NO_DEVICES[0]), (*NO_DEVICES[1], *FIRST_CGROUP[1]),
    ),
    "selinux-enforcing": Fault(
        "SELinux is enforcing, and the engine labels containers", "os.selinux", (),
        (*SELINUX[0], *ENFORCING[0]), (*ENFORCING[1], *SELINUX[1]),
    ),
    "few-processes": Fault(
        "the kernel allows 4096 processes", "os.pids", (), *_shown("/proc/sys/kernel/pid_max", "4096")
    ),
    "few-files": Fault(
        "the kernel allows 8000 open files", "os.ulimit", (), *_shown("/proc/sys/fs/file-max", "8000")
    ),
    "connections-full": Fault(
        "the table of tracked connections is nearly full", "os.conntrack", (),
        *_altered("grep", _kernel_says(f"{CONNECTIONS}count", "261900"), _kernel_says(f"{CONNECTIONS}max", "262144")),
    ),
    "model-800t": Fault("the host is an Atlas 800T A2", "", (),
                        *_altered("grep", _kernel_says(PRODUCT, "Atlas 800T A2"))),
    "model-800i": Fault("the host is an Atlas 800I A2", "host.product", (),
                        *_altered("grep", _kernel_says(PRODUCT, "Atlas 800I A2"))),
    "hccl-port-taken": Fault("another program listens on port 60003", "ports.hccl", (("ports.taken+", 60003),)),
    "hccl-ports-blocked": Fault(
        "a firewall lets SSH and MindIE's ports in, and drops port 60000 and all above", "ports.hccl-reachable", (),
        (("iptables", "-A", "INPUT", "!", "-i", "lo", "-p", "tcp", "--dport", "60000:65535", "--syn", "-j", "DROP"),),
        (("iptables", "-F", "INPUT"),),
    ),
    "small-mtu": Fault(
        "the host's network interface has MTU 1400", "net.interface", (),
        (("ip", "link", "set", "dev", "eth0", "mtu", "1400"),), (("ip", "link", "set", "dev", "eth0", "mtu", "1500"),),
    ),
    "little-shared-memory": Fault(
        "the host's /dev/shm has 64 MiB", "os.shm", (), (("mount", "-o", "remount,size=64m", "/dev/shm"),),
        (("mount", "-o", "remount,size=2g", "/dev/shm"),),
    ),
    "shared-memory-left": Fault(
        "a killed MindIE left files in /dev/shm", "os.shm-left", (),
        (("touch", "/dev/shm/0_llm_backend_shm", "/dev/shm/llm_tokenizer_shared_memory_0"),),
        (("rm", "-f", "/dev/shm/0_llm_backend_shm", "/dev/shm/llm_tokenizer_shared_memory_0"),),
    ),
    "state-is-a-file": Fault(
        "a file stands where the deployment's own directory should be", "state.directory", (),
        (("sh", "-c", f"[ ! -e {STATE} ] || mv {STATE} {STATE}.before; touch {STATE}"),),
        (("sh", "-c", f"rm {STATE}; [ ! -e {STATE}.before ] || mv {STATE}.before {STATE}"),),
    ),
    "weights-link": Fault(
        "a shard is a link that leads out of the model", "weights.links", (),
        (("mv", SHARD, PUT_AWAY), ("ln", "-s", PUT_AWAY, SHARD)), (("mv", PUT_AWAY, SHARD),),
    ),
    "model-type-unknown": Fault(
        "config.json has the model_type of DeepSeek V3.2, which the image is too old for", "weights.model-type", (),
        (("sed", "-i", 's/"deepseek_v3"/"deepseek_v32"/', f"{MODEL_DIRECTORY}/config.json"),),
        (("sed", "-i", 's/"deepseek_v32"/"deepseek_v3"/', f"{MODEL_DIRECTORY}/config.json"),),
    ),
    "other-sampling": Fault(
        "generation_config.json has another temperature", "weights.small-files", (),
        (("sh", "-c", OTHER_SAMPLING),), (("sh", "-c", TRUE_SAMPLING),),
    ),
}  # fmt: skip
