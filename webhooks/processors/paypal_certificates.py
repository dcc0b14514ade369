"""The certificates that PayPal signs with: fetched from its own host only, trusted when a chain leads to a root.

PayPal serves a certificate without its issuer's (seen in recorded deliveries of 2024), and nothing is
fetched from any other host: the issuers are those that PayPal's own Python library is pinned to, in
paypal_issuers.pem, and those that an operator adds.

Anybody can name certificates that do not exist. So a learned certificate is kept for all processes and never fetched
again, and the others are fetched within a budget per source and one for all: invented names use up their source's.
"""

import re
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from webhooks.processors.base import Kept
from webhooks.signatures import Invalid, Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import Certificate

PINNED = Path(__file__).with_name("paypal_issuers.pem")
ISSUERS = "issuers.pem"
"""Further issuers' certificates, in the folder of the option `certs`; a chain has to lead from them to a root."""

FETCH_S = 3.0
AT_ONCE = 4
"""Concurrent fetches: each holds a thread that could answer deliveries."""
WAIT_S = 0.5
"""How long a thread waits for a certificate that another one is fetching; most answers take less."""
A_MINUTE, A_MINUTE_FROM_ONE = 60, 5
"""Fetches within a minute, of all sources and of one."""
FAILED_FOR_S = 30.0
"""How long a certificate that failed, or is not PayPal's, is not fetched again."""
MAX_BYTES = 64 * 1024
MAX_KNOWN = 32
MAX_FAILED = MAX_SOURCES = 1000

NEVER_SEEN = Invalid("PayPal's certificate is new here", undecided=True)


class _Unobtainable(Exception):
    """A certificate is not available now."""


class Budget:
    """Rate limits of the fetches: one for each source, and one for all together."""

    def __init__(self) -> None:
        self._all: deque[float] = deque(maxlen=A_MINUTE)
        self._of: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def spend(self, source: str) -> bool:
        """Whether the source may fetch now; if so, count the fetch."""
        with self._lock:
            own = self._of.pop(source, None) or deque[float](maxlen=A_MINUTE_FROM_ONE)
            self._of[source] = own
            if len(self._of) > MAX_SOURCES:
                self._of.popitem(last=False)
            now = monotonic()
            if any(len(spent) == spent.maxlen and now - spent[0] < 60 for spent in (own, self._all)):
                return False
            own.append(now)
            self._all.append(now)
            return True


class Certificates:
    """PayPal's public keys: each is learned once, checked, and kept while its certificate is valid."""

    def __init__(self, domain: str, folder: Path | None, *, trusts_folder: bool) -> None:
        """`domain` is the subject of the certificates; `folder` has some on disk, and a root if it is trusted."""
        self._domain = domain
        self._folder = folder
        self._trusts_folder = trusts_folder
        self._known: OrderedDict[str, tuple[RSAPublicKey, float, float]] = OrderedDict()
        self._failed: OrderedDict[str, tuple[float, Invalid]] = OrderedDict()
        self._budget = Budget()
        self._fetching: dict[str, Event] = {}
        self._lock = Lock()

    def key(self, url: str, name: str, now: float) -> "RSAPublicKey | Invalid":
        """The key of the certificate at that address, where it is known here or is in the folder.

        NEVER_SEEN where it has to be learned first; another Invalid for a certificate that is not PayPal's, or that
        failed lately.
        """
        if found := self._found(url, now):
            return found
        file = self._folder / f"{name}.pem" if self._folder else None
        if file is None or not file.is_file():
            return NEVER_SEEN
        failure = self._learn(url, now, file.read_bytes)
        return failure or self._found(url, now) or NEVER_SEEN

    def learn(self, url: str, now: float, source: str, kept: Kept) -> Verdict:
        """Learn the certificate at that address: a kept one, or one from PayPal's host within the source's budget.

        None where it is known then; else the reason, undecided where a later try may succeed.
        """
        found = self._found(url, now)
        if found and not (isinstance(found, Invalid) and found.undecided):
            return found if isinstance(found, Invalid) else None
        for pem in kept.get(url):
            with suppress(_Unobtainable, OSError, *_refusals()):
                self._accept(url, now, pem)
                return None
        return found if isinstance(found, Invalid) else self._fetch(url, now, source, kept)

    def _fetch(self, url: str, now: float, source: str, kept: Kept) -> Verdict:
        with self._lock:
            other = self._fetching.get(url)
            if other is None:
                if len(self._fetching) >= AT_ONCE:
                    return Invalid("other certificates are being fetched", undecided=True)
                if not self._budget.spend(source):
                    return Invalid("too many certificates were asked for within a minute", undecided=True)
                mine = self._fetching[url] = Event()
        if other:
            other.wait(WAIT_S)
            found = self._found(url, now) or NEVER_SEEN
            return found if isinstance(found, Invalid) else None

        def served() -> bytes:
            pem = _fetched(url)
            self._check_issuer(pem)
            return pem

        try:
            return self._learn(url, now, served, kept)
        finally:
            with self._lock:
                del self._fetching[url]
            mine.set()

    def _found(self, url: str, now: float) -> "RSAPublicKey | Invalid | None":
        known, failed = self._known.get(url), self._failed.get(url)
        if known and known[1] <= now <= known[2]:
            return known[0]
        return failed[1] if failed and monotonic() < failed[0] else None

    def _learn(self, url: str, now: float, get: Callable[[], bytes], kept: Kept | None = None) -> Verdict:
        try:
            pem = get()
            self._accept(url, now, pem)
        except (_Unobtainable, OSError) as why:
            failure = Invalid(f"PayPal's certificate cannot be fetched: {why}", undecided=True)
        except _refusals() as why:
            reason = str(why).partition(" (encountered")[0][:200]
            failure = Invalid(f"the certificate is not PayPal's, or not valid now ({reason})")
        else:
            if kept:
                kept.put(url, pem)
            return None
        _put(self._failed, url, (monotonic() + FAILED_FOR_S, failure), MAX_FAILED)
        return failure

    def _accept(self, url: str, now: float, pem: bytes) -> None:
        """Remember the certificate, when a chain leads from it to a trusted root.

        Raises _Unobtainable for anything but a certificate, and one of _refusals.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.x509.verification import PolicyBuilder, Store

        leaf, *issuers = _read(pem)
        policy = PolicyBuilder().store(Store(self._trusted())).time(datetime.fromtimestamp(now, UTC))
        verifier = policy.build_server_verifier(x509.DNSName(self._domain))
        verifier.verify(leaf, [*issuers, *_pinned(), *self._own(ISSUERS)])
        key = leaf.public_key()
        if not isinstance(key, RSAPublicKey):
            raise ValueError("it has no RSA key")  # noqa: TRY004 -- it is the certificate that is wrong
        valid = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        _put(self._known, url, (key, *valid), MAX_KNOWN)

    def _check_issuer(self, served: bytes) -> None:
        """Raises _Unobtainable for an unknown issuer: PayPal's own host uses it, so an operator has to add it."""
        leaf, *issuers = _read(served)
        known = {other.subject for other in [*issuers, *_pinned(), *self._own(ISSUERS), *self._trusted()]}
        if leaf.issuer not in known:
            issuer = leaf.issuer.rfc4514_string()
            raise _Unobtainable(
                f"its issuer is not known: put the certificate of {issuer} into certs=FOLDER, {ISSUERS}"
            )

    def _trusted(self) -> "list[Certificate]":
        return [*_roots(), *(self._own("ca.pem") if self._trusts_folder else [])]

    def _own(self, name: str) -> "list[Certificate]":
        file = self._folder / name if self._folder else None
        return _read(file.read_bytes()) if file and file.is_file() else []


def _put(holder: OrderedDict[str, Any], name: str, value: Any, most: int) -> None:
    """Put it in, and drop the oldest entries beyond the limit."""
    holder[name] = value
    while len(holder) > most:
        with suppress(KeyError):  # another thread was faster
            holder.popitem(last=False)


@cache
def _refusals() -> tuple[type[Exception], ...]:
    """The errors of a certificate that is not PayPal's."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509.verification import VerificationError

    return ValueError, VerificationError, UnsupportedAlgorithm


def _fetched(url: str) -> bytes:
    import requests

    started, found = monotonic(), b""
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
        raise _Unobtainable("its address has something else than a certificate") from None


@cache
def certificates(domain: str, folder: Path | None, *, trusts_folder: bool) -> Certificates:
    """The certificates of a domain and folder, shared by all endpoints of the process."""
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
