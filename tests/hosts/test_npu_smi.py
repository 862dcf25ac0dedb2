"""npu-smi: what npu-tool-output knows of layouts that no sample has, lost devices and failures that look like data."""

from __future__ import annotations

import pytest

from mindie_deploy.hosts import npu_counters, npu_overview, npu_smi, npu_topology, pci
from mindie_deploy.hosts.answer import Answer
from mindie_deploy.hosts.facts import EccCounts, NpuBoard, NpuOverview, NpuProcess, Unknown
from tests.hosts.samples import sample

IDLE = "info-idle-8-neutral"


def overview(text: str) -> NpuOverview:
    found = npu_overview.overview_of(text)
    assert isinstance(found, NpuOverview), found
    return found


def refused(text: str) -> str:
    found = npu_overview.overview_of(text)
    assert isinstance(found, Unknown), found
    return found.reason


def test_a_lost_device_is_missing_without_a_word() -> None:
    found = overview(sample("info-7of8").text)
    assert [npu.id for npu in found.npus] == [0, 1, 2, 4, 5, 6, 7]
    assert found.warnings == ()


def test_a_failed_read_printed_as_zero_is_not_known() -> None:
    text = sample(IDLE).text.replace("0000:C2:00.0", "0000:00:00.0").replace("3413 / 65536", "0    / 0    ")
    npu = overview(text).npus[1]
    assert (npu.bus_id, npu.hbm_used_mib, npu.hbm_total_mib) == (None, None, None)


def test_a_health_without_a_word_drops_the_first_row_and_the_others_stay_paired() -> None:
    lines = sample(IDLE).text.split("\n")
    lines = [line for line in lines if not line.startswith("| 3     910B3")]
    found = overview("\n".join(lines))
    assert [npu.id for npu in found.npus] == [0, 1, 2, 4, 5, 6, 7]
    assert [npu.bus_id for npu in found.npus][3] == "0000:01:00.0"
    assert "0000:82:00.0" in found.warnings[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("| OK            | 92.1", "| Fine          | 92.1"), "no known form"),
        (("| OK            | 92.1", "| ok            | 92.1"), "no known form"),
        (("3400 / 65536", "3400 of 65536"), "no known form"),
        (("| 1     910B3", "| 0     910B3"), "appears twice"),
        (("Bus-Id", "Bus"), "a heading of no known form"),
    ],
)
def test_a_row_of_no_known_form_makes_the_table_unreadable(change: tuple[str, str], reason: str) -> None:
    assert reason in refused(sample(IDLE).text.replace(*change, 1))


def test_a_cut_row_makes_the_table_unreadable() -> None:
    text = sample(IDLE).text
    assert "cut off" in refused(text[: text.index("3408 / 65536")])
    first_row_only = text[: text.index("| 0                         | 0000:82:00.0")]
    assert "in the middle of NPU 3" in refused(first_row_only)


def test_two_tables_in_one_answer_are_none() -> None:
    assert "two tables" in refused(sample(IDLE).text * 2)


def test_an_answer_that_was_cut_by_us_or_failed_is_unknown() -> None:
    text = sample(IDLE).text
    assert isinstance(npu_overview.overview(Answer(0, text, truncated=True)), Unknown)
    assert isinstance(npu_overview.overview(Answer(1, text)), Unknown)


def test_processes_with_a_pid_in_the_container_and_an_empty_name() -> None:
    text = sample("info-nameless-process").text
    text = text.replace("| Process memory(MB)      |", "| Process memory(MB) | Process id in container |")
    text = text.replace("| 15000                   |", "| 15000 | 12 |")
    assert overview(text).processes == (NpuProcess(4, 0, 55101, "", 15000),)


def test_a_missing_process_block_is_not_no_process() -> None:
    assert overview(sample("info-24.1.rc1.b030-910B3-8npu").text).processes is None
    assert overview(sample(IDLE).text).processes == ()


def test_an_elided_process_block_says_what_it_leaves_out() -> None:
    text = sample(IDLE).text.replace("| No running processes found in NPU 5 ", "| x ")
    assert "the process block says nothing about NPU 5" in overview(text).warnings


def test_the_ascend_950_table_has_the_id_in_a_cell_of_its_own() -> None:
    """Form from print_total_info_header_950 of the public source; no capture is known."""
    text = """
+-------------------------------------------------------------------------------------------------+
| npu-smi 26.1.0                                   Version: 26.1.0                                |
+--------+------------------+---------------+-----------------------------------------------------+
| NPU ID | Name             | Health        | Power(W)    Temp(C)           Hugepages-Usage(page) |
|        |                  | Bus-Id        | NPU Util(%) Memory-Usage(MB)  HBM-Usage(MB)         |
+========+==================+===============+=====================================================+
| 0      | Ascend950PR      | OK            | 100.5       40                0     / 0             |
|        |                  | 0000:C1:00.0  | 7           0    / 0          3400  / 114688        |
+========+==================+===============+=====================================================+
+---------------------------+---------------+-----------------------------------------------------+
| NPU ID                    | Process id    | Process name             | Process memory(MB)       |
+===========================+===============+=====================================================+
| 0                         | 4711          | python3                  | 100                      |
+===========================+===============+=====================================================+
"""
    found = overview(text)
    npu = found.npus[0]
    assert (npu.id, npu.chip, npu.name, npu.aicore_percent, npu.hbm_total_mib) == (0, 0, "Ascend950PR", 7, 114688)
    assert found.processes == (NpuProcess(0, 0, 4711, "python3", 100),)


def test_board_is_of_the_npu_that_was_asked_for() -> None:
    answer = sample("board-compat-ok-0").answer
    found = npu_smi.board(answer, 0)
    assert isinstance(found, NpuBoard)
    assert (found.pci_device_id, found.subsystem_id, found.product_name) == ("0xD802", "0x4000", None)
    assert isinstance(npu_smi.board(answer, 1), Unknown)
    assert isinstance(npu_smi.board(Answer(0, answer.stdout * 2), 0), Unknown)


def test_status_zero_without_data_is_a_failure() -> None:
    head = "\tNPU ID                         : 0\n\tChip Count                     : 1\n\n"
    for text in ("This device does not support querying ecc.\n", head + "Failed to query npu chip: 0 info.\n", head):
        assert isinstance(npu_counters.counters(Answer(0, text), "npu-smi info -t ecc"), Unknown)


def test_counters_of_two_chips_do_not_mix() -> None:
    text = sample("usages-busy-2").text
    second = (
        text.split("\n\n", 1)[1].replace(": 93", ": 12").replace("Chip ID                        : 0", "Chip ID : 1")
    )
    found = npu_counters.counters(Answer(0, text + second), "npu-smi info -t usages")
    assert not isinstance(found, Unknown), found
    assert {chip: values["HBM Usage Rate(%)"] for chip, values in found.chips.items()} == {0: 93, 1: 12}


def test_no_process_on_an_npu_is_an_answer() -> None:
    text = "\tNPU ID : 3\n\tChip Count : 1\n\n\tNo process in device.\n\tChip ID : 0\n"
    assert npu_counters.processes(Answer(0, text), 3) == ()


def test_health_na_is_no_code() -> None:
    text = "\tHealth Status : OK\n\tError Code : NA\n\tError Information : NA\n"
    assert npu_smi.error_codes(Answer(0, text)) == ()
    assert isinstance(npu_smi.error_codes(Answer(0, text.replace("NA", "busy"))), Unknown)


def test_topology_takes_a_blank_cell_for_an_unknown_pair() -> None:
    lines = sample("topo-xlink").text.split("\n")
    lines[2] = lines[2][:33] + " " * 11 + lines[2][44:]  # the pair (1, 2)
    found = npu_topology.links(Answer(0, "\n".join(lines)))
    assert not isinstance(found, Unknown), found
    assert found[(1, 2)] == "NA" and found[(2, 1)] == "XLink"


def test_topology_that_lacks_a_row_or_is_shifted_is_unknown() -> None:
    text = sample("topo-all-hccs-default").text
    assert isinstance(npu_topology.links(Answer(0, "\n".join(text.split("\n")[:6]))), Unknown)
    shifted = text.replace("NPU3       HCCS       HCCS", "NPU3       HCCS", 1)
    assert isinstance(npu_topology.links(Answer(0, shifted)), Unknown)


def test_topology_reads_words_of_other_products() -> None:
    rows = (
        "\t   NPU0       NPU1       CPU Affinity",
        "NPU0       X          HCCS_SW    0-23",
        "NPU1       SIO        X",
    )
    text = "\n".join(rows)
    assert npu_topology.links(Answer(0, text)) == {(0, 1): "HCCS_SW", (1, 0): "SIO"}


def test_bit_errors_are_those_of_the_memory_of_the_npu_asked_for() -> None:
    assert npu_counters.ecc(sample("ecc-zero-0").answer, 0) == EccCounts(0, 0, 0, 0, 0)
    single = npu_counters.ecc(sample("ecc-single-4").answer, 4)
    assert isinstance(single, EccCounts) and single.single > 0 and single.double == 0
    assert isinstance(npu_counters.ecc(sample("ecc-zero-0").answer, 3), Unknown)
    assert isinstance(npu_counters.ecc(sample("ecc-not-supported-chip-0").answer, 0), Unknown)


def test_cards_on_the_bus() -> None:
    six = pci.bus(sample("lspci-d802-6of8").answer)
    assert isinstance(six, dict) and len(six) == 6 and set(six.values()) == {"d802"}
    without_names = pci.bus(Answer(0, "c1:00.0 Processing accelerators: Device 19e5:d802 (rev 20)\n"))
    assert without_names == {"c1:00.0": "d802"}
    by_number = "c1:00.0 1200: 19e5:d802 (rev 20)\n0000:c2:00.0 1200: 19e5:d802\n7d:00.0 Class 0c03: 19e5:a23b\n"
    assert pci.bus(Answer(0, by_number)) == {"c1:00.0": "d802", "c2:00.0": "d802"}
    assert pci.bus(Answer(0, "0001:c1:00.0 Class 1200: 19e5:d803 (rev 20)\n")) == {"0001:c1:00.0": "d803"}
    assert pci.bus(Answer(0, "")) == {}
    for text in ("c1.00 strange d802 form\n", "<html>\n", "未找到命令\n", f"{by_number}c8:0\n"):
        assert isinstance(pci.bus(Answer(0, text)), Unknown)
    assert isinstance(pci.bus(Answer(1, "", "lspci: Cannot open /proc/bus/pci")), Unknown)
