"""The report: its forms, its order, and what the settings of the checks do to it."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from mindie_deploy.errors import UsageError
from mindie_deploy.hosts.facts import Unknown
from mindie_deploy.preflight.catalogue import catalogue
from mindie_deploy.preflight.explain import explain
from mindie_deploy.preflight.finding import Finding, Unreachable, numbers_text, places_text
from mindie_deploy.preflight.registry import Check, all_checks, causes_of, check
from mindie_deploy.preflight.report import Report
from tests.preflight.builders import (
    UNKNOWN,
    cluster,
    driver,
    finding,
    healthy_host,
    ids,
    judged,
    npu,
    only,
    overview,
    ports,
    surroundings,
)


def faulty() -> Report:
    """A cluster with a bit of everything."""
    warm = overview(npu1=npu(1, health="Warning"))
    return judged(
        cluster(
            host1=healthy_host("host1", 0, image=None),
            host2=healthy_host("host2", 1, hccn=ports(1, 5, link_up=False), overview=warm),
            host3=healthy_host("host3", 2, install_info=UNKNOWN, driver=driver("25.0.rc1")),
            host4=Unreachable("Permission denied (publickey).", "authentication"),
        ),
        checks_skip=["npu.temp"],
        checks_warn=["docker.image"],
    )


def test_the_json_form_goes_there_and_back() -> None:
    report = faulty()
    sent = json.loads(json.dumps(report.to_dict()))

    assert Report.from_dict(sent) == report
    assert Report.from_dict(sent).to_text() == report.to_text()


@pytest.mark.parametrize("broken", [{"format": 2}, {"verdict": "fine"}, {"hosts": []}, {"findings": [{"id": "x"}]}])
def test_another_form_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Report.from_dict({**faulty().to_dict(), **broken})


def test_the_verdict_is_the_gravest_finding() -> None:
    assert judged(cluster()).verdict == "ok"
    warned = judged(cluster(host1=healthy_host("host1", 0, overview=overview(npu1=npu(1, health="Warning")))))
    assert warned.verdict == "warn"
    assert faulty().verdict == "block"


def test_unknown_of_a_blocking_check_blocks_and_is_told_apart() -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, install_info=Unknown("the file does not exist"))))

    found = only(report)
    assert (report.verdict, found.kind, report.unknown) == ("block", "unknown", (found,))
    assert "Run the command by hand" in found.remedy and "mindie_checks_warn" in found.remedy
    assert report.to_dict()["unknown"] == [{"check_id": "install-info", "severity": "block", "where": "host3"}]


def test_a_skipped_check_is_not_run_and_the_report_says_so() -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, image=None)), checks_skip=["docker.image"])

    assert report.verdict == "ok"
    assert report.skipped == ("docker.image",)
    assert "Skipped by mindie_checks_skip: docker.image" in report.to_text()


def test_a_lowered_check_warns_and_the_report_says_so() -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, image=None)), checks_warn=["docker.image"])

    assert (report.verdict, only(report).severity, only(report).lowered) == ("warn", "warn", True)
    assert report.lowered == ("docker.image",)
    assert "(lowered by mindie_checks_warn)" in report.to_text()


def test_missing_evidence_can_be_let_pass_by_id() -> None:
    report = judged(cluster(host3=healthy_host("host3", 2, topology=UNKNOWN)), checks_warn=["hccs.topology"])

    assert (report.verdict, only(report).kind) == ("warn", "unknown")


def test_an_id_that_does_not_exist_is_pointed_out() -> None:
    report = judged(cluster(), checks_skip=["hccn.linkup"], checks_warn=["host.unreachable"])

    found = only(report)
    assert (found.check_id, found.where) == ("settings.check-ids", "cluster")
    told = [evidence.says for evidence in found.evidence]
    assert told[0] == "mindie_checks_skip: there is no check hccn.linkup; did you mean hccn.link-up?"
    assert told[1] == "mindie_checks_warn: host.unreachable is always judged"
    assert (report.skipped, report.lowered) == ((), ())


def test_what_is_gravest_comes_first_and_the_known_before_the_unknown() -> None:
    found = [(one.severity, one.kind) for one in faulty().findings]

    order = {"block": 0, "warn": 1, "info": 2}
    assert found == sorted(found, key=lambda one: (order[one[0]], one[1] != "fail"))


def test_the_same_facts_give_the_same_text() -> None:
    assert faulty().to_text() == faulty().to_text()


def test_the_text_says_what_where_why_and_what_to_do() -> None:
    text = faulty().to_text()

    assert text.splitlines()[0] == "Check of deepseek-r1: BLOCK, a launch would fail or is not proven to work"
    assert "BLOCK  hccn.link-up: the RoCE link of an NPU is down" in text
    assert "  where    host2: NPU 5" in text
    assert "  seen     hccn_tool -i N -link -g: link status: DOWN" in text
    assert "  do       Check cable," in text
    assert "BLOCK (not known)  install-info: could not tell whether" in text
    assert "7/8 !" in text and "25.0.rc1 !" in text
    assert max(len(line) for line in text.splitlines()) <= 130  # the table may be wider than the rest
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("host"))


def test_text_of_a_broken_host_cannot_move_the_cursor() -> None:
    hostile = Unreachable("\x1b[2J\x1b[31mnothing\r\nhappened\x07", "other")

    text = judged(cluster(host2=hostile)).to_text()

    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert "nothing" in text


def test_a_long_list_of_evidence_is_cut_in_the_text_only() -> None:
    hccn = {index: replace(port, address=f"10.1.{index}.300") for index, port in ports(2).items()}
    report = judged(cluster(host3=healthy_host("host3", 2, hccn=hccn)))

    assert "and 2 more" in report.to_text()
    assert len(finding(report, "hccn.ip-present").evidence) == 8


def test_places_are_told_compactly() -> None:
    assert places_text({"host3": (5,), "host4": tuple(range(8))}) == "host3: NPU 5; host4: NPU 0-7"
    assert places_text({"host1": (), "host2": (), "host3": (1, 2, 4)}) == "host1, host2; host3: NPU 1-2, 4"
    assert numbers_text([]) == "" and numbers_text([3, 1, 2, 2, 9]) == "1-3, 9"


def test_64_hosts_are_judged_at_once() -> None:
    report = judged(cluster(60, host7=healthy_host("host7", 6, hccn=ports(6, 2, tls=True))))

    assert only(report).where == "host7: NPU 2"


def test_every_check_explains_itself() -> None:
    for check_id, one in all_checks().items():
        told = explain(check_id)
        assert told.id == check_id and told.title and told.why.endswith(".")
        assert not one.title.endswith(".") and one.source and one.command
        assert check_id in told.to_text() and json.dumps(told.to_dict())


def test_explain_knows_the_nearest_id() -> None:
    with pytest.raises(UsageError) as caught:
        explain("hccn.linkup")

    assert "hccn.link-up" in caught.value.remedy


def test_causes_come_before_what_they_cause() -> None:
    order = {check_id: place for place, check_id in enumerate(all_checks())}

    for one in all_checks().values():
        assert all(order[cause] < order[one.id] for cause in causes_of(one))


def test_a_declaration_that_cannot_be_right_is_refused() -> None:
    def declare(check_id: str, needs: tuple[str, ...]) -> None:
        check(check_id, title="t", severity="info", command="c", why="w.", remedy="r.", source="s", needs=needs)(
            lambda host, context: ()
        )

    with pytest.raises(ValueError, match="two checks are named npu"):
        declare("npu.count", ())
    with pytest.raises(ValueError, match="which is no fact"):
        declare("npu.new", ("hccn.colour",))
    assert "npu.new" not in all_checks()


def test_the_page_of_all_checks_is_current() -> None:
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "checks.md"

    assert page.read_text(encoding="utf-8") == catalogue(), "run python -m mindie_deploy.preflight.catalogue"


def test_the_page_of_the_json_form_names_every_field() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "check-report.md").read_text(encoding="utf-8")
    report = faulty().to_dict()
    one: Finding = faulty().findings[0]

    for name in (*report, *one.to_dict(), *one.evidence[0].to_dict(), *dict(report["hosts"])["host1"]):  # type: ignore[call-overload]
        assert f"`{name}`" in page, name


def test_any_mixture_of_missing_evidence_gives_a_report() -> None:
    """Facts are typed, so what can go wrong is any of them missing, in any combination."""
    chance = random.Random(20)
    fields = [
        name
        for name in vars(healthy_host())
        if name not in ("name", "boards", "npu_error_codes", "hccn", "disks", "ecc", "surroundings")
    ]
    for _ in range(60):
        changes: dict[str, object] = {name: UNKNOWN for name in fields if chance.random() < 0.3}
        changes |= {name: {} for name in ("boards", "npu_error_codes", "hccn", "disks", "ecc") if chance.random() < 0.3}
        around = {name: UNKNOWN for name in vars(surroundings()) if chance.random() < 0.3}
        changes["surroundings"] = surroundings(1, **around)
        report = judged(cluster(host2=healthy_host("host2", 1, **changes)), weights_source="controller:/r1")

        assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
        assert report.to_text() and set(ids(report)) <= set(all_checks())
        if changes:
            assert {host for one in report.findings for host in one.hosts} <= {"host2"}


def test_a_check_is_frozen() -> None:
    one: Check = all_checks()["npu.count"]

    with pytest.raises(AttributeError):
        one.severity = "info"  # type: ignore[misc]
