"""The decisions of a sync: what is refused before a byte moves, and what moves."""

from __future__ import annotations

import pytest

from mindie_deploy.errors import CheckFailedError, ExitCode
from mindie_deploy.weights.scan import Scan
from mindie_deploy.weights.source import Source, SourceKind
from mindie_deploy.weights.sync import Situation, WeightsError, decide, survey
from tests.weights.scans import CONFIGURATION, PATH, SHARDS, good_files, manifest_of, model, scan

CONTROLLER = Source(SourceKind.CONTROLLER, "/srv/model")
NONE = Source(SourceKind.NOTHING)
FP8 = model(configuration={**CONFIGURATION, "quantization_config": {"quant_method": "fp8"}})


def from_controller(source: Scan, **hosts: Scan) -> Situation:
    return Situation(CONTROLLER, source, hosts)


def on_hosts(**hosts: Scan) -> Situation:
    return Situation(NONE, None, hosts)


def test_fp8_is_refused_before_anything_is_read() -> None:
    with pytest.raises(WeightsError, match=r"\[model-fp8\].*FP8") as caught:
        survey(from_controller(scan(read=False, model=FP8), host1=scan({})))
    assert caught.value.exit_code == ExitCode.CHECK_FAILED


def test_an_absent_source_is_told() -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        survey(from_controller(scan({}), host1=scan({})))


def test_fp8_on_a_host_is_told_with_the_host() -> None:
    with pytest.raises(WeightsError, match="host2:/data"):
        survey(on_hosts(host1=scan(), host2=scan(model=FP8)))


def test_the_survey_reads_the_source_and_what_may_be_right_on_the_hosts() -> None:
    files = good_files()
    short = {**files, SHARDS[0]: b"short"}
    found = survey(from_controller(scan(read=False), host1=scan({}), host2=scan(short, read=False), host3=scan()))
    assert set(found.source) == set(files)
    assert found.hosts["host1"] == ()
    assert set(found.hosts["host2"]) == set(files) - {SHARDS[0]}
    assert found.hosts["host3"] == ()


def test_a_source_that_is_a_hosts_own_place_is_read_there() -> None:
    own = scan(read=False)
    found = survey(Situation(Source(SourceKind.HOST, PATH, "host1"), own, {"host1": own, "host2": scan({})}))
    assert found.source == ()
    assert set(found.hosts["host1"]) == set(good_files())


def test_when_all_is_remembered_nothing_is_read_and_nothing_moves() -> None:
    known = manifest_of(good_files()).to_dict()
    situation = from_controller(scan(manifest=known), host1=scan(manifest=known), host2=scan(manifest=known))
    assert survey(situation).nothing_to_read
    for decision in decide(situation).values():
        assert decision.plan.complete
        assert not decision.note
        assert not decision.note_source


def test_a_full_verification_reads_everything() -> None:
    found = survey(from_controller(scan(), host1=scan()), everything=True)
    assert len(found.source) == len(found.hosts["host1"]) == len(good_files())


def test_a_changed_byte_at_the_destination_is_brought_again() -> None:
    flipped = {**good_files(), SHARDS[1]: bytes(len(good_files()[SHARDS[1]]))}
    found = decide(from_controller(scan(), host1=scan(), host2=scan(flipped)))
    assert found["host2"].plan.wrong == (SHARDS[1],)
    assert found["host2"].plan.fetch == (SHARDS[1],)
    assert found["host1"].plan.complete
    assert SHARDS[1] in found["host2"].summary()


def test_a_changed_byte_at_the_source_is_an_error_that_names_the_shard() -> None:
    before = manifest_of(good_files()).to_dict()
    flipped = {**good_files(), SHARDS[1]: bytes(len(good_files()[SHARDS[1]]))}
    with pytest.raises(WeightsError, match=f"changed shard.*\n{SHARDS[1]} at /srv/model on the controller"):
        decide(from_controller(scan(flipped, manifest=before), host1=scan()))


def test_a_small_disk_stops_all_hosts_and_names_the_one() -> None:
    small = scan({}, disk={"path": "/data", "available_bytes": 3})
    with pytest.raises(WeightsError, match=r"host2: the disk of /data has 3 bytes free(.|\n)*nothing was copied"):
        decide(from_controller(scan(), host1=scan({}), host2=small))


def test_without_a_source_hosts_must_be_equal() -> None:
    less = {name: content for name, content in good_files().items() if name != SHARDS[0]}
    with pytest.raises(WeightsError, match=f"host2.*missing: {SHARDS[0]}"):
        decide(on_hosts(host1=scan(), host2=scan(less)))
    with pytest.raises(WeightsError, match="host2"):
        decide(on_hosts(host1=scan(), host2=scan({})))


def test_without_a_source_and_without_weights_the_setting_is_named() -> None:
    with pytest.raises(CheckFailedError, match="mindie_weights_source"):
        decide(on_hosts(host1=scan({}), host2=scan({})))


def test_without_a_source_the_manifest_of_earlier_counts_more_than_the_leader() -> None:
    known = manifest_of(good_files()).to_dict()
    flipped = {**good_files(), "config.json": b"{}"}
    with pytest.raises(WeightsError, match=r"host1.*config\.json"):
        decide(on_hosts(host1=scan(flipped, manifest=known), host2=scan(manifest=known)))


def test_check_mode_compares_sizes_and_never_fails_for_want_of_reading() -> None:
    situation = from_controller(scan(read=False), host1=scan({}), host2=scan(read=False))
    found = decide(situation, nothing_read=True)
    assert found["host1"].manifest is None
    assert len(found["host1"].plan.fetch) == len(good_files())
    assert found["host2"].plan.fetch == ()
    assert decide(on_hosts(host1=scan(read=False)), nothing_read=True)["host1"].plan.fetch == ()


def test_a_source_that_could_not_be_read_is_an_error_outside_of_check_mode() -> None:
    with pytest.raises(WeightsError, match="could not be read"):
        decide(from_controller(scan(read=False), host1=scan({})))


def test_a_manifest_is_kept_where_it_is_not_known_yet() -> None:
    found = decide(from_controller(scan(), host1=scan(), host2=scan(manifest=manifest_of(good_files()).to_dict())))
    assert found["host1"].note
    assert not found["host2"].note
    assert found["host1"].note_source
