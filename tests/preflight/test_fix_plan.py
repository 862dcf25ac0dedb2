"""What `fix` plans for findings: which change, on which host, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.errors import UsageError
from mindie_deploy.hosts.facts import HostFacts, NpuProcess, Unknown
from mindie_deploy.hosts.items_npu import library_path
from mindie_deploy.preflight.context import Context
from mindie_deploy.preflight.explain import explain
from mindie_deploy.preflight.finding import Unreachable
from mindie_deploy.preflight.fix_action import FixAction, FixPlan, HostPlaces
from mindie_deploy.preflight.fix_changes import require_ours
from mindie_deploy.preflight.fix_kinds import KINDS
from mindie_deploy.preflight.fix_plan import RUNS, fixable, places, plan, require_fixable
from mindie_deploy.preflight.judge import judge
from mindie_deploy.preflight.registry import FIXES, all_checks, check
from tests.preflight.builders import (
    MODEL,
    NPUS,
    cluster,
    container,
    devices,
    engine,
    healthy_host,
    hosts_of,
    overview,
    own_container,
    ports,
    settings,
    shared_memory,
    surroundings,
    weights,
)

ONE_IS_ON = {"hccn": ports(2, 5, tls=True)}
USER = {"container_user": "1001:1001"}


def planned(
    facts: Mapping[str, HostFacts | Unreachable], *ids: str, only: tuple[str, ...] | None = None, **changes: object
) -> FixPlan:
    """The plan for all findings of these hosts."""
    own = settings(**changes)
    hosts = hosts_of(facts)
    findings = judge(hosts, facts, own).findings
    return plan(findings, facts, Context(own, tuple(hosts)), ids, only)


def planned_one(*ids: str, settings: Mapping[str, object] | None = None, **changes: Any) -> FixPlan:
    """The plan for a cluster whose third host has these changes."""
    return planned(cluster(host3=healthy_host("host3", 2, **changes)), *ids, **(settings or {}))


def actions(found: FixPlan) -> list[FixAction]:
    return [action for fixes in found.hosts.values() for action in fixes.actions]


def test_a_healthy_cluster_has_nothing_to_mend() -> None:
    found = planned(cluster())
    assert (found.count, found.left) == (0, ())
    assert found.to_text() == "nothing to mend\n"


def test_the_one_switch_that_is_on_is_switched_off() -> None:
    found = planned_one(**ONE_IS_ON)
    assert list(found.hosts) == ["host3"]
    assert actions(found) == [
        FixAction(
            check_id="hccn.tls-uniform",
            kind="tls",
            target="5",
            what="TLS of NPU 5",
            before="on",
            after="off",
            command="hccn_tool -i 5 -tls -s enable 0",
            undo="hccn_tool -i 5 -tls -s enable 1",
        )
    ]
    assert found.hosts["host3"].hccn_tool == "/usr/local/Ascend/driver/tools/hccn_tool"
    assert found.hosts["host3"].libraries.startswith("/usr/local/Ascend/driver/lib64:")


def test_where_most_are_on_they_are_switched_off_too_because_the_others_may_have_no_certificate() -> None:
    facts = {
        f"host{number + 1}": healthy_host(f"host{number + 1}", number, hccn=ports(number, tls=True))
        for number in range(3)
    } | {"host4": healthy_host("host4", 3, hccn=ports(3, tls=None))}
    found = planned(facts)
    assert {name: len(fixes.actions) for name, fixes in found.hosts.items()} == {"host1": 8, "host2": 8, "host3": 8}
    assert {action.check_id for action in actions(found)} == {"hccn.tls-uniform"}


def test_tls_that_is_on_everywhere_may_be_wanted_and_is_left_unless_it_is_named() -> None:
    facts = {name: healthy_host(name, place, hccn=ports(place, tls=True)) for place, name in enumerate(("a", "b"))}
    assert planned(facts).count == 0
    assert planned(facts, "hccn.tls-off").count == 16


def test_an_unknown_switch_is_never_changed() -> None:
    found = planned_one("hccn.tls-uniform", hccn=ports(2, 5, tls=Unknown("no answer")))
    assert found.count == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine": engine(own_container())}, RUNS),
        ({"engine": engine(container("vllm", npus=(5,)))}, "NPU 5 is in use by container vllm"),
        (
            {"overview": overview(processes=(NpuProcess(5, 0, 4711, "python3", 900),))},
            "NPU 5 is in use by process 4711 (python3)",
        ),
    ],
)
def test_an_npu_in_use_is_left_as_it_is(changes: dict[str, Any], why: str) -> None:
    found = planned_one(**ONE_IS_ON, **changes)
    assert found.count == 0
    assert [(one.host, one.why) for one in found.left if one.check_id == "hccn.tls-uniform"] == [("host3", why)]


def test_a_container_on_another_npu_does_not_hinder() -> None:
    assert planned_one(**ONE_IS_ON, engine=engine(container("vllm", npus=(4,)))).count == 1


def test_a_detect_address_becomes_the_gateway() -> None:
    (action,) = actions(planned_one(hccn=ports(2, 3, netdetect=None)))
    assert (action.kind, action.before, action.after) == ("netdetect", "0.0.0.0", "29.1.3.1")
    assert action.command == "hccn_tool -i 3 -netdetect -s address 29.1.3.1"
    assert action.undo == "hccn_tool -i 3 -netdetect -s address 0.0.0.0"


@pytest.mark.parametrize("gateway", [None, "0.0.0.0", "none; reboot", Unknown("no answer")])
def test_without_a_gateway_nobody_knows_whom_to_detect(gateway: object) -> None:
    found = planned_one("hccn.netdetect", hccn=ports(2, 3, netdetect=None, gateway=gateway))
    assert found.count == 0
    assert "no gateway" in found.left[0].why


def modes(found: FixPlan) -> dict[str, tuple[str, str]]:
    return {action.target: (action.before, action.after) for action in actions(found)}


def test_files_that_others_may_write_lose_just_that() -> None:
    shard = "model-00001-of-000163.safetensors"
    held = weights()
    modes_of_files = {**held.file_modes, shard: "0666", "config.json": "0646", "notes.txt": "0666"}
    found = planned_one(weights=replace(held, file_modes=modes_of_files))
    assert modes(found) == {f"{MODEL}/{shard}": ("0666", "0664"), f"{MODEL}/config.json": ("0646", "0644")}
    assert {action.undo for action in actions(found)} == {
        f"chmod 0666 {MODEL}/{shard}",
        f"chmod 0646 {MODEL}/config.json",
    }


def test_another_user_gets_the_modes_that_mindie_asks_for_where_the_link_leads() -> None:
    held = weights(uid=1001, mode="0755", real_path="/mnt/ssd/r1")
    found = planned_one(settings=USER, weights=replace(held, file_modes={**held.file_modes, "config.json": "0644"}))
    assert modes(found) == {"/mnt/ssd/r1": ("0755", "0750"), "/mnt/ssd/r1/config.json": ("0644", "0640")}


def test_modes_of_somebody_elses_directory_are_left_with_what_to_do_first() -> None:
    found = planned_one("weights.perm", settings=USER, weights=weights(uid=7, mode="0755"))
    assert [one.host for one in found.left if "belongs to user 7: chown -R 1001:1001 it first" in one.why] == ["host3"]
    assert "host3" not in found.hosts


def test_the_mode_of_a_link_is_left_because_its_target_may_be_of_others() -> None:
    held = weights()
    links = surroundings(2, weight_links={"config.json": "/somewhere/config.json"})
    found = planned_one(
        "weights.perm",
        weights=replace(held, file_modes={**held.file_modes, "config.json": "0666"}),
        surroundings=links,
    )
    assert found.count == 0
    assert "config.json is a link to /somewhere/config.json" in found.left[0].why


def test_a_path_with_a_blank_is_quoted() -> None:
    held = weights(path="/data/my model", real_path="/data/my model", file_modes={"config.json": "0666"})
    found = planned_one("weights.perm", weights=held)
    assert actions(found)[0].command == "chmod 0664 '/data/my model/config.json'"


def test_the_group_of_a_node_may_read_and_write_it() -> None:
    changed = devices(devmm_svm={"mode": "0600"}, hisi_hdc={"mode": "0620"})
    found = planned_one("devices.svm-hdc", settings=USER, devices=changed)
    assert modes(found) == {"/dev/devmm_svm": ("0600", "0660"), "/dev/hisi_hdc": ("0620", "0660")}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"without": ("hisi_hdc",)}, "/dev/hisi_hdc does not exist"),
        ({"hisi_hdc": {"kind": "directory"}}, "/dev/hisi_hdc is a directory"),
    ],
)
def test_a_node_that_is_not_there_only_the_driver_can_make(changed: dict[str, Any], why: str) -> None:
    found = planned_one(devices=devices(**changed))
    assert found.count == 0
    assert found.left[0].why.startswith(why)


def test_a_stopped_container_of_ours_is_removed_when_it_is_named() -> None:
    ended = engine(own_container(running=False, status="exited", exit_code=137))
    assert planned_one(engine=ended).count == 0
    (action,) = actions(planned_one("docker.stopped", engine=ended))
    assert (action.kind, action.target, action.before) == ("container", "deepseek-r1-mindie", "0123456789abcdef")
    assert (action.after, action.undo) == ("absent", None)
    assert replace(action, before="ab" * 32).change == "abababababab -> absent"


@pytest.mark.parametrize(
    "other",
    [
        container("deepseek-r1-mindie", running=False, status="exited"),
        container("other", running=False, status="exited", labels={"mindie-deploy.deployment": "deepseek-r1"}),
        own_container(),
        own_container(running=False, status="restarting"),
    ],
)
def test_other_containers_are_never_removed(other: Any) -> None:
    assert planned_one("docker.stopped", engine=engine(other)).count == 0


def test_leftovers_in_shared_memory_are_removed() -> None:
    memory = shared_memory()
    left = shared_memory(10**12, "llm_backend_0").files[0]
    files = (replace(left, uid=0, size=4096), replace(left, path="/dev/shm/x llm_backend_1", uid=None))
    found = planned_one(
        settings={"ipc": "host"}, surroundings=surroundings(2, shared_memory=replace(memory, files=files))
    )
    (action,) = actions(found)
    assert (action.target, action.before) == ("/dev/shm/llm_backend_0", "4096 bytes of user 0")
    assert found.left[0].why.startswith("/dev/shm/x llm_backend_1 is no file")


def test_only_the_hosts_that_were_asked_for_are_changed() -> None:
    found = planned(cluster(host3=healthy_host("host3", 2, **ONE_IS_ON)), only=("host1", "host2"))
    assert found.count == 0


def test_a_host_without_facts_does_not_hinder_the_others() -> None:
    found = planned(cluster(host1=Unreachable("no route to host"), host3=healthy_host("host3", 2, **ONE_IS_ON)))
    assert list(found.hosts) == ["host3"]


def test_a_plan_comes_back_from_json_and_its_changes_can_be_turned_round() -> None:
    found = planned_one(**ONE_IS_ON, engine=engine(own_container(running=False, status="exited")))
    assert FixPlan.from_dict(found.to_dict()) == found
    (action,) = actions(found)
    back = action.reversed()
    assert back is not None
    assert (back.before, back.after, back.command) == ("off", "on", action.undo)
    assert back.reversed() == action
    assert replace(action, undo=None).reversed() is None
    with pytest.raises(KeyError):
        FixPlan.from_dict({"hosts": {"host1": {"actions": [{"kind": "tls"}]}}, "left": []})


def test_an_id_without_a_fix_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(UsageError) as refused:
        require_fixable(["hccn.link-up"])
    assert "hccn.tls-uniform" in refused.value.remedy and "mindie-deploy explain hccn.link-up" in refused.value.remedy
    with pytest.raises(UsageError, match=r"no check 'hccn.tls-unifrom'") as unknown:
        require_fixable(["hccn.tls-unifrom"])
    assert "did you mean hccn.tls-uniform?" in unknown.value.remedy


def test_every_fix_of_the_registry_can_be_planned_and_is_explained() -> None:
    used = {one.fix for one in all_checks().values() if one.fix}
    assert used == set(FIXES) == set(KINDS)
    for check_id in fixable():
        told = explain(check_id)
        assert told.fix == f"mindie-deploy fix {check_id}"
        assert f"mindie-deploy fix {check_id}" in " ".join(told.to_text().split())
    assert explain("hccn.link-up").fix is None


def test_a_check_cannot_name_a_fix_that_nobody_plans() -> None:
    words = dict.fromkeys(("title", "command", "why", "remedy", "source"), "x")
    with pytest.raises(ValueError, match="a fix of the kind reboot"):
        check("test.fix", severity="warn", fix="reboot", **words)(lambda host, context: ())


def test_all_eight_npus_of_a_host_are_planned_in_order() -> None:
    found = planned_one(hccn=ports(2, tls=True))
    assert [action.target for action in actions(found)] == [str(index) for index in NPUS]


def test_every_planned_change_is_known_as_ours_and_so_is_what_takes_it_back() -> None:
    found = [
        *actions(planned_one("hccn.tls-uniform", **ONE_IS_ON)),
        *actions(planned_one("weights.perm", weights=weights(mode="0777", file_modes={"config.json": "0666"}))),
    ]
    assert {one.kind for one in found} == {"tls", "mode"}
    for one in found:
        require_ours(one, settings())
        back = one.reversed()
        assert back is not None
        require_ours(back, settings())


def test_places_are_those_that_the_host_names() -> None:
    host = healthy_host("host1", 0)
    assert places(host) == HostPlaces(
        "/usr/local/Ascend/driver/tools/hccn_tool", library_path("/usr/local/Ascend"), MODEL
    )
    unknown = Unknown("no answer")
    assert places(replace(host, weights=unknown, hccn_tool=unknown)) == HostPlaces("", places(host).libraries, "")
