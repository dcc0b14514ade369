"""Certificates like those that PayPal signs with, issued by an authority of our own, for trying its webhooks out.

Only an endpoint in test mode whose option `certs` names their folder trusts them.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "messageverificationcerts.sandbox.paypal.com"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
VALID_FOR = timedelta(days=3650)


class Issued(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: RSAPrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate as a file has it."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key as a file has it."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make(folder: Path) -> None:
    """Put ca.pem, CERT-LOCAL.pem and CERT-LOCAL.key into the folder; the authority's own key is thrown away."""
    authority = issue("Local stand-in for PayPal's authority")
    local = issue(NAME, by=authority)
    folder.mkdir(parents=True, exist_ok=True)
    key_file = folder / "CERT-LOCAL.key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(local.key_pem)
    (folder / "CERT-LOCAL.pem").write_bytes(local.pem)
    (folder / "ca.pem").write_bytes(authority.pem)


def issue(
    name: str,
    *extensions: x509.ExtensionType,
    by: Issued | None = None,
    since: datetime = SINCE,
    until: datetime | None = None,
    authority: bool = False,
) -> Issued:
    """A certificate for a host's name, issued by that authority; without `by`, an authority's own."""
    key = generate_private_key(65537, 2048)
    is_authority = authority or by is None
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until or datetime.now(UTC) + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(_use(is_authority), critical=True)
    )
    if not is_authority:
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        host = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(server, critical=False).add_extension(host, critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Issued(builder.sign(signer, SHA256()), key)


def _use(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
