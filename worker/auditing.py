"""Auditing: every check from beginning to end, a batch in each transaction; the result is kept. Sealing beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from models.audit import chain, checks
from models.audit.results import KEPT, Audit


class HeadChecked(NamedTuple):
    """The entry with a head that was kept, when it was written, and the sealed entries up to it with the findings."""

    sealed: chain.Sealed
    entries: int
    findings: list[str]


@dataclass(frozen=True)
class Auditing:
    """One audit of an installation."""

    sessions: sessionmaker[Session]
    batch: int = checks.BATCH

    def run(self, *, progress: Callable[[float], object] = lambda _: None) -> Audit:
        """Goes over everything there is; `progress` gets the share that is done. Keeps what it found."""
        kept = Audit(started_at=datetime.now(UTC), entries=0, findings=0, left_out=0, first_findings=[])
        with self.sessions.begin() as session:
            sizes = checks.sizes(session)
        before = 0
        for check, size in zip(checks.CHECKS, sizes, strict=True):
            after: int | None = 0
            while after is not None:
                with self.sessions.begin() as session:
                    findings, after, entries, head, left_out = check(session, after, self.batch)
                kept.entries += entries
                kept.left_out += left_out
                if head:
                    kept.head_entry, kept.head = head
                kept.findings += len(findings)
                kept.first_findings += [one.what for one in findings][: KEPT - len(kept.first_findings)]
                progress((before + min(size, after or size)) / max(1, sum(sizes)))
            before += size
        with self.sessions.begin() as session:
            session.add(kept)
        return kept

    def seal(self) -> int:
        """Seals the entries that are old enough, and says how many."""
        total, more = 0, True
        while more:
            with self.sessions.begin() as session:
                sealed = chain.seal(session, limit=self.batch)
            total, more = total + sealed, sealed == self.batch
        return total

    def check_head(self, kept: bytes, *, progress: Callable[[float], object] = lambda _: None) -> HeadChecked | None:
        """Verifies every sealed entry up to the one with that hash, and changes nothing; None if the chain has none."""
        with self.sessions() as session:
            found = chain.find(session, kept)
        if found is None:
            return None
        total, findings = 0, list[str]()
        after: int | None = 0
        while after is not None:
            with self.sessions() as session:
                checked = checks.sealed(session, after, self.batch, up_to=found.entry_id)
            total, after = total + checked.entries, checked.reached
            findings += [one.what for one in checked.findings]
            progress(min(1.0, (after or found.entry_id) / found.entry_id))
        return HeadChecked(found, total, findings)
