"""Auditing: every check from beginning to end, a batch in each transaction; the result is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session, sessionmaker

from models import audit, chain
from models.audits import KEPT, Audit


@dataclass(frozen=True)
class Auditing:
    """One audit of an installation."""

    sessions: sessionmaker[Session]
    batch: int = audit.BATCH

    def run(self, *, progress: Callable[[float], object] = lambda _: None) -> Audit:
        """Goes over everything there is; `progress` is told the share that is done. Keeps what it found."""
        kept = Audit(started_at=datetime.now(UTC), entries=0, findings=0, first_findings=[])
        with self.sessions.begin() as session:
            sizes = audit.sizes(session)
        before = 0
        for check, size in zip(audit.CHECKS, sizes, strict=True):
            after: int | None = 0
            while after is not None:
                with self.sessions.begin() as session:
                    findings, after, entries = check(session, after, self.batch)
                kept.entries += entries
                kept.findings += len(findings)
                kept.first_findings += [one.what for one in findings][: KEPT - len(kept.first_findings)]
                progress((before + min(size, after or size)) / max(1, sum(sizes)))
            before += size
        with self.sessions.begin() as session:
            if head := chain.head(session):
                kept.head_entry, kept.head = head
            session.add(kept)
        return kept
