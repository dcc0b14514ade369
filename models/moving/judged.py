"""The verdict on a row, and the members that rows may mean; for both kinds of files."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from unicodedata import normalize

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database.arrays import array
from models.moving.imports import Problem, Verdict
from runtime.language import stored

DIFFERS = stored("{said} in the file, {known} here")


class Judged(NamedTuple):
    """A row's verdict, and what the database has to know of it; the fields are those of `ImportRow`."""

    number: int
    verdict: Verdict
    problems: Sequence[Problem] = ()
    parsed: dict[str, Any] | None = None
    address: str | None = None
    person: str | None = None
    payer: str | None = None
    billing: Sequence[str] = ()
    row_key: str | None = None
    shares_address: bool = False
    club: str | None = None
    what: str | None = None
    sessions: int | None = None
    member_id: int | None = None
    membership_id: int | None = None
    grant_id: int | None = None


def plain(name: str) -> str:
    """PURE: the same for names that look the same, however their accents and spaces are encoded."""
    return normalize("NFKC", name)


class KnownMember(NamedTuple):
    """A member who is found by an address."""

    id: int
    name: str


# The address of a merged member leads to the one that it is now; that of an erased one to nobody.
_MEMBERS = text("""
    WITH RECURSIVE found AS (
        SELECT wanted AS address, id, name, merged_into
        FROM unnest(CAST(:addresses AS text[])) AS wanted JOIN members ON lower(email) = lower(wanted)
        -- By the index, also where a planner without statistics would rather read all members.
        WHERE erased_at IS NULL AND lower(email) = ANY(ARRAY(
            SELECT lower(one) FROM unnest(CAST(:addresses AS text[])) AS one))
        UNION
        SELECT found.address, m.id, m.name, m.merged_into
        FROM found JOIN members m ON m.id = found.merged_into AND m.erased_at IS NULL
    )
    SELECT address, id, name FROM found WHERE merged_into IS NULL ORDER BY id
""")


def known_members(session: Session, addresses: Collection[str]) -> dict[str, list[KnownMember]]:
    """The members with each of these addresses, by the address in lower case."""
    found: defaultdict[str, dict[int, KnownMember]] = defaultdict(dict)
    if addresses:
        for address, member_id, name in session.execute(_MEMBERS, {"addresses": array(sorted(addresses))}):
            found[address.lower()][member_id] = KnownMember(member_id, name)
    return {address: list(same.values()) for address, same in found.items()}
