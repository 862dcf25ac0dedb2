"""Named faults of the host around the NPUs: system, engine, image, weights, network."""

from __future__ import annotations

from .fault_form import Fault

MODEL_DIRECTORY = "/data/models/DeepSeek-R1-BF16"
IMAGE = "mindie:2.0.RC2-800I-A2-py311-openeuler24.03-lts"
IMAGE_ARCHIVE = "/opt/simulator/mindie-image.tar"
ENGINE = ("sh", "/opt/simulator/host/engine")
SPOIL = ("python3", "/opt/simulator/tools/weights_fault.py")
ACTION = ("python3", "-B", "/opt/simulator/host/action.py")
HOST = ("python3", "-B", "/opt/simulator/tools/host_fault.py")
SHARD = f"{MODEL_DIRECTORY}/model-00042-of-000163.safetensors"
TOKENIZERS = tuple(f"{MODEL_DIRECTORY}/{name}" for name in ("tokenizer.json", "tokenizer_config.json"))
PUT_AWAY = "/data/put-away"
OTHER_RELEASE = 'NAME="openEuler"\nID="openEuler"\nVERSION_ID="22.03"\nPRETTY_NAME="openEuler 22.03 (LTS-SP4)"\n'
LITTLE_MEMORY = "MemTotal:       1056561152 kB\nMemFree:           12288 kB\nMemAvailable:      20480 kB\n"

HOST_FAULTS: dict[str, Fault] = {
    "clock-skew": Fault("the host's clock is two minutes ahead", "os.time-skew", (("clock.offset_s", 120.0),)),
    "port-taken": Fault("another program listens on port 1025", "ports.free", (("ports.taken+", 1025),)),
    "daemon-dies-loading": Fault("the MindIE daemon of the host dies while it loads", "",
                                 (("mindie.die_on_load_fraction", 0.5),)),
    "daemon-hangs": Fault("the MindIE daemon of the host never gets ready", "", (("mindie.hang", True),)),
    "follower-never-registers": Fault("the host's daemon never meets its leader", "",
                                      (("mindie.never_register", True),)),
    "docker-stopped": Fault("the container engine does not run", "docker.running", (("engine.running", False),),
                            ((*ENGINE, "stop"),), ((*ENGINE, "start"),)),
    "image-missing": Fault(
        "the MindIE image is not loaded", "docker.image", (("image.present", False),),
        (("docker", "image", "rm", "--force", IMAGE),), (("docker", "load", "--quiet", f"--input={IMAGE_ARCHIVE}"),),
    ),
    "weights-missing": Fault(
        "the model directory is gone", "weights.present", (("weights.fault", "missing"),),
        ((*SPOIL, "spoil", "missing", MODEL_DIRECTORY),), ((*SPOIL, "mend", "missing", MODEL_DIRECTORY),),
    ),
    "weights-fp8": Fault(
        "config.json says FP8", "weights.dtype", (("weights.fault", "fp8"),),
        ((*SPOIL, "spoil", "fp8", MODEL_DIRECTORY),), ((*SPOIL, "mend", "fp8", MODEL_DIRECTORY),),
    ),
    "weights-shard": Fault(
        "one byte of a shard is changed", "weights.digest", (("weights.fault", "shard"),),
        ((*SPOIL, "spoil", "shard", MODEL_DIRECTORY),), ((*SPOIL, "mend", "shard", MODEL_DIRECTORY),),
    ),
    "disk-small": Fault(
        "the filesystem of the models has 64 MiB (what is there is hidden)", "weights.disk", (("disk.limit_mib", 64),),
        (("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "/data/models"),), (("umount", "/data/models"),),
    ),
    "ssh-stopped": Fault(
        "the host does not answer on SSH", "host.unreachable", (),
        (("sh", "/opt/simulator/host/ssh-server", "stop"),), (("sh", "/opt/simulator/host/ssh-server", "start"),),
    ),
    "ssh-key-refused": Fault(
        "the host refuses our key", "host.authentication", (), ((*ACTION, "ssh", "lock-out"),),
        ((*ACTION, "ssh", "let-in"),),
    ),
    "ssh-host-key-changed": Fault(
        "the host shows another SSH host key", "host.key-changed", (), ((*ACTION, "ssh", "new-host-key"),),
        ((*ACTION, "ssh", "own-host-key"),),
    ),
    "host-silent": Fault(
        "the host answers no packet", "host.unreachable", (), ((*ACTION, "packets", "lose", "1"),),
        ((*ACTION, "packets", "keep"),),
    ),
    "port-blocked": Fault(
        "a firewall drops what comes to port 1120", "ports.reachable", (), ((*ACTION, "firewall", "drop", "1120"),),
        ((*ACTION, "firewall", "open"),),
    ),
    "firewall-but-ssh": Fault(
        "a firewall drops all new connections but those to SSH", "net.host-route", (),
        (("iptables", "-A", "INPUT", "!", "-i", "lo", "-p", "tcp", "!", "--dport", "22", "--syn", "-j", "DROP"),),
        (("iptables", "-F", "INPUT"),),
    ),
    "other-architecture": Fault(
        "uname names another processor", "os.arch", (),
        ((*HOST, "alter", "uname", "s/x86_64/riscv64/;s/aarch64/riscv64/"),), ((*HOST, "unalter", "uname"),),
    ),
    "other-kernel": Fault(
        "the host runs another kernel", "os.kernel", (),
        ((*HOST, "alter", "uname", "s/ [0-9]*[.][0-9][^ ]* / 4.19.90-2107.6.0.0192.8.oe1.bclinux /"),),
        ((*HOST, "unalter", "uname"),),
    ),
    "other-page-size": Fault(
        "the host has memory pages of 64 KiB", "os.page-size", (),
        ((*HOST, "alter", "getconf", "s/^4096$/65536/"),), ((*HOST, "unalter", "getconf"),),
    ),
    "other-release": Fault(
        "the host has another operating system", "os.release", (),
        ((*HOST, "show", "/etc/os-release", OTHER_RELEASE),), ((*HOST, "restore", "/etc/os-release"),),
    ),
    "hostname-doubled": Fault(
        "the host has the name of host1", "os.hostname-unique", (), (("hostname", "host1"),), (("hostname", "{host}"),),
    ),
    "little-memory": Fault(
        "the host has 20 MiB of memory left", "os.memory", (),
        ((*HOST, "show", "/proc/meminfo", LITTLE_MEMORY),), ((*HOST, "restore", "/proc/meminfo"),),
    ),
    "state-disk-full": Fault(
        "the filesystem of the deployment's own files has 1 MiB", "state.disk", (),
        (("mkdir", "-p", "/var/lib/mindie-deploy"),
         ("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/var/lib/mindie-deploy")),
        (("umount", "/var/lib/mindie-deploy"),),
    ),
    "weights-port-taken": Fault(
        "another program listens on port 11200", "ports.weights", (("ports.taken+", 11200),)
    ),
    "image-different": Fault(
        "another image has the name", "docker.image-same", (), ((*ACTION, "image", "alter"),),
        ((*ACTION, "image", "load"),),
    ),
    "npu-container": Fault(
        "a container of somebody else has the device of one NPU", "docker.conflict", (),
        (("docker", "run", "--detach", "--name=training", "--network=host", "--device=/dev/davinci{npu}",
          "--entrypoint=sleep", IMAGE, "infinity"),),
        (("docker", "rm", "--force", "training"),),
    ),
    "name-taken": Fault(
        "a container of somebody else has the name of ours", "docker.name-free", (),
        (("docker", "create", "--name=deepseek-r1-mindie", "--network=host", IMAGE),),
        (("docker", "rm", "--force", "deepseek-r1-mindie"),),
    ),
    "weights-shard-missing": Fault(
        "one shard of the model is missing", "weights.index", (), (("mv", SHARD, PUT_AWAY),), (("mv", PUT_AWAY, SHARD),)
    ),
    "weights-shard-cut": Fault(
        "one shard of the model is cut", "weights.size", (),
        (("cp", "--preserve", SHARD, PUT_AWAY), ("truncate", "--size=-100", SHARD)), (("mv", PUT_AWAY, SHARD),),
    ),
    "tokenizer-missing": Fault(
        "the tokenizer's files are missing", "weights.tokenizer", (),
        (("mkdir", PUT_AWAY), ("mv", *TOKENIZERS, PUT_AWAY)),
        (("mv", *(f"{PUT_AWAY}/{path.rpartition('/')[2]}" for path in TOKENIZERS), MODEL_DIRECTORY),
         ("rmdir", PUT_AWAY)),
    ),
    "weights-writable": Fault(
        "others may write the model's config.json", "weights.perm", (),
        (("chmod", "o+w", f"{MODEL_DIRECTORY}/config.json"),), (("chmod", "o-w", f"{MODEL_DIRECTORY}/config.json"),),
    ),
}  # fmt: skip
