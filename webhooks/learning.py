"""Certificates that web processes learned, shared through the database; and the source of a request.

To learn one, the web process has to ask another host. An attacker could cause such requests, so each source of
deliveries has a budget of its own.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from threading import Lock
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models.inbox import certificates
from runtime.logs import first_line

READ_AGAIN_S = 1.0
"""How often at most the database is asked for what other processes have learned."""

log = structlog.get_logger()


class Learned:
    """The certificates that any process of this installation has learned, by name.

    While the database is away there are none; nothing can be stored and acknowledged then anyway.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, list[bytes]] = {}
        self._read_at = float("-inf")
        self._reading = Lock()

    def get(self, name: str) -> Sequence[bytes]:
        """The certificates of that name, the newest first, with those that other processes learned a second ago."""
        if name not in self._known and self._reading.acquire(blocking=False):
            try:
                if monotonic() >= self._read_at + READ_AGAIN_S:
                    self._read_at = monotonic()
                    self._read()
            finally:
                self._reading.release()
        return self._known.get(name, ())

    def put(self, name: str, pem: bytes) -> None:
        """Keep one for all processes."""
        try:
            with self._engine.begin() as connection:
                certificates.keep(connection, name, pem)
        except SQLAlchemyError as error:
            log.warning("certificate_not_kept", name=name, error=first_line(error))

    def _read(self) -> None:
        try:
            with self._engine.connect() as connection:
                self._known = certificates.learned(connection)
        except SQLAlchemyError as error:
            log.warning("certificates_not_read", error=first_line(error))


def source_of(environ: Mapping[str, Any], trusted_proxies: int) -> str:
    """The source of a request, which has one budget: an IPv4 address, or an IPv6 network of 64 bits.

    It is the address that the outermost trusted proxy saw; without a proxy, the one that this process sees. Entries
    that a client writes into X-Forwarded-For itself come before those of the proxies, and are ignored.
    """
    forwarded = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    seen = environ.get("REMOTE_ADDR", "")
    if trusted_proxies and len(forwarded) >= trusted_proxies:
        seen = forwarded[-trusted_proxies]
    try:
        address = ip_address(seen)
    except ValueError:
        return "unknown"
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped or address.version == 4:
        return str(mapped or address)
    return str(ip_network(f"{address}/64", strict=False).network_address)
