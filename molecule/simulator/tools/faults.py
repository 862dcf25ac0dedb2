"""The named faults of a simulated host, by name: what each changes, and which check of the product should report it.

Variations of a healthy host are applied and taken back in the same way; no check should report them.
"""

from __future__ import annotations

from .fault_form import Context, Fault, FaultError, edit, placed
from .faults_hccn import HCCN_FAULTS
from .faults_host import HOST_FAULTS
from .faults_npu import NPU_FAULTS
from .faults_surroundings import SURROUNDINGS_FAULTS
from .variations import VARIATIONS

FAULTS: dict[str, Fault] = {**HCCN_FAULTS, **NPU_FAULTS, **HOST_FAULTS, **SURROUNDINGS_FAULTS, **VARIATIONS}

__all__ = ["FAULTS", "VARIATIONS", "Context", "Fault", "FaultError", "edit", "placed"]
