"""Faults of files, settings, ports and the container, as MindIE reports them."""

from __future__ import annotations

from mindie_deploy.mindie.fault import CONSEQUENCE, SYMPTOM, Fault

CONFIGURE = "run configure again: it writes the files with the right content, mode and owner"
VALIDATOR = "MindIE-LLM, config_manager"
FAQ = "MindIE FAQ"

CONFIGURATION_FAULTS: tuple[Fault, ...] = (
    Fault(
        "no-mindie-in-image",
        r"mindie-deploy: this image has no MindIE",
        "the image has no MindIE daemon",
        "set mindie_image to a MindIE image for 800I-A2, and mindie_version to its version",
        "launch.sh",
    ),
    Fault(
        "own-address-not-in-rank-table",
        r"(?i)npuDeviceIds?\b.{0,80}(repetitive|repeat|duplicat)",
        "this host's MIES_CONTAINER_IP is in no entry of the rank table (MindIE reports it as repeated npuDeviceIds)",
        "the host's address in the inventory (ansible_host or mindie_host_address) must be one of its own: correct it "
        "and run configure again",
        VALIDATOR + "; forum 0237181898928493060",
    ),
    Fault(
        "no-container-ip",
        r"MIES_CONTAINER_IP.{0,40}(isn't exist|not exist|not set|is empty)",
        "MIES_CONTAINER_IP is not set in the container",
        CONFIGURE,
        VALIDATOR,
    ),
    Fault(
        "rank-table-form",
        r"(?i)invalid server_count|container_?ip.{0,40}is empty|(parse|read).{0,20}rank_?table.{0,40}(fail|error)|"
        r"parameter \S+ (is invalid )?in rank_?table|rank_?table file is (invalid|not exist)|"
        r"server_count must be in|devices on single node must be|rank_id should be less than|"
        r"in rank table is not an IP address",
        "the rank table is missing, or not in MindIE's form (numbers must be text, container_ip must be there)",
        CONFIGURE,
        "MindIE-LLM, ranktable_config.cpp",
    ),
    Fault(
        "rank-table-mode",
        r"(?i)rank_?table.{0,160}(permission|owner)",
        "the rank table has a wrong mode or owner: MindIE wants at most 0640 and its own user, even as root",
        CONFIGURE,
        "MindIE-LLM, file_utils.cpp",
    ),
    Fault(
        "weights-mode",
        r"(?i)check[ _]path:? ?config\.json.{0,4}failed|failed check model config\.json",
        "config.json of the weights may be read by others, which MindIE refuses",
        "at the source and on the hosts: chmod 640 config.json in the weights directory, every directory above "
        "passable; or run the container as root",
        FAQ,
    ),
    Fault(
        "config-mode",
        r"(?i)^(?!.*check[ _]path:? ?config).*"
        r"(config\.json.{0,160}(permission|owner)|(permission|owner).{0,80}config\.json)",
        "config.json has a wrong mode or owner: MindIE wants at most 0640 and its own user, even as root",
        CONFIGURE,
        "MindIE-LLM, file_utils.cpp",
    ),
    Fault(
        "file-mode",
        r"(?i)check path:.{0,300}failed, by:.{0,80}(permission|owner)|owner id diff|the file \S+ is a link|"
        r"\bis not owned by the current user|should not be writable by others|MIE04E060102",
        "a file has a mode or owner that MindIE refuses",
        "the line names the file: weights and rendered files must not be readable or writable by others; files of the "
        "image must be as it ships them",
        "MindIE-LLM, file_utils.cpp; FaultDiag",
    ),
    Fault(
        "input-file",
        r"The input file is (empty|not a regular file)|Ranktable file path is invalid|invalid config path",
        "config.json or the rank table is missing or empty in the container",
        CONFIGURE,
        "MindIE-LLM, file_utils.cpp",
        SYMPTOM,
    ),
    Fault(
        "log-directory-mode",
        r"(?i)(mindie/log|log directory).{0,160}(permission|owned?\b|mode\b)",
        "MindIE's log directory is wider than 750 or belongs to somebody else",
        "do not mount a log directory into the container, or give it mode 750 and the container's user",
        "MindIE-LLM, log_config.cpp",
    ),
    Fault(
        "config-key",
        r"\[json\.exception|missing compulsory field|Missing value for key|The type of param \S+ should be|"
        r"[Jj]son file is invalid\. Please|JSON error in ConfigManager|"
        r"(?i:\b(tokenTimeout|e2eTimeout|distDPServerEnabled|multiNodesInferEnabled|"
        r"interNodeTLSEnabled|metricsPort)\b.{0,60}(not found|missing|not exist|type must))",
        "config.json lacks a key, or a value has the wrong type",
        "remove mindie_config_overrides of that key and run configure again",
        VALIDATOR,
    ),
    Fault(
        "one-model-entry",
        r"There should be one modelParam for Standard templateType",
        "ModelConfig has not exactly one entry",
        "remove ModelConfig from mindie_config_overrides",
        "forum",
    ),
    Fault(
        "config-range",
        r"MIE04E12[0-9A-F]{4}02|\bParameter \S+ should be (in|one of|1)\b|The size of npuDeviceIds|"
        r"Input \S+ \[[^]]*\] (format )?is invalid|"
        r"cannot be set greater than maxBatch|[Pp]ort cannot be equal to multiNodesInferPort|"
        r"(Management|Business|Metrics) port is invalid|(?i:is out of range.{0,40}config)",
        "a value in config.json is out of its range, or contradicts another",
        "the line names the key: correct its setting",
        "FaultDiag",
    ),
    Fault(
        "parallel-sizes",
        r"(?i)mapping\.py\W{1,2} line|mapping\.py.{0,300}(error|assert)|"
        r"\b(moe_)?(tp|dp|ep|cp|pp|sp)\b.{0,60}(must equal|must not exceed|cannot both be|"
        r"world_?size.{0,60}(equal|match))|"
        r"world size.{0,40}must be divisible",
        "the parallel sizes do not fit the number of NPUs",
        "dp x tp and moe_tp x moe_ep must both be the number of all NPUs; run check",
        "MindIE-LLM, mapping.py",
    ),
    Fault(
        "data-parallel-per-host",
        r"(?i)DP number per node\D{0,20}\b0\b",
        "mindie_data_parallel_size is no multiple of the number of hosts (or MindIE was given no dp)",
        "set it to 1 or a multiple of the number of hosts",
        "GPUStack issue 3551; MindIE-LLM, llm_manager_impl.cpp",
    ),
    Fault(
        "port-taken",
        r"Socket bind failed|MIE04E02[0-9A-F]{1,2}1C|(?i:address already in use|failed to listen on|"
        r"listen port is occupied)",
        "a port is taken, often by a daemon that was left over",
        "on the leader: ss -ltnp shows who holds 1025 to 1027 or 1120; stop it, or set other ports",
        FAQ,
    ),
    Fault(
        "rendezvous-port-taken",
        r"Failed to start gRPC server on port",
        "the port where followers register is taken on the leader, which would now wait for ever",
        "on the leader: ss -ltnp shows who holds mindie_multi_nodes_infer_port; stop it, or set another port",
        "MindIE-LLM, grpc_communicator.cpp",
    ),
    Fault(
        "shared-memory",
        r"MIE04E1204(07|14)|(?i:shared memory.{0,80}(not enough|insufficient|too small|less than)|/dev/shm.{0,80}"
        r"(no space|not enough))|\bBus error\b",
        "shared memory (/dev/shm) is too small or full: MindIE asks for 656 MiB for each dp group of a host",
        "with mindie_ipc host: remove left-over files from /dev/shm of the host; else raise mindie_shm_size",
        "MindIE-LLM, llm_daemon.cpp",
    ),
    Fault(
        "command-line",
        r"Unrecognized command-line argument",
        "the daemon refused its command line",
        "the image's daemon has other options: compare mindie_version with the image",
        "MindIE-LLM, llm_daemon.cpp",
    ),
    Fault(
        "certificates",
        r"(?i)\b(management|metrics)?tlsCert\b.{0,60}(not found|not exist|invalid)|MIE04E121107|"
        r"inter tls config is invalid|interNodeTls\w+ (size )?is invalid",
        "TLS is switched on without certificates",
        "set the TLS switch to false in a closed network, or give the certificates",
        FAQ,
    ),
    Fault(
        "proxy",
        r"(?i)\bproxy\b.{0,80}(refused|failed|error|407)",
        "traffic between hosts goes through a proxy",
        "remove proxy settings from the engine's configuration for containers",
        "DeepSeek-V3.2 guide",
        SYMPTOM,
    ),
    Fault(
        "pids-limit",
        r"(?i)fork rejected by pids|cgroup: fork rejected|can't start new thread|alloc pid failed",
        "the number of processes is limited",
        "raise kernel.pid_max and the limit of the engine's service on the host",
        "FaultDiag",
    ),
    Fault(
        "init-endpoint",
        r"Failed to init endpoint!",
        "the daemon refused to start; the lines before it say why",
        "read the first complaint before this line",
        "MindIE-LLM, endpoint.cpp",
        CONSEQUENCE,
    ),
    Fault(
        "crash",
        r"(?i)segmentation fault|core dumped",
        "a program crashed: often an image for another chip or architecture",
        "compare the image's tag (800I-A2) and architecture with the host",
        "users' reports",
        SYMPTOM,
    ),
    Fault(
        "libraries",
        r"undefined symbol|cannot open shared object file",
        "libraries are missing or do not match each other",
        "take an unmodified MindIE image; the host's driver must fit it (run check)",
        FAQ,
    ),
)
