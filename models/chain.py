"""The chain over the ledger: each entry's hash covers the entry and the hash before it.

The audit seals entries an hour after they were written, and walks the whole chain again each time. An entry that
was changed, taken away or slipped in among the sealed ones, by whatever way around the triggers, is found, and the
first such row is named. What it does not prove: who can rewrite entries and chain alike leaves no trace in them.
Therefore the hash at the head is kept with each audit, logged and printed: compare it with one kept elsewhere. Nor
does it cover what is not sealed yet, the entries of the last hour.
"""

from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, LargeBinary, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base

START = bytes(32)
"""What stands before the first entry's."""
BATCH = 5000


class EntryHash(Base):
    """The seal of one ledger entry. Without a foreign key: it tells of entries that are gone."""

    __tablename__ = "entry_chain"
    __table_args__ = (CheckConstraint("length(hash) = 32", "hash"),)

    entry_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class Head(NamedTuple):
    """The last sealed entry, and its hash."""

    entry_id: int
    hash: bytes


class Broken(NamedTuple):
    """A row of the ledger that the chain contradicts."""

    entry_id: int
    what: str


class Walked(NamedTuple):
    """What one batch came to; `reached` is the last entry of it, None at the end of the ledger."""

    broken: list[Broken]
    entries: int
    reached: int | None


_HEAD = text("SELECT entry_id, hash FROM entry_chain ORDER BY entry_id DESC LIMIT 1")
_BEFORE = text("SELECT hash FROM entry_chain WHERE entry_id <= :after ORDER BY entry_id DESC LIMIT 1")
_SEALED = text("""
    SELECT entry_id, hash FROM entry_chain WHERE entry_id > :after ORDER BY entry_id LIMIT :limit
""")

# Every column that is not NULL, by its name: whatever comes to have more columns keeps its hashes, while those are
# nullable. Times as ISO 8601 in UTC, keys in the order that jsonb gives them everywhere.
_ENTRIES = text("""
    SELECT e.id, CAST(jsonb_strip_nulls(to_jsonb(e)) AS text) AS canonical,
           e.recorded_at > clock_timestamp() - interval '1 hour' AS fresh
    FROM ledger_entries e WHERE e.id > :after ORDER BY e.id LIMIT :limit
""")

_SEAL = text("""
    INSERT INTO entry_chain (entry_id, hash)
    SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:hashes AS bytea[])) ON CONFLICT DO NOTHING
""")


def head(session: Session) -> Head | None:
    """Where the chain ends; None before anything was sealed."""
    row = session.execute(_HEAD).one_or_none()
    return Head(row.entry_id, bytes(row.hash)) if row else None


def walk(session: Session, after: int, *, limit: int = BATCH) -> Walked:
    """Verifies the next entries after that id, and seals those that come after the head.

    It seals up to the first entry that was written less than an hour ago: ids are handed out before they are
    committed, so among younger ones another may still appear.
    """
    session.execute(text("SET LOCAL timezone = 'UTC'"))
    window = {"after": after, "limit": limit}
    rows = session.execute(_ENTRIES, window).all()
    hashes = {row.entry_id: bytes(row.hash) for row in session.execute(_SEALED, window)}
    last = _last([row.id for row in rows], list(hashes), limit)
    entries = {row.id: row for row in rows if last is None or row.id <= last}
    known = {entry_id for entry_id in hashes if last is None or entry_id <= last}
    sealed_up_to = end.entry_id if (end := head(session)) else 0
    before = session.scalar(_BEFORE, {"after": after})
    previous = bytes(before) if before is not None else START
    broken: list[Broken] = []
    seals: dict[int, bytes] = {}
    for entry_id in sorted(entries.keys() | known):
        entry, known_hash = entries.get(entry_id), hashes.get(entry_id)
        if entry is None:
            broken.append(Broken(entry_id, "is gone"))
        elif known_hash is None and entry_id < sealed_up_to:
            broken.append(Broken(entry_id, "was slipped in: those after it are sealed, and it is not"))
            continue
        else:
            made = sha256(previous + entry.canonical.encode()).digest()
            if known_hash is None:
                if entry.fresh:
                    last = None
                    break
                known_hash = seals[entry_id] = made
            elif known_hash != made:
                broken.append(Broken(entry_id, "is not what was sealed: it was changed, or one before it slipped in"))
        previous = known_hash or previous
    if seals:
        session.execute(_SEAL, {"ids": list(seals), "hashes": list(seals.values())})
    return Walked(broken, len(known) + len(seals), last)


def _last(entries: list[int], sealed: list[int], limit: int) -> int | None:
    """Up to where both are known; None where both have come to their end."""
    full = [ids[-1] for ids in (entries, sealed) if len(ids) == limit]
    return min(full, default=None)
