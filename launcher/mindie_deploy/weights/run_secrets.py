"""What the members of one exchange know and nobody else: a secret, and with encryption a certificate with its key."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECRET_BYTES = 32
NAME = "mindie-deploy exchange"
# Clocks of hosts may be wrong by this much before a certificate is refused for it; preflight finds less.
CLOCK_TOLERANCE = timedelta(days=2)


def new_secret() -> str:
    """Returns 64 hex letters."""
    return secrets.token_hex(SECRET_BYTES)


def new_certificate(lifetime_s: float) -> dict[str, str]:
    """Returns {"certificate", "key"} in PEM: self-signed, for both sides of the members' connections."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + timedelta(seconds=lifetime_s) + CLOCK_TOLERANCE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"certificate": certificate.public_bytes(pem).decode(), "key": private.decode()}
