"""The chain over the ledger: each entry's hash covers the entry, its cause, and the hash before it.

Entries are sealed an hour after they were written, by an hourly job and by the audit, which then verifies the whole
chain. The audit finds and names an entry that was changed, deleted or slipped in after it was sealed, even past the
triggers, and an entry whose cause was changed. A database owner can rewrite both entries and chain; therefore the head
is sent out once a day, and a kept head proves that what was sealed by then is unchanged. Not covered: entries
younger than the last seal, and whether a cause was true in the first place.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, LargeBinary, Row, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base
from runtime.language import stored

START = bytes(32)
"""The hash before the first entry's."""
BATCH = 5000
LAST_ID = 2**63 - 1

_SLIPPED_IN = stored("was slipped in: those after it are sealed, and it is not")
_GONE = stored("is gone")
_CHANGED = stored("is not what was sealed: it was changed, or one before it slipped in")
_OTHER_CAUSE = stored("has not the cause that was sealed: changed was {cause}")


class EntryHash(Base):
    """The seal of one ledger entry: SHA-256 of the hash before it, the entry, and `cause`.

    Without a foreign key, because it outlives entries that are gone.
    """

    __tablename__ = "entry_chain"
    __table_args__ = (CheckConstraint("length(hash) = 32", "hash"), CheckConstraint("length(cause) = 32", "cause"))

    entry_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    cause: Mapped[bytes | None] = mapped_column(LargeBinary)
    """SHA-256 of the rows that the entry points to; NULL in the first releases' seals, of the entry alone."""


class Head(NamedTuple):
    """A sealed entry and its hash: the last of the chain or of a batch."""

    entry_id: int
    hash: bytes


class Broken(NamedTuple):
    """An entry that the chain contradicts, and how."""

    entry_id: int
    what: str


class Walked(NamedTuple):
    """One verified batch; `reached` is its last entry, None at the end of the chain."""

    broken: list[Broken]
    entries: int
    reached: int | None
    head: Head | None
    """The last seal of the batch; None if it had none."""


class Sealed(NamedTuple):
    """A sealed entry and when it was written; None if it is gone."""

    entry_id: int
    recorded_at: datetime | None


_HEAD = text("SELECT entry_id, hash FROM entry_chain ORDER BY entry_id DESC LIMIT 1")
_BEFORE = text("SELECT hash FROM entry_chain WHERE entry_id <= :after ORDER BY entry_id DESC LIMIT 1")
_SEALS = text("""
    SELECT entry_id, hash, cause FROM entry_chain
    WHERE entry_id > :after AND entry_id <= :up_to ORDER BY entry_id LIMIT :limit
""")
_FIND = text("""
    SELECT c.entry_id, e.recorded_at FROM entry_chain c LEFT JOIN ledger_entries e ON e.id = c.entry_id
    WHERE c.hash = :hash ORDER BY c.entry_id LIMIT 1
""")

# Every column that is not NULL, by its name: a further column keeps the hashes, while it is nullable. Times as
# ISO 8601 in UTC, keys in the order that jsonb gives them everywhere. Of the cause only what never changes once
# there is an entry: of a grant its definition, of an expiry run its beginning.
_ENTRIES = text("""
    SELECT e.id, CAST(jsonb_strip_nulls(to_jsonb(e)) AS text) AS canonical,
           sha256(convert_to(CAST(jsonb_strip_nulls(jsonb_build_object(
               'grant', jsonb_build_object('id', g.id, 'payment_id', g.payment_id, 'action_id', g.action_id,
                   'member_id', coalesce(g.first_member_id, g.member_id), 'item_id', g.item_id,
                   'tranche', nullif(g.tranche, 0), 'quantity', g.first_quantity, 'effective_at', g.effective_at,
                   'recorded_at', g.recorded_at, 'club_ids', g.club_ids),
               'fact', to_jsonb(f), 'act', to_jsonb(a), 'adjustment', to_jsonb(d), 'redemption', to_jsonb(r),
               'expiry_run', jsonb_build_object('id', x.id, 'as_of', x.as_of, 'started_at', x.started_at)
           )) AS text), 'UTF8')) AS cause,
           e.grant_id, e.fact_id, e.action_id, d.id AS adjustment_id, e.redemption_id, e.expiry_run_id,
           e.recorded_at > clock_timestamp() - interval '1 hour' AS fresh
    FROM (SELECT * FROM ledger_entries WHERE id > :after AND id <= :up_to ORDER BY id LIMIT :limit) e
    LEFT JOIN credit_grants g ON g.id = e.grant_id
    LEFT JOIN payment_facts f ON f.id = e.fact_id
    LEFT JOIN actions a ON a.id = e.action_id
    LEFT JOIN adjustments d ON d.action_id = e.action_id
    LEFT JOIN redemptions r ON r.id = e.redemption_id
    LEFT JOIN expiry_runs x ON x.id = e.expiry_run_id
    ORDER BY e.id
""")
_CAUSES = ("grant", "fact", "action", "adjustment", "redemption", "expiry_run")

_SEAL = text("""
    INSERT INTO entry_chain (entry_id, hash, cause)
    SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:hashes AS bytea[]), CAST(:causes AS bytea[]))
    ON CONFLICT DO NOTHING
""")


def head(session: Session) -> Head | None:
    """The last seal of the chain; None before anything was sealed."""
    row = session.execute(_HEAD).one_or_none()
    return Head(row.entry_id, bytes(row.hash)) if row else None


def find(session: Session, sealed: bytes) -> Sealed | None:
    """The entry with this hash; None if the chain has no such hash."""
    row = session.execute(_FIND, {"hash": sealed}).one_or_none()
    return Sealed(*row) if row else None


def seal(session: Session, *, limit: int = BATCH) -> int:
    """Seal up to `limit` entries after the head. Returns how many; commit, and call again while it is `limit`.

    Stops at the first entry that was written less than an hour ago: sequences hand out ids before the rows are
    committed, so a lower id may still appear among younger entries. Idempotent: two at once write the same hashes.
    """
    end = head(session) or Head(0, START)
    previous, seals = end.hash, list[tuple[int, bytes, bytes]]()
    for entry in _entries(session, end.entry_id, LAST_ID, limit):
        if entry.fresh:
            break
        previous = _hash(previous, entry, bytes(entry.cause))
        seals.append((entry.id, previous, bytes(entry.cause)))
    if seals:
        ids, hashes, causes = (list(column) for column in zip(*seals, strict=True))
        session.execute(_SEAL, {"ids": ids, "hashes": hashes, "causes": causes})
    return len(seals)


def walk(session: Session, after: int, *, up_to: int = LAST_ID, limit: int = BATCH) -> Walked:
    """Verify the next sealed entries after that id, up to `up_to`."""
    # Read the head first, so that an entry that another process seals meanwhile does not look slipped in.
    end = head(session)
    up_to = min(up_to, end.entry_id if end else 0)
    rows = _entries(session, after, up_to, limit)
    seals = session.execute(_SEALS, {"after": after, "up_to": up_to, "limit": limit}).all()
    last = _last([row.id for row in rows], [row.entry_id for row in seals], limit)
    entries = {row.id: row for row in rows if last is None or row.id <= last}
    sealed = {row.entry_id: row for row in seals if last is None or row.entry_id <= last}
    before = session.scalar(_BEFORE, {"after": after})
    reached = Head(after, bytes(before) if before is not None else START)
    broken: list[Broken] = []
    for entry_id in sorted(entries.keys() | sealed.keys()):
        entry, known = entries.get(entry_id), sealed.get(entry_id)
        if known is None:
            broken.append(Broken(entry_id, _SLIPPED_IN))
            continue
        if entry is None:
            broken.append(Broken(entry_id, _GONE))
        elif _hash(reached.hash, entry, bytes(known.cause or b"")) != bytes(known.hash):
            broken.append(Broken(entry_id, _CHANGED))
        elif known.cause is not None and bytes(known.cause) != bytes(entry.cause):
            broken.append(Broken(entry_id, _OTHER_CAUSE.format(cause=_cause(entry))))
        reached = Head(entry_id, bytes(known.hash))
    return Walked(broken, len(sealed), last, reached if sealed else None)


def _entries(session: Session, after: int, up_to: int, limit: int) -> Sequence[Row[Any]]:
    session.execute(text("SET LOCAL timezone = 'UTC'"))
    return session.execute(_ENTRIES, {"after": after, "up_to": up_to, "limit": limit}).all()


def _hash(previous: bytes, entry: Row[Any], cause: bytes) -> bytes:
    return sha256(previous + entry.canonical.encode() + cause).digest()


def _cause(entry: Row[Any]) -> str:
    """The rows that the entry points to, in words with their ids."""
    ids = entry._asdict()
    return " or ".join(f"{what.replace('_', ' ')} {ids[f'{what}_id']}" for what in _CAUSES if ids[f"{what}_id"])


def _last(entries: list[int], sealed: list[int], limit: int) -> int | None:
    """The id up to which both are known; None if both have come to their end."""
    full = [ids[-1] for ids in (entries, sealed) if len(ids) == limit]
    return min(full, default=None)
