"""A network that fails, members that hang, and strangers: the others have everything all the same."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mindie_exchange import wire
from tests.exchange.stranger import Stranger
from tests.exchange.swarm import KIB, PIECE, shards, swarming
from tests.exchange.wire_proxy import flipping, wired

RATE = 2 * KIB * KIB
TWICE = 2 * PIECE
# Time limits, a fifth of the real ones unless everything is tried.
SCALE = 1.0 if int(os.environ.get("EXCHANGE_FAULT_POINTS", "3")) >= 20 else 0.2
QUICK = {
    "links.SILENT_S": 10 * SCALE,
    "links.HANDSHAKE_S": 10 * SCALE,
    "lane.UNSERVED_S": 15 * SCALE,
    "calls.LONGEST_PAUSE_S": 2 * SCALE,
}


def test_a_network_that_is_cut_for_thirty_seconds(tmp_path: Path) -> None:
    with (
        swarming(tmp_path, shards(), members=3, rate=RATE, constants=QUICK) as swarm,
        wired(swarm, (0, 1), (1, 2)) as both,
    ):
        swarm.start()
        swarm.until_share(swarm[1], 0.4)
        for one in both:
            one.frozen = True
        alone = swarm[1].arrived_bytes()
        began = time.monotonic()
        swarm.until_share(swarm[2], 1.0)
        swarm.check_whole(swarm[2]) if swarm[2].status["files_done"] == len(swarm.names) else None
        swarm.until(lambda: set(swarm[1].status["unreached"]) == {"m0", "m2"})
        assert "said nothing" in " ".join(swarm[1].status["unreached"].values()), swarm.told()
        time.sleep(max(0.0, 30 * SCALE - (time.monotonic() - began)))
        for one in both:
            one.frozen = False
        swarm.finish()
        assert swarm.sent_to(swarm[1]) <= swarm.size + 2 * TWICE, swarm.told()
        assert swarm[2].status["received"] <= swarm.size + TWICE, swarm.told()
        # What the cut one had alone is given to the other.
        assert swarm[0].status["sent"] <= swarm.size + alone + 16 * PIECE, swarm.told()


@pytest.mark.parametrize("after", [100, 70_001, 500_000])
def test_a_bit_that_flips_on_the_wire(tmp_path: Path, after: int) -> None:
    with swarming(tmp_path, shards(), members=3) as swarm, wired(swarm, (0, 1), (1, 2)) as (first, second):
        first.forth = flipping(after)
        second.forth = flipping(after)
        swarm.start()
        swarm.finish()
        assert swarm[0].status["sent"] <= swarm.size + 3 * PIECE, swarm.told()
        for member in swarm.receivers:
            assert member.status["again"] <= 3 * PIECE, swarm.told()
            assert member.status["received"] <= swarm.size + 3 * PIECE, swarm.told()


def test_a_wire_that_flips_bits_all_the_time(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=2) as swarm, wired(swarm, (0, 1)) as (first,):
        first.forth = flipping(10_000, times=15, every=300_000)
        swarm.start()
        swarm.finish()
        assert sum(swarm[1].status["bad"].values()) >= 3, swarm.told()
        assert any("pieces came damaged from m0" in one for one in swarm[1].status["warnings"]), swarm.told()


# members that hang


def test_a_source_that_hangs_for_a_while(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3, rate=RATE, constants=QUICK) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.3)
        swarm[0].signal(signal.SIGSTOP)
        time.sleep(15 * SCALE)
        swarm[0].signal(signal.SIGCONT)
        swarm.finish()
        # What was asked of the source is asked of the other receiver too, once the source is silent for long enough.
        for member in swarm.receivers:
            assert member.status["received"] <= swarm.size + 3 * TWICE, swarm.told()


def test_a_source_that_never_returns_when_the_others_have_everything_together(tmp_path: Path) -> None:
    """m0 is gone when its last piece is given; the receivers bring one another what each of them lacks."""
    with swarming(tmp_path, shards(), members=4, rate=RATE, constants=QUICK) as swarm:
        swarm.start()
        swarm.until(lambda: swarm[0].status.get("sent", 0) >= swarm.size)
        swarm[0].signal(signal.SIGSTOP)
        for member in swarm.receivers:
            assert member.wait() == 0, swarm.told()
            swarm.check_whole(member)


def test_a_receiver_that_hangs_for_ever_delays_nobody(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=4, rate=RATE, constants={**QUICK, "lane.LINGER_S": 3}) as swarm:
        swarm.start()
        swarm.until_share(swarm[2], 0.4)
        swarm[2].signal(signal.SIGSTOP)
        began = time.monotonic()
        for member in (swarm[1], swarm[3]):
            swarm.until_share(member, 1.0)
        # 60 % of 2 s are left; what the stopped one had alone waits until it is known to be gone.
        assert time.monotonic() - began < 10 * SCALE + 12
        for member in (swarm[0], swarm[1], swarm[3]):
            assert member.wait() == 0, swarm.told()
            assert "m2 never said that it has everything, and is gone" in member.status["warnings"], swarm.told()
        swarm.check_whole(swarm[1])
        swarm.check_whole(swarm[3])


def test_a_member_that_hangs_and_comes_back(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3, rate=RATE, constants=QUICK) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.4)
        swarm[1].signal(signal.SIGSTOP)
        time.sleep(15 * SCALE)
        swarm[1].signal(signal.SIGCONT)
        swarm.finish()
        assert swarm.sent_to(swarm[1]) <= swarm.size + 2 * TWICE, swarm.told()


def test_the_end_by_sigterm_is_quick_and_keeps_what_has_arrived(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3, lanes=2, rate=RATE) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.5)
        began = time.monotonic()
        os.kill(swarm[1].pid, signal.SIGTERM)
        assert swarm[1].wait() == 3
        assert time.monotonic() - began < 1.5
        assert swarm[1].status["state"] == "stopped"
        before = swarm[1].arrived_bytes()
        swarm.start(swarm[1])
        swarm.finish()
        assert swarm[1].status["bytes_before"] == before


def test_the_end_by_sigterm_when_a_lane_hangs(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=2, rate=RATE) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.3)
        os.kill(swarm[1].lanes[0], signal.SIGSTOP)
        began = time.monotonic()
        os.kill(swarm[1].pid, signal.SIGTERM)
        assert swarm[1].wait() == 3
        assert time.monotonic() - began < 2


# strangers


def test_a_wrong_secret(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3) as swarm:
        swarm[2].changes["secret"] = secrets.token_hex(32)
        swarm.start()
        swarm.until(lambda: "m2" in swarm[0].status.get("unreached", {}))
        swarm.until_share(swarm[1], 1.0)
        swarm.until(lambda: "secret" in swarm[0].status["unreached"]["m2"])
        assert swarm[2].arrived_bytes() == 0
        assert swarm[2].status["received"] == 0
        os.kill(swarm[2].pid, signal.SIGTERM)
        assert swarm[2].wait() == 3
        del swarm[2].changes["secret"]
        swarm.start(swarm[2])
        swarm.finish()


def random_bytes(target: tuple[str, int]) -> None:
    with socket.create_connection(target, 5) as sock:
        sock.sendall(os.urandom(4096))


def garbage_after_the_preface(target: tuple[str, int]) -> None:
    with socket.create_connection(target, 5) as sock:
        sock.sendall(wire.PREFACE.pack(wire.MAGIC, 0) + os.urandom(4096))


def an_unknown_lane(target: tuple[str, int]) -> None:
    with socket.create_connection(target, 5) as sock:
        sock.sendall(wire.PREFACE.pack(wire.MAGIC, 65535) + os.urandom(100))


def nothing(target: tuple[str, int]) -> None:
    socket.create_connection(target, 5).close()


def a_reset(target: tuple[str, int]) -> None:
    with socket.create_connection(target, 5) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(wire.MAGIC[:3])


@pytest.mark.parametrize(
    "attack", [random_bytes, garbage_after_the_preface, an_unknown_lane, nothing, a_reset], ids=lambda one: one.__name__
)
def test_strangers_that_send_garbage(tmp_path: Path, attack: Callable[[tuple[str, int]], None]) -> None:
    with swarming(tmp_path, shards(2 * KIB * KIB), members=3, rate=RATE) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.1)
        for _ in range(20):
            for member in swarm.members:
                attack((member.address, member.port))
        swarm.finish()
        assert not any(member.status["warnings"] for member in swarm.members), swarm.told()


def test_strangers_that_say_nothing_are_let_go_and_keep_nobody_out(tmp_path: Path) -> None:
    """More of them than may wait; each says a part of what it should, or all of it and then no more."""
    constants = {"door.GREETING_S": 1.0, "links.HANDSHAKE_S": 1.0}
    with swarming(tmp_path, shards(2 * KIB * KIB), members=2, rate=RATE, constants=constants) as swarm:
        swarm.start(swarm[1])
        target = (swarm[1].address, swarm[1].port)
        swarm.until(lambda: bool(swarm[1].status))
        quiet = [socket.create_connection(target, 5) for _ in range(300)]
        for index, sock in enumerate(quiet):
            sock.sendall(wire.PREFACE.pack(wire.MAGIC, 0)[: (0, 3, 10)[index % 3]])
        busy = cpu_of(swarm[1].pid)
        time.sleep(1)
        assert cpu_of(swarm[1].pid) - busy < 0.5, "it is busy with strangers"
        swarm.start(swarm[0])
        swarm.finish()
        for sock in quiet:
            sock.close()


def cpu_of(pid: int) -> float:
    """Seconds of processor time of an agent and its lanes so far."""
    pids = [str(pid), *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    ticks = 0
    for one in pids:
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# members that lie


@pytest.mark.parametrize(
    "lie",
    [
        lambda peer, count: peer.sock.sendall(os.urandom(100_000)),
        lambda peer, count: peer.say(99),
        lambda peer, count: peer.say(wire.HAVE, 0, 0, b"\1" * (5 * count + 1)),
        lambda peer, count: peer.say(wire.HAVE, 0, 0, b"\1" * 5),
        lambda peer, count: peer.sock.sendall(wire.frame(wire.HAVE, 0, 0, 1 << 31)),
        lambda peer, count: peer.sock.sendall(wire.frame(wire.DATA, 0, 0, wire.LARGEST_DATA + 1)),
        lambda peer, count: peer.say(wire.GOT, 0),
        lambda peer, count: (peer.say_have(b"\1", count), peer.say(wire.GOT, count)),
        lambda peer, count: (peer.say_have(b"\0", count), peer.say(wire.DATA, 0, 0, b"x")),
        lambda peer, count: (peer.say_have(b"\1", count), peer.say(wire.DATA, count, 0, b"x")),
        lambda peer, count: (peer.say_have(b"\1", count), peer.say(wire.DATA, 0, 5, b"x")),
        lambda peer, count: (peer.say_have(b"\1", count), peer.say(wire.DATA, 0, 0, b"x" * (PIECE + 1))),
        lambda peer, count: (peer.say_have(b"\1", count), peer.say(wire.SUM, 0, 0)),
        lambda peer, count: (peer.say_have(b"\1", count), peer.say(wire.SUM, 1 << 31, 0)),
        lambda peer, count: (peer.say_have(b"\1", count), peer.say(wire.DATA, 0, 0, b"x"), peer.say(wire.SUM, 0, 1)),
    ],
)  # fmt: skip
def test_a_member_that_talks_nonsense_is_let_go(tmp_path: Path, lie: Callable[[Stranger, int], None]) -> None:
    with swarming(tmp_path, shards(KIB * KIB), members=3) as swarm:
        swarm.start(swarm[1])
        swarm.until(lambda: bool(swarm[1].status))
        with Stranger(swarm, target=1, me=0) as peer:
            peer.greet()
            kind, _piece, _number, payload = peer.hear()
            assert kind == wire.HAVE
            lie(peer, len(payload) // 5)
            assert peer.is_ended()
        swarm.start(swarm[0], swarm[2])
        swarm.finish()


def test_a_member_that_says_again_what_it_has(tmp_path: Path) -> None:
    """What it said before does not count any more, and counts of holders stay right."""
    with swarming(tmp_path, shards(KIB * KIB), members=3) as swarm:
        swarm.start(swarm[1])
        swarm.until(lambda: bool(swarm[1].status))
        with Stranger(swarm, target=1, me=0) as peer:
            peer.greet()
            count = len(peer.hear()[3]) // 5
            for flag in (b"\1", b"\0", b"\1", b"\0"):
                peer.say_have(flag, count)
            peer.say(wire.DONE)
            time.sleep(0.3)
        swarm.start(swarm[0], swarm[2])
        swarm.finish()


def test_a_proof_cannot_be_used_twice_or_by_another_one(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(KIB * KIB), members=3) as swarm:
        swarm.start(swarm[2])
        swarm.until(lambda: bool(swarm[2].status))
        with Stranger(swarm, target=2, me=0) as peer:
            used = peer.greet()
            peer.hear()
        with Stranger(swarm, target=2, me=0) as peer, pytest.raises(EOFError):
            peer.sock.sendall(wire.PREFACE.pack(wire.MAGIC, 0) + wire.HELLO.pack(0, wire.nonce(), peer.plan.digest))
            peer.read(wire.ANSWER.size)
            peer.sock.sendall(used)
            peer.hear()
        with Stranger(swarm, target=2, me=0) as peer, pytest.raises(EOFError):
            peer.greet(secret=b"x" * 32)
            peer.hear()
        with Stranger(swarm, target=2, me=0) as peer, pytest.raises(EOFError):
            peer.greet(plan=b"x" * 32)
        with Stranger(swarm, target=2, me=2) as peer, pytest.raises(EOFError):
            peer.greet()
        assert swarm[2].status["received"] == 0
