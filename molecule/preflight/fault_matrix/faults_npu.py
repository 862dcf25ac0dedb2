"""Faults of the NPUs, their driver and firmware."""

from __future__ import annotations

from fault_matrix.case import HOSTS, NPUS, Case, first_trip, one

# An NPU or its driver is not there: what hccn_tool and the pings say then is a consequence.
GONE: tuple[Case, ...] = (
    one("npu-lost", "npu.count", "block", npu=3),
    one("npu-off-bus", "npu.pci-count", "block", npu=0, at={"host2": ()}),
    one("virtual-npu", "npu.vnpu-off", "block", npu=2, at={"host2": ()}),
    one("npu-smi-missing", "npu.tool-present", "block"),
    one("npu-smi-directory", "npu.tool-present", "block", host="host3"),
    one("npu-smi-hang", "npu.tool-responds", "block", host="host1"),
    one("driver-not-loaded", "npu.tool-responds", "block", host="host3"),
    one("driver-modules-missing", "driver.module", "block", needs_file="/proc/modules"),
    one("device-node-missing", "devices.davinci", "block", npu=2),
    one("manager-node-missing", "devices.manager", "block"),
    one("hdc-node-missing", "devices.svm-hdc", "block", host="host3"),
    one("install-info-missing", "install-info", "block"),
)
STATE: tuple[Case, ...] = first_trip(
    one("other-chip", "npu.chip-uniform", "block", host="host3", npu=1),
    one("health-alarm", "npu.health", "block", npu=3),
    one("health-warning", "npu.health", "warn", npu=3),
    one("fault-code", "npu.health-codes", "warn", host="host1", npu=2),
    one("ecc-double", "npu.ecc", "block", npu=1),
    one("ecc-waiting", "npu.ecc", "warn", npu=1),
    one("pages-isolated", "npu.ecc", "warn", npu=2),
    one("ecc-single", "npu.ecc-single", "warn", host="host3", npu=0),
    one("half-memory", "npu.hbm-total", "block", npu=2),
    one("hbm-leak", "npu.hbm-free", "block", host="host1", npu=2),
    one("residual-process", "npu.process-residual", "block", host="host3", npu=0),
    one("busy-unseen", "npu.aicore-idle", "warn", npu=1),
    one("hot", "npu.temp", "warn", host="host1", npu=3),
    one("other-board", "npu.board-uniform", "warn", npu=0),
    one("topology-pix", "hccs.topology", "block", npu=1, at={"host2": (1, 2)}),
    one("driver-version", "driver.uniform", "block", host="host3"),
    one("driver-upgraded", "driver.uniform", "block"),
    one("driver-upgraded", "driver.files-match", "warn", hosts=HOSTS, name="driver-upgraded-everywhere"),
    one("driver-version-file-missing", "driver.version", "block"),
    one("driver-old", "driver.version", "warn", hosts=HOSTS, name="driver-old-everywhere"),
    one("firmware-incompatible", "firmware.compat", "block", host="host1", at={"host1": NPUS}),
    one("firmware-other", "firmware.version", "warn", host="host3", npu=2),
    one("management-library-missing", "driver.dcmi", "warn", host="host3"),
    one("install-incomplete", "install-info", "warn", host="host1"),
)
CASES: tuple[Case, ...] = (*GONE, *STATE)
