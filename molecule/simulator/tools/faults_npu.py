"""Named faults of the NPUs, their driver and firmware."""

from __future__ import annotations

from .fault_form import Context, Fault

SHOW_MODULES = ("python3", "-B", "/opt/simulator/tools/host_fault.py")
MODULES = "/proc/modules"
LIBRARY = "/usr/local/dcmi/libdcmi.so"
# Where the kernel has a list of modules it is the machine's, in which there is no NPU driver.
DRIVER_MODULES = "drv_pcie_host 81920 0 - Live 0x0000000000000000\ndrv_devmm_host 253952 0 - Live 0x0000000000000000\n"
OTHER_MODULES = "ext4 1017856 2 - Live 0x0000000000000000\noverlay 159744 0 - Live 0x0000000000000000\n"


def next_npu(context: Context) -> list[int]:
    """The NPU and its neighbour by id."""
    ids = sorted(npu["id"] for npu in context.states[context.host]["npus"])
    return [context.npu, ids[(ids.index(context.npu) + 1) % len(ids)]]


NPU_FAULTS: dict[str, Fault] = {
    "npu-lost": Fault("one NPU does not answer: seven are left", "npu.count", (("npus.{npu}.lost", True),)),
    "health-alarm": Fault(
        "one NPU is in health Alarm with an error code", "npu.health",
        (("npus.{npu}.health", "Alarm"),
         ("npus.{npu}.error_codes", [{"code": "80E01801", "text": "node type=HBM, sensor type=Memory, event state="
                                      "uncorrectable ECC"}])),
    ),
    "health-warning": Fault("one NPU is in health Warning", "npu.health", (("npus.{npu}.health", "Warning"),)),
    "hot": Fault("one NPU has 98 degrees", "npu.temp", (("npus.{npu}.temperature_c", 98),)),
    "ecc-double": Fault("one NPU has counted double bit errors", "npu.ecc",
                        (("npus.{npu}.ecc.double", 2), ("npus.{npu}.ecc.double_isolated", 1))),
    "hbm-leak": Fault("memory of one NPU is held, and no process is shown", "npu.hbm-free",
                      (("npus.{npu}.hbm_used_mib", 58765),)),
    "residual-process": Fault(
        "a process left over from an earlier start holds memory of one NPU", "npu.process-residual",
        (("foreign_processes+", lambda context: {"npu": context.npu, "mib": 56470, "name": "mindie_llm_back"}),),
    ),
    "other-chip": Fault("one NPU is a 910B2", "npu.chip-uniform", (("npus.{npu}.chip_name", "910B2"),)),
    "driver-version": Fault(
        "the host has an older driver than the others", "driver.uniform",
        (("driver.version", "24.1.rc3"), ("driver.compatible_firmware", [["7.0.0", "7.8.99"]])),
    ),
    "driver-not-loaded": Fault(
        "the driver finds no device", "npu.tool-responds", (("driver.loaded", False),),
        ((*SHOW_MODULES, "offer", MODULES, DRIVER_MODULES),), ((*SHOW_MODULES, "restore", MODULES),),
    ),
    "driver-modules-missing": Fault(
        "the kernel modules of the driver are not loaded", "driver.module", (("driver.loaded", False),),
        ((*SHOW_MODULES, "show", MODULES, OTHER_MODULES),), ((*SHOW_MODULES, "restore", MODULES),),
    ),
    "driver-upgraded": Fault("the driver was upgraded without a reboot", "driver.files-match",
                             (("driver.file_version", "25.5.0"),)),
    "firmware-incompatible": Fault(
        "the driver accepts newer firmware only", "firmware.compat",
        (("driver.compatible_firmware", [["8.0.0", "8.9.99"]]), ("firmware.compatible_driver", [["24.1", "24.1."]])),
    ),
    "npu-smi-missing": Fault("npu-smi is not there", "npu.tool-present", (("npu_smi.is", "missing"),)),
    "npu-smi-directory": Fault("npu-smi is a directory left by a container bind", "npu.tool-present",
                               (("npu_smi.is", "directory"),)),
    "npu-smi-hang": Fault("npu-smi never answers", "npu.tool-responds",
                          (("tools+", {"tool": "npu-smi", "hang": True}),)),
    "device-node-missing": Fault(
        "the device node of one NPU is not there", "devices.davinci",
        (("files.devices.missing+", lambda context: f"davinci{context.npu}"),),
    ),
    "topology-pix": Fault(
        "two NPUs are linked by a PCIe switch only", "hccs.topology",
        (("topology.pairs+", lambda context: {"npus": next_npu(context), "link": "PIX"}),),
    ),
    "npu-off-bus": Fault(
        "one NPU is gone from the PCI bus", "npu.pci-count", (("npus.{npu}.lost", True), ("npus.{npu}.pci", False)),
    ),
    "virtual-npu": Fault(
        "one NPU is split: npu-smi shows a virtual one", "npu.vnpu-off",
        (("npus+", lambda context: {"id": 100 + context.npu, "bus_id": context.npu_state()["bus_id"],
                                    "hbm_total_mib": 32768, "pci": False}),),
    ),
    "fault-code": Fault(
        "one NPU reports a code while its health is OK", "npu.health-codes",
        (("npus.{npu}.error_codes", [{"code": "80CB8009", "text": "node type=L2BUFF, sensor type=Memory, event state="
                                      "multi-bit ECC alarm"}]),),
    ),
    "ecc-single": Fault("one NPU has counted many corrected errors", "npu.ecc-single",
                        (("npus.{npu}.ecc.single", 5000), ("npus.{npu}.ecc.single_total", 5000))),
    "ecc-waiting": Fault("pages of one NPU wait to be isolated", "npu.ecc", (("npus.{npu}.ecc.double_next", 1),)),
    "half-memory": Fault("one NPU has 32 GiB", "npu.hbm-total", (("npus.{npu}.hbm_total_mib", 32768),)),
    "busy-unseen": Fault("one NPU computes, and no process is shown", "npu.aicore-idle",
                         (("npus.{npu}.aicore_percent", 37),)),
    "driver-old": Fault("the host has a driver of 2023", "driver.version",
                        (("driver.version", "23.0.rc3"), ("firmware.version", "7.1.0.1.220"))),
    "driver-version-file-missing": Fault("driver/version.info is missing", "driver.version",
                                         (("driver.version_file", False),)),
    "firmware-other": Fault("one NPU has older firmware than the others", "firmware.version",
                            (("npus.{npu}.firmware_version", "7.5.0.3.220"),)),
    "manager-node-missing": Fault("/dev/davinci_manager is not there", "devices.manager",
                                  (("files.devices.missing+", "davinci_manager"),)),
    "hdc-node-missing": Fault("/dev/hisi_hdc is not there", "devices.svm-hdc",
                              (("files.devices.missing+", "hisi_hdc"),)),
    "other-board": Fault("one NPU is on a board of another kind", "npu.board-uniform",
                         (("npus.{npu}.subsystem_id", "0x3000"),)),
    "management-library-missing": Fault(
        "libdcmi.so is not there", "driver.dcmi", (),
        (("mv", LIBRARY, f"{LIBRARY}.away"),), (("mv", "-f", f"{LIBRARY}.away", LIBRARY),),
    ),
    "pages-isolated": Fault("pages of one NPU were isolated for double bit errors of an earlier day", "npu.ecc",
                            (("npus.{npu}.ecc.double_isolated", 3),)),
    "install-info-missing": Fault("/etc/ascend_install.info is missing", "install-info",
                                  (("files.install_info.present", False),)),
    "install-incomplete": Fault("the driver's installation did not end", "install-info",
                                (("driver.install_status", "incomplete"),)),
}  # fmt: skip
