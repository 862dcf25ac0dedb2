"""What is wrong with the weights of which host, where, and what mends it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mindie_deploy.weights.manifest import ManifestError
from mindie_deploy.weights.scan import Scan
from mindie_deploy.weights.source import parse_source
from mindie_deploy.weights.verify import verify
from mindie_deploy.weights.verify_report import WeightsFinding, WeightsReport
from mindie_deploy.weights.verify_text import manifest_text, status_text, sums_text, verify_text
from tests.weights.scans import PATH, SHARDS, digest, good_files, manifest_of, scan

KEPT = manifest_of(good_files())
FROM_CONTROLLER = "controller:/data/models/DeepSeek-R1-BF16"


def kept(files: dict[str, bytes] | None = None, **changes: Any) -> Scan:
    """Returns the scan of a host on which a sync left the manifest of the good files."""
    return scan(files, manifest=KEPT.to_dict(), **changes)


def judged(source: str = FROM_CONTROLLER, mode: Any = "stat", **scans: Scan) -> WeightsReport:
    return verify(scans, parse_source(source), mode)


def finding(report: WeightsReport, finding_id: str) -> WeightsFinding:
    return next(one for one in report.findings if one.id == finding_id)


def flipped(name: str = SHARDS[1]) -> dict[str, bytes]:
    content = good_files()[name]
    return {**good_files(), name: bytes([content[0] ^ 1]) + content[1:]}


def without(*names: str) -> dict[str, bytes]:
    return {name: content for name, content in good_files().items() if name not in names}


def as_seen(scanned: Scan, name: str, sha256: str | None) -> Scan:
    return replace(scanned, files={**scanned.files, name: replace(scanned.files[name], sha256=sha256)})


def test_hosts_that_have_everything_agree() -> None:
    report = judged(host1=kept(), host2=kept())
    assert (report.findings, report.agree, report.manifest) == ((), True, KEPT)
    assert report.origin == "which a sync left on host1"
    text = verify_text(report)
    assert "OK: all 2 hosts have the weights, proven by size and remembered proofs" in text
    assert "missing" not in text, "columns of zeros are left out"
    assert f"signature of the manifest: {KEPT.digest} (all hosts agree)" in status_text(report)


def test_without_a_manifest_the_proofs_of_the_first_whole_host_count() -> None:
    report = judged(host1=scan(read=False), host2=scan(), host3=scan(flipped()))
    assert report.origin == "made of what is proven on host2"
    assert finding(report, "weights-unproven").hosts == ("host1",)
    assert finding(report, "weights-broken").hosts == ("host3",)
    assert not report.agree


def test_where_nobody_has_read_anything_nothing_is_proven() -> None:
    report = judged(host1=scan(read=False), host2=scan(read=False))
    assert report.manifest is None
    found = finding(report, "weights-no-manifest")
    assert (found.severity, found.hosts) == ("block", ("host1", "host2"))
    assert "were not read yet" in found.message
    assert "weights verify --full" in found.remedy
    assert "no manifest is known" in verify_text(report)


def test_a_missing_file_and_an_absent_directory() -> None:
    report = judged(host1=kept(), host2=kept(without(SHARDS[0])), host3=scan({}))
    missing = finding(report, "weights-missing")
    assert (missing.hosts, missing.severity) == (("host2",), "block")
    assert missing.message == f"1 of 7 files are missing: {SHARDS[0]}"
    assert "mindie-deploy sync brings only what is wrong or missing" in missing.remedy
    assert PATH in finding(report, "weights-absent").message
    assert not any(one.id == "model-shard-missing" for one in report.findings), "it is told once"
    assert report.hosts["host3"].missing == tuple(entry.name for entry in KEPT.files)


def test_broken_pieces_are_told_by_shard_and_offset() -> None:
    places = ((0, 8), (16, 8), (32, 8), (64, 8), (128, 3))
    broken = kept(flipped(), broken={SHARDS[1]: [list(place) for place in places]})
    report = judged(mode="full", host1=kept(), host2=broken)
    found = finding(report, "weights-broken")
    assert found.hosts == ("host2",)
    assert f"{SHARDS[1]}: bytes 0 to 7, bytes 16 to 23" in found.message
    assert "and 1 more (35 bytes of" in found.message
    assert report.hosts["host2"].broken == {SHARDS[1]: places}


def test_what_a_sample_found_is_wrong_although_its_sha256_is_not_known() -> None:
    sampled = dict.fromkeys(good_files(), 1)
    broken = as_seen(kept(broken={SHARDS[0]: [[0, 8]]}, sampled=sampled, seed="s1"), SHARDS[0], None)
    report = judged(mode="sample", host1=kept(sampled=sampled, seed="s2"), host2=broken)
    assert report.hosts["host2"].differing == (SHARDS[0],)
    assert "bytes 0 to 7" in finding(report, "weights-broken").message


def test_a_wrong_size_and_a_difference_of_which_no_pieces_are_known() -> None:
    files = {**flipped(), "config.json": b"{}"}
    message = finding(judged(host1=kept(), host2=kept(files)), "weights-broken").message
    assert "config.json: it has 2 bytes instead of 33" in message
    assert f"{SHARDS[1]}: its sha256 is {digest(files[SHARDS[1]])[:16]}... instead of" in message


def test_a_host_that_keeps_an_older_manifest_is_not_called_broken_by_it() -> None:
    older = manifest_of(flipped())
    right = scan(manifest=older.to_dict(), broken={SHARDS[1]: [[0, 8]]})
    report = judged(host1=kept(), host2=right)
    assert report.hosts["host2"].right
    found = finding(report, "weights-other-manifest")
    assert (found.severity, found.hosts) == ("warn", ("host2",))
    assert not report.blocking
    assert not report.agree


def test_rot_without_a_manifest_does_not_become_the_manifest() -> None:
    rotten = scan(flipped(), broken={SHARDS[1]: [[0, 8]]})
    alone = judged(mode="full", host1=rotten)
    assert alone.manifest is None
    assert {one.id for one in alone.blocking} == {"weights-broken", "weights-no-manifest"}
    both = judged(mode="full", host1=rotten, host2=scan())
    assert both.origin == "made of what is proven on host2"
    assert both.hosts["host2"].right


def test_files_that_were_touched_are_unproven() -> None:
    found = finding(judged(host1=kept(), host2=as_seen(kept(), SHARDS[0], None)), "weights-unproven")
    assert (found.severity, found.hosts) == ("block", ("host2",))
    assert SHARDS[0] in found.message
    assert "mindie-deploy sync reads only these files" in found.remedy


def test_unreadable_extra_and_left_files() -> None:
    host = kept({**good_files(), "notes.txt": b"x"}, incoming={"y": 5}, unreadable={"config.json": "bad\x1b[31m"})
    report = judged(host1=as_seen(host, "config.json", None))
    assert "config.json (bad?[31m)" in finding(report, "weights-unreadable").message
    assert finding(report, "weights-extra").severity == "info"
    assert "5 bytes of 1 files" in finding(report, "weights-left").message
    assert not any(one.id == "weights-unproven" for one in report.findings)


def test_a_sample_that_could_read_nothing_proves_nothing() -> None:
    some = kept(sampled={SHARDS[0]: 10}, unsampled=[SHARDS[1]], seed="abc")
    report = judged(mode="sample", host1=some)
    assert finding(report, "weights-unsampled").severity == "warn"
    assert "some pieces of each were read (seed abc)" in verify_text(report)
    none = judged(mode="sample", host1=kept(unsampled=list(good_files())))
    assert finding(none, "weights-unsampled").severity == "block"


def test_a_seed_is_told_when_it_repeats_the_sample_of_all_hosts() -> None:
    one, other = kept(sampled={SHARDS[0]: 1}, seed="a"), kept(sampled={SHARDS[0]: 1}, seed="b")
    assert judged(mode="sample", host1=one, host2=one).seed == "a"
    assert judged(mode="sample", host1=one, host2=other).seed == ""


def test_without_a_source_the_remedy_is_the_hosts_that_have_it_right() -> None:
    found = finding(judged("", host1=kept(), host2=kept(flipped())), "weights-broken")
    assert "no source is set" in found.remedy
    assert "mindie_weights_source: hosts" in found.remedy
    nowhere = finding(judged("", host1=kept(flipped()), host2=kept(flipped())), "weights-broken")
    assert f"no host has {SHARDS[1]} right" in nowhere.remedy
    assert nowhere.hosts == ("host1", "host2")


def test_a_source_that_is_itself_broken_is_no_remedy() -> None:
    scans = {"host1": kept(flipped()), "host2": kept()}
    remedy = finding(judged(f"host:host1:{PATH}", **scans), "weights-broken").remedy
    assert "host1 is the source itself" in remedy
    remedy = finding(judged(f"host:host2:{PATH}", **scans), "weights-broken").remedy
    assert f"from host2:{PATH}" in remedy


def test_what_is_wrong_with_the_model_is_told_once_for_all_hosts() -> None:
    bad = {name: content for name, content in good_files().items() if name != "tokenizer.json"}
    manifest = manifest_of(bad).to_dict()
    report = judged(host1=scan(bad, manifest=manifest), host2=scan(bad, manifest=manifest))
    found = finding(report, "model-tokenizer")
    assert (found.severity, found.hosts) == ("block", ("host1", "host2"))


def test_the_json_form_is_read_back() -> None:
    broken = kept(flipped(), broken={SHARDS[1]: [[0, 8]]}, incoming={"y": 5})
    report = judged(mode="full", host1=kept(), host2=broken, host3=scan({}))
    assert WeightsReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    none = judged(host1=scan(read=False))
    assert WeightsReport.from_dict(json.loads(json.dumps(none.to_dict()))) == none


@pytest.mark.parametrize("key", ["hosts", "findings", "manifest"])
def test_another_form_is_refused(key: str) -> None:
    value = judged(host1=kept()).to_dict()
    with pytest.raises((KeyError, TypeError, ValueError, ManifestError)):
        WeightsReport.from_dict({**value, key: 3})
    with pytest.raises(KeyError):
        WeightsReport.from_dict({name: item for name, item in value.items() if name != key})


def test_the_manifest_for_people_and_for_sha256sum() -> None:
    report = judged(host1=kept())
    first = KEPT.files[0]
    assert sums_text(KEPT).splitlines()[0] == f"{first.sha256}  {first.name}"
    text = manifest_text(report, KEPT)
    assert f"{first.sha256}  {first.size:>2}  {first.name}" in text
    assert f"signature: {KEPT.digest}, which a sync left on host1" in text


def test_a_table_tells_what_there_is() -> None:
    report = judged(host1=kept(), host2=kept(without(SHARDS[0])), host3=scan({}))
    rows = status_text(report).splitlines()
    heading = next(row for row in rows if row.startswith("host "))
    assert heading.split() == ["host", "files", "size", "proven", "missing", "manifest"]
    assert any(row.split()[:2] == ["host3", "none"] for row in rows)
    assert all(len(row) <= 80 for row in rows if row.startswith("host"))
