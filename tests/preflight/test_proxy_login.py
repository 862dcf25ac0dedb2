"""No report shows the login of a proxy, also not of facts that an older version has saved."""

from __future__ import annotations

import json

import pytest

from mindie_deploy.preflight.html import html
from tests.preflight.builders import cluster, healthy_host, judged, surroundings


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://bob:geheim@proxy:3128/", "httpProxy proxy:3128"),
        ("http://bob:ge@heim@proxy:3128", "httpProxy proxy:3128"),
        ("bob:geheim/heim@proxy.example:3128", "httpProxy proxy.example:3128"),
        (r"http:\/\/bob:geheim@proxy:3128\/", "httpProxy proxy:3128"),
        ("http://bob:geheim@[fd00::1]:3128", "httpProxy [fd00::1]:3128"),
        ("proxy", "httpProxy proxy"),
        ("http://bob:geheim heim@", "httpProxy"),
        ("geheim heim", "httpProxy"),
    ],
)
def test_only_its_host_is_shown(address: str, says: str) -> None:
    around = surroundings(2, proxies={"httpProxy": address, "noProxy": "x:geheim@y"})
    report = judged(cluster(host3=healthy_host("host3", 2, surroundings=around)))

    (finding,) = report.findings
    assert (finding.check_id, finding.severity) == ("docker.proxy", "info")
    assert finding.evidence[0].says == f"{says}; noProxy does not name all hosts"
    for text in (report.to_text(), html(report), json.dumps(report.to_dict())):
        assert "heim" not in text and "bob" not in text
