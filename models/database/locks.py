"""Locks that last until the transaction ends.

One stands between settling payments and changing what decides their worth or whose they are: a plan, a club, an act on
a membership's life, a billing reference that is moved or removed, or what is marked as not dues. Without it, a payment
that is being settled could be judged by the rules of before, and be missed by the change.
"""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array

_SETTLE = text("SELECT pg_advisory_xact_lock_shared(hashtext('spp rules'))")
_NAMED = text("SELECT pg_advisory_xact_lock(hashtext(:name))")
_EACH = text("SELECT pg_advisory_xact_lock(hashtext(name)) FROM unnest(CAST(:names AS text[])) AS name")
_CHANGE = text("SELECT pg_advisory_xact_lock(hashtext('spp rules'))")


def settle(session: Session) -> None:
    """Wait until no change is being made, and let none be made before this transaction ends."""
    session.execute(_SETTLE)


def change(session: Session) -> None:
    """Wait until nothing is being settled, and let nothing be settled before this transaction ends."""
    session.execute(_CHANGE)


def named(session: Session, name: str) -> None:
    """Wait for others who hold the lock of that name, and let nobody else have it."""
    session.execute(_NAMED, {"name": name})


def each(session: Session, names: Iterable[str]) -> None:
    """The same for many names, in their order, so that two who want some of the same do not deadlock."""
    session.execute(_EACH, {"names": array(sorted(set(names)))})
