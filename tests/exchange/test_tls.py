"""The exchange over TLS: with the run's own certificate, and with any other one."""

from __future__ import annotations

import datetime
import os
import signal
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.exchange.swarm import KIB, PIECE, shards, swarming
from tests.interpreters import PYTHONS, interpreter, runs_with

# It is strict about what certificates of authorities must hold.
ALL_PYTHONS = [*PYTHONS, pytest.param(interpreter("3.13"), id="3.13", marks=runs_with("3.13"))]


def certificate() -> dict[str, str]:
    """A certificate of a run, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exchange")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2000, 1, 1))
        .not_valid_after(datetime.datetime(2100, 1, 1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"key": private.decode(), "certificate": made.public_bytes(serialization.Encoding.PEM).decode()}


@pytest.mark.parametrize("python", ALL_PYTHONS)
def test_an_exchange_over_tls(tmp_path: Path, python: str) -> None:
    with swarming(tmp_path, shards(8 * KIB * KIB), members=3, lanes=2, python=python, tls=certificate()) as swarm:
        swarm.start()
        swarm.finish()
        assert swarm[0].status["sent"] <= swarm.size + 2 * PIECE


def test_a_kill_over_tls(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3, rate=2 * KIB * KIB, tls=certificate()) as swarm:
        swarm.start()
        swarm.until_share(swarm[1], 0.5)
        swarm[1].kill()
        swarm.start(swarm[1])
        swarm.finish()
        assert swarm.sent_to(swarm[1]) <= swarm.size + 4 * PIECE, swarm.told()


def test_another_certificate_is_not_accepted_by_callers_nor_by_called_ones(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3, tls=certificate()) as swarm:
        swarm[1].changes["tls"] = certificate()
        swarm.start()
        swarm.until_share(swarm[2], 1.0)
        swarm.until(lambda: "TLS: " in swarm[0].status["unreached"].get("m1", ""))
        assert "certificate" in swarm[0].status["unreached"]["m1"].lower()
        assert swarm[1].status["received"] == 0
        os.kill(swarm[1].pid, signal.SIGTERM)
        assert swarm[1].wait() == 3
        del swarm[1].changes["tls"]
        swarm.start(swarm[1])
        swarm.finish()


def test_a_member_without_tls_is_not_talked_to(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=3, tls=certificate()) as swarm:
        swarm[1].changes["tls"] = None
        swarm.start()
        swarm.until_share(swarm[2], 1.0)
        assert swarm[1].status["received"] == 0


def test_a_certificate_that_is_none_is_told_at_once(tmp_path: Path) -> None:
    with swarming(tmp_path, shards(), members=2, tls={"key": "x", "certificate": "y"}, python=sys.executable) as swarm:
        swarm.start(swarm[1])
        assert swarm[1].wait() == 1
        assert swarm[1].status["message"].startswith("tls: the certificate or key of the plan cannot be used")
