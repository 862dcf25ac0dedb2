"""Frames, proofs, and how files are cut: the same on every member."""

from __future__ import annotations

import random

import pytest

from mindie_exchange import wire
from mindie_exchange.layout import Piece, Segment, lanes_of, pieces_of

SECRET, PLAN, NONCES = b"s" * 32, b"p" * 32, b"n" * 64


def test_a_frame_has_sixteen_bytes_in_the_order_of_the_network() -> None:
    assert wire.frame(wire.DATA, 1, 2, 3) == b"\x06\0\0\0" + b"\0\0\0\1" + b"\0\0\0\2" + b"\0\0\0\3"
    assert wire.HEADER.unpack(wire.frame(wire.GOT, 7, 0xFFFFFFFF)) == (wire.GOT, 7, 0xFFFFFFFF, 0)


def test_kinds_of_frames_are_told_apart() -> None:
    kinds = [value for name, value in vars(wire).items() if name.isupper() and isinstance(value, int) and value < 100]
    kinds.remove(wire.PROOF_BYTES)
    kinds.remove(wire.NONCE_BYTES)
    assert len(set(kinds)) == len(kinds) == 15


@pytest.mark.parametrize(
    "other",
    [
        (b"S" * 32, b"caller", PLAN, 1, (0, 2), NONCES),
        (SECRET, b"called", PLAN, 1, (0, 2), NONCES),
        (SECRET, b"caller", b"P" * 32, 1, (0, 2), NONCES),
        (SECRET, b"caller", PLAN, 2, (0, 2), NONCES),
        (SECRET, b"caller", PLAN, 1, (2, 0), NONCES),
        (SECRET, b"caller", PLAN, 1, (0, 2), NONCES[::-1][:63] + b"x"),
    ],
)
def test_a_proof_is_of_one_role_one_plan_one_lane_one_pair_and_one_time(
    other: tuple[bytes, bytes, bytes, int, tuple[int, int], bytes],
) -> None:
    proof = wire.proof(SECRET, b"caller", PLAN, 1, (0, 2), NONCES)
    assert len(proof) == wire.PROOF_BYTES
    assert wire.same(proof, wire.proof(SECRET, b"caller", PLAN, 1, (0, 2), NONCES))
    assert not wire.same(proof, wire.proof(*other))


# lanes


def test_lanes_have_equal_shares_and_each_file_is_in_one() -> None:
    chance = random.Random(1)
    sizes = [chance.randrange(1, 1000) for _ in range(200)]
    shares = lanes_of(sizes, 7)
    assert sorted(file for share in shares for file in share) == list(range(200))
    loads = [sum(sizes[file] for file in share) for share in shares]
    assert max(loads) - min(loads) < 20
    assert all(share == sorted(share) for share in shares)


def test_more_lanes_than_files() -> None:
    assert sorted(lanes_of([5, 4], 4)) == [[], [], [0], [1]]


# pieces


def test_large_files_have_pieces_of_their_own_and_small_ones_travel_together() -> None:
    sizes = [10, 3, 0, 25, 4, 4]
    assert pieces_of(sizes, range(6), 10) == [
        Piece(10, (Segment(0, 0, 10),)),
        Piece(10, (Segment(3, 0, 10),)),
        Piece(10, (Segment(3, 10, 10),)),
        Piece(5, (Segment(3, 20, 5),)),
        Piece(7, (Segment(1, 0, 3), Segment(4, 0, 4))),
        Piece(4, (Segment(5, 0, 4),)),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_pieces_cover_every_byte_once(seed: int) -> None:
    chance = random.Random(seed)
    sizes = [chance.choice([0, 1, 99, 100, 101, chance.randrange(5000)]) for _ in range(50)]
    holders = [chance.randrange(3) for _ in sizes]
    files = sorted(chance.sample(range(50), 30))
    pieces = pieces_of(sizes, files, 100, holders)
    seen: dict[int, list[tuple[int, int]]] = {}
    for piece in pieces:
        assert 0 < piece.length <= 100
        assert piece.length == sum(segment.length for segment in piece.segments)
        assert len({holders[segment.file] for segment in piece.segments}) == 1
        if len(piece.segments) > 1:
            assert all((one.offset, one.length) == (0, sizes[one.file]) for one in piece.segments)
        for segment in piece.segments:
            seen.setdefault(segment.file, []).append((segment.offset, segment.length))
    for file in files:
        at = 0
        for offset, length in seen.get(file, []):
            assert offset == at
            at += length
        assert at == sizes[file]
    assert pieces == pieces_of(list(sizes), list(files), 100, list(holders))


def test_ten_thousand_small_files_are_few_pieces() -> None:
    assert len(pieces_of([10] * 10_000, range(10_000), 10_000)) == 10
