"""The report as a page and as JUnit XML: whole, closed, and deaf to what hosts say."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from mindie_deploy.hosts.facts import PeerPing, ReachFacts
from mindie_deploy.preflight.finding import Unreachable
from mindie_deploy.preflight.html import html
from mindie_deploy.preflight.judge import judge
from mindie_deploy.preflight.junit import junit
from mindie_deploy.preflight.registry import all_checks
from mindie_deploy.preflight.report import Report
from tests.preflight.builders import (
    GB,
    cluster,
    healthy_host,
    hosts_of,
    judged,
    overview,
    ports,
    settings,
    shared_memory,
    surroundings,
    system,
    topology,
)

HOSTILE = "</td><script>alert('\x00\x1b[31m\ufffe')</script>&\"健康"
VOID = {"meta", "line", "circle", "br"}


def faulty() -> Report:
    pings = ReachFacts((PeerPing(3, "host1", 3, "29.1.3.11", (3, 0)), PeerPing(4, "host1", 4, "a", (3, 2))), ())
    host2 = healthy_host(
        "host2", 1, hccn=ports(1, 3, net_health=HOSTILE), topology=topology(pair_3_5="PIX"), reach=pings
    )
    host3 = healthy_host("host3", 2, overview=overview(lost=(7,)), system=system(2, kernel=HOSTILE))
    return judged(cluster(4, host2=host2, host3=host3), checks_skip=["npu.temp"], checks_warn=["npu.count"])


class Closed(HTMLParser):
    """Checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> Closed:
    reader = Closed()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.mark.parametrize("report", [judged(cluster(4)), judged(cluster(1)), faulty()])
def test_a_page_is_closed_and_needs_nothing_else(report: Report) -> None:
    page = html(report)
    reader = parsed(page)

    assert "script" not in reader.tags and "link" not in reader.tags and "img" not in reader.tags
    assert not re.search(r"https?://|url\(|@import", page)
    for name in report.hosts:
        assert name in page


def test_a_page_shows_everything_that_was_found() -> None:
    report = faulty()
    text = " ".join(parsed(html(report)).text)

    for finding in (*report.findings, *report.hidden):
        assert finding.check_id in text and finding.remedy in text
    assert "0/3" in text and "2/3" in text and "PIX" in text
    assert "Skipped by mindie_checks_skip: npu.temp" in text and "Lowered by mindie_checks_warn: npu.count" in text


def test_the_page_marks_the_odd_one_out() -> None:
    page = html(judged(cluster(4, host2=healthy_host("host2", 1, system=system(1, kernel="4.19.0")))))

    assert page.count('<td class="odd">4.19.0</td>') == 1


def test_a_report_read_back_draws_the_same() -> None:
    report = faulty()

    assert html(Report.from_dict(report.to_dict())) == html(report)


def test_junit_has_a_case_for_every_check() -> None:
    suite = ElementTree.fromstring(junit(faulty()))
    cases = {case.get("name"): case for case in suite.iter("testcase")}

    assert set(all_checks()) == set(cases) and suite.get("tests") == str(len(cases))
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert suite.get("failures") == str(len(failed)) and "hccs.topology" in failed
    assert cases["npu.temp"].find("skipped") is not None
    assert cases["npu.count"].find("failure") is None and cases["npu.count"].find("system-out") is not None
    assert all(len(case) <= 3 for case in cases.values())


def test_junit_of_a_healthy_cluster_fails_nothing() -> None:
    suite = ElementTree.fromstring(junit(judged(cluster(4))))

    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "0")


def test_what_is_not_known_is_an_error_and_no_failure() -> None:
    unknown = replace(healthy_host("host2", 1), hccn={})
    suite = ElementTree.fromstring(junit(judged(cluster(2, host2=unknown), checks_warn=["hccn.tool-responds"])))

    assert int(suite.get("errors") or 0) == len(list(suite.iter("error")))


def test_many_hosts_are_rows_of_the_table_of_versions() -> None:
    few, many = (html(judged(cluster(count))) for count in (8, 9))

    assert few.count("<tr><th>kernel</th>") == 1
    assert "<th>kernel</th>" in many and "<tr><th>kernel</th>" not in many
    assert "<tr><th>host9</th>" in many


def test_junit_skips_what_others_explain() -> None:
    report = judged(
        cluster(2, host1=Unreachable("Connection refused", "no-connection"), host2=Unreachable("no", "no-connection"))
    )
    suite = ElementTree.fromstring(junit(report))

    passed = [case.get("name") for case in suite if not list(case)]
    skipped = [case.get("name") for case in suite if case.find("skipped") is not None]
    assert "npu.count" in skipped and "driver.version" in skipped
    assert "npu.count" not in passed
    assert suite.get("skipped") == str(len(skipped))


def test_a_report_of_some_hosts_says_so_everywhere() -> None:
    facts = cluster(1)
    report = replace(
        judge(hosts_of(facts), facts, settings(), left_out=("host2", "host3")), asked_at="2026-11-25T11:00:00Z"
    )

    assert "Not asked, because of --limit: host2, host3" in report.to_text()
    assert "host2, host3" in html(report) and "2026-11-25T11:00:00Z" in html(report)
    assert Report.from_dict(report.to_dict()) == report


def test_limits_that_depend_on_the_number_of_hosts_count_those_that_are_not_asked() -> None:
    own = {"data_parallel_size": 4, "tensor_parallel_size": 8}
    small = healthy_host("host1", 0, surroundings=surroundings(0, shared_memory=shared_memory(2 * GB)))
    facts = {"host1": small}
    whole, alone = (
        [one.check_id for one in judge(hosts_of(facts), facts, settings(**own), left_out=left_out).findings]
        for left_out in (("host2", "host3", "host4"), ())
    )
    assert "os.shm" not in whole
    assert "os.memory" not in whole and "os.memory" in alone
