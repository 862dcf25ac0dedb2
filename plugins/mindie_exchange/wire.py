# SPDX-License-Identifier: Apache-2.0
"""What two members say to one another, byte for byte.

A connection begins with a preface (magic and lane), then both sides prove that they know the secret of the run, each
with a challenge of its own; then frames follow, a header of 16 bytes each, some with a payload.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct

MAGIC = b"MDPIECE1"
PREFACE = struct.Struct("!8sH")
# Who calls: index of the member, a number that nobody has used before, and which plan the caller follows.
HELLO = struct.Struct("!H32s32s")
# The answer: a number of the called one's own, and its proof.
ANSWER = struct.Struct("!32s32s")
PROOF_BYTES = 32
NONCE_BYTES = 32

# type, piece, a number (a crc32, an offset or a window), length of the payload
HEADER = struct.Struct("!BxxxIII")

HAVE = 1  # payload: a byte for every piece (1: I have it), then a crc32 for every piece (0: not known)
GOT = 2  # piece, crc32: I have it now
GAVE = 3  # piece, crc32: I gave it to somebody
NEXT = 4  # -, window: give me pieces of your choice, so many at once
ASK = 5  # piece
DATA = 6  # piece, offset in the piece; payload: its bytes
SUM = 7  # piece, crc32: that was all of it
CANCEL = 8  # piece: do not send it any more
DENY = 9  # piece: I do not have it
BAD = 10  # piece, crc32 or 0: what you sent is damaged, or it is not the piece, which has this crc32
LOST = 11  # piece, errno or 0: I had it and cannot read it any more, or it is not what it was
ALIVE = 12
DONE = 13  # I have everything, proven
BYE = 15  # I end, because everybody has everything as far as I know
WHICH = 14  # piece: tell me (GOT) the crc32 that it has at yours, read from the disk

# So long may a payload be; a longer one is no frame of ours.
LARGEST_DATA = 4 * 1024 * 1024
# What one DATA frame carries: news go between frames, so a frame must not take long.
FRAME_BYTES = 512 * 1024


class WireError(Exception):
    """The other side does not speak as a member of this run does."""


def frame(kind: int, piece: int = 0, number: int = 0, length: int = 0) -> bytes:
    """Returns a header; the payload follows it."""
    return HEADER.pack(kind, piece, number, length)


def nonce() -> bytes:
    return os.urandom(NONCE_BYTES)


def proof(secret: bytes, role: bytes, plan: bytes, lane: int, members: tuple[int, int], nonces: bytes) -> bytes:
    """Returns the 32 bytes that show knowledge of the secret.

    `role` is b"caller" or b"called", so that nobody can answer with what was sent to him; `members` are the indices of
    caller and called, `nonces` both numbers in the same order.
    """
    text = b"|".join((role, plan, b"%d" % lane, b"%d" % members[0], b"%d" % members[1], nonces))
    return hmac.new(secret, text, hashlib.sha256).digest()


def same(one: bytes, other: bytes) -> bool:
    """Compares proofs in constant time."""
    return hmac.compare_digest(one, other)
