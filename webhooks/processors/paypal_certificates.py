"""The certificates that PayPal signs with: had from its own host alone, and believed when a chain leads to a root.

PayPal serves a certificate without its issuer's (seen in recorded deliveries of 2024), and nothing is
fetched from anywhere else: the issuers are those that PayPal's own Python library is pinned to, in
paypal_issuers.pem, and those that an operator puts beside them.
"""

import re
import warnings
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from webhooks.signatures import Invalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import Certificate

PINNED = Path(__file__).with_name("paypal_issuers.pem")
ISSUERS = "issuers.pem"
"""Further issuers' certificates, in the folder of the option `certs`; a trusted root has to vouch for them."""

FETCH_S = 3.0
FETCHES_A_MINUTE = 10
FAILED_FOR_S = 30.0
"""How long a certificate that could not be had, or is not PayPal's, is not asked for again."""
MAX_BYTES = 64 * 1024
MAX_KNOWN = 32


class _Unobtainable(Exception):
    """A certificate could not be had now."""


class Certificates:
    """The keys that PayPal signs with: each is fetched once, checked, and kept while its certificate is valid.

    Only from PayPal's own host, never two at once, and so rarely that whoever makes up
    addresses there gets little done.
    """

    def __init__(self, domain: str, folder: Path | None, *, trusts_folder: bool) -> None:
        """`domain` is what they are made out to; `folder` has some on disk, and a root if that is trusted."""
        self._domain = domain
        self._folder = folder
        self._trusts_folder = trusts_folder
        self._known: dict[str, tuple[RSAPublicKey, float, float]] = {}
        self._failed: dict[str, tuple[float, Invalid]] = {}
        self._fetches: deque[float] = deque(maxlen=FETCHES_A_MINUTE)
        self._learning = Lock()

    def key(self, url: str, name: str, now: float) -> "RSAPublicKey | Invalid":
        """The key of the certificate at that address, which is one of PayPal's; Invalid where it has none."""
        if found := self._found(url, now):
            return found
        # Half a second is what most answers take; a thread is not held longer by what another waits for.
        if not self._learning.acquire(timeout=0.5):
            return Invalid("another certificate is being fetched", undecided=True)
        try:
            return self._found(url, now) or self._learn(url, name, now)
        finally:
            self._learning.release()

    def _found(self, url: str, now: float) -> "RSAPublicKey | Invalid | None":
        known, failed = self._known.get(url), self._failed.get(url)
        if known and known[1] <= now <= known[2]:
            return known[0]
        return failed[1] if failed and monotonic() < failed[0] else None

    def _learn(self, url: str, name: str, now: float) -> "RSAPublicKey | Invalid":
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.x509.verification import VerificationError

        try:
            leaf = self._checked(url, name, now)
            key = leaf.public_key()
            if not isinstance(key, RSAPublicKey):
                raise ValueError("it has no RSA key")  # noqa: TRY004 -- it is the certificate that is wrong
        except (_Unobtainable, OSError) as why:
            failure = Invalid(f"PayPal's certificate cannot be had: {why}", undecided=True)
        except (ValueError, VerificationError, UnsupportedAlgorithm) as why:
            reason = str(why).partition(" (encountered")[0][:200]
            failure = Invalid(f"the certificate is not PayPal's, or not valid now ({reason})")
        else:
            while len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            valid = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
            self._known[url] = (key, *valid)
            return key
        self._failed = {other: told for other, told in self._failed.items() if monotonic() < told[0]}
        self._failed[url] = (monotonic() + FAILED_FOR_S, failure)
        return failure

    def _checked(self, url: str, name: str, now: float) -> "Certificate":
        """The certificate, when a chain leads from it to a root we trust."""
        from cryptography import x509
        from cryptography.x509.verification import PolicyBuilder, Store

        file = self._folder / f"{name}.pem" if self._folder else None
        kept = file.read_bytes() if file and file.is_file() else None
        leaf, *issuers = _read(self._fetched(url) if kept is None else kept)
        issuers += [*_pinned(), *self._own(ISSUERS)]
        roots = [*_roots(), *(self._own("ca.pem") if self._trusts_folder else [])]
        if kept is None and leaf.issuer not in {other.subject for other in [*issuers, *roots]}:
            # It is PayPal's: its own host gave it. Who issued it is for the operator to say.
            issuer = leaf.issuer.rfc4514_string()
            raise _Unobtainable(
                f"its issuer is not known: put the certificate of {issuer} into certs=FOLDER, {ISSUERS}"
            )
        moment = datetime.fromtimestamp(now, UTC)
        policy = PolicyBuilder().store(Store(roots)).time(moment)
        policy.build_server_verifier(x509.DNSName(self._domain)).verify(leaf, issuers)
        return leaf

    def _own(self, name: str) -> "list[Certificate]":
        file = self._folder / name if self._folder else None
        return _read(file.read_bytes()) if file and file.is_file() else []

    def _fetched(self, url: str) -> bytes:
        import requests

        started = monotonic()
        if len(self._fetches) == FETCHES_A_MINUTE and started - self._fetches[0] < 60:
            raise _Unobtainable("too many were asked for within a minute")
        self._fetches.append(started)
        found = b""
        try:
            with requests.get(url, timeout=FETCH_S / 2, allow_redirects=False, stream=True) as answer:
                if answer.status_code != 200:
                    raise _Unobtainable(f"its host answers {answer.status_code}")
                for chunk in answer.iter_content(4096):
                    found += chunk
                    if len(found) > MAX_BYTES or monotonic() - started > FETCH_S:
                        raise _Unobtainable("it is too large, or comes too slowly")
        except requests.RequestException as error:
            raise _Unobtainable(f"its host does not answer ({type(error).__name__})") from None
        return found


def _read(found: bytes) -> "list[Certificate]":
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(found)
    except ValueError:
        raise _Unobtainable("there is something else in its place") from None


@cache
def certificates(domain: str, folder: Path | None, *, trusts_folder: bool) -> Certificates:
    """Those of a domain and folder, shared by all endpoints of the process."""
    return Certificates(domain, folder, trusts_folder=trusts_folder)


@cache
def _pinned() -> "tuple[Certificate, ...]":
    return tuple(_read(PINNED.read_bytes()))


@cache
def _roots() -> "tuple[Certificate, ...]":
    """The roots that browsers trust, and the one that PayPal's library is pinned to."""
    import certifi
    from cryptography import x509

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some roots are older than the rules about serial numbers
        for pem in re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", certifi.contents(), re.DOTALL):
            with suppress(ValueError):
                found.append(x509.load_pem_x509_certificate(pem.encode()))
    return (*found, *(one for one in _pinned() if one.subject == one.issuer))
