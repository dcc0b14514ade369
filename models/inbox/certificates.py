"""Certificates that a processor signs with, as one process has learned them, for all others and for the next start.

Rows are only added. Each was authentic when it was learned, and every reader verifies it again.
"""

from sqlalchemy import Connection, Index, LargeBinary, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.base import Base, Id, RecordedAt


class LearnedCertificate(Base):
    """A certificate, with the issuers' that were served with it, by the address that it was fetched from."""

    __tablename__ = "learned_certificates"
    __table_args__ = (Index("uq_learned_certificates_name_pem", "name", func.sha256(text("pem")), unique=True),)

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(255))
    pem: Mapped[bytes] = mapped_column(LargeBinary)
    learned_at: Mapped[RecordedAt]


_ALL = text("SELECT name, pem FROM learned_certificates ORDER BY id DESC LIMIT 1000")
_KEEP = text("INSERT INTO learned_certificates (name, pem) VALUES (:name, :pem) ON CONFLICT DO NOTHING")


def learned(connection: Connection) -> dict[str, list[bytes]]:
    """What was learned under each name, the newest first."""
    found: dict[str, list[bytes]] = {}
    for name, pem in connection.execute(_ALL):
        found.setdefault(name, []).append(bytes(pem))
    return found


def keep(connection: Connection, name: str, pem: bytes) -> None:
    """Keeps a certificate under a name; once more, it changes nothing."""
    connection.execute(_KEEP, {"name": name, "pem": pem})
