"""Rows of opening balances: what each says, and how that compares with what is here."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.days import ONE_DAY, end_of, last_day, local_day
from models.catalogue.items import Item, ItemKind
from models.catalogue.rules import MAX_QUANTITY
from models.database.arrays import array
from models.database.naming import email_given, name_given
from models.errors import (
    DayOver,
    DaysBackwards,
    MembersAlike,
    MoreLeftThanAtFirst,
    NameMissingInRow,
    NotASessionItem,
    NotFound,
    NotPositive,
    NumberTooLarge,
    WrongValueCurrency,
)
from models.ledger import expiry
from models.members.memberships import MAX_EMAIL_LENGTH
from models.moving import cells as take
from models.moving.cells import Catalogue, Cells
from models.moving.columns import NEVER
from models.moving.imports import Problem, Verdict
from models.moving.judged import DIFFERS, Judged, KnownMember, known_members, plain
from models.staff.actions import reason_given
from models.wording import day_of, joined, money
from runtime.language import stored

NOTHING = stored("nothing")
OPENING, USED_BEFORE = "opening balance", "used before"
"""How the notes of the two entries begin; models/statements/entry_wording.py says them to people."""


class Balance(NamedTuple):
    """What a row says, where nothing is wrong with it by itself."""

    email: str
    name: str | None
    item: Item
    left: int
    of: int
    last: date | None
    """None is never."""
    starts: date | None
    """None is at once."""
    value: tuple[int, str] | None
    """What all of them cost, in minor units of a currency."""
    note: str

    @property
    def row_key(self) -> str:
        """By which, with the member, it is known."""
        return _key(self.item.id, self.last, self.starts)

    @property
    def entry_note(self) -> str:
        """The note of the entry that opens the grant: what it cost, what is left of that, and the row's note."""
        worth_parts = []
        if self.value:
            value, currency = self.value
            worth_parts.append(f"{self.of} for {money(value, currency)}")
            if self.left < self.of:
                worth = worth_left(value, self.of, self.left)
                worth_parts.append(f"{self.left} left worth {money(worth, currency)}")
        return ": ".join([OPENING, ", ".join([*worth_parts, *filter(None, [self.note])])]).removesuffix(": ")


def _key(item_id: int, last: date | None, starts: date | None) -> str:
    return " ".join([str(item_id), str(last or NEVER), *([f"from {starts}"] if starts else [])])


def worth_left(value_minor: int, of: int, left: int) -> int:
    """PURE: the part of the value that belongs to the sessions that are left, in minor units; the parts add up."""
    return value_minor - value_minor * (of - left) // of


def read(cells: Cells, known: Catalogue) -> Balance | None:
    """What the row says; None if something is wrong with it, which the cells then know."""
    email = cells.take("email", lambda text: email_given(text, MAX_EMAIL_LENGTH))
    name = cells.take("name", name_given)
    item = cells.take("item", known.item)
    if item and item.kind != ItemKind.SCHEDULER_BUCKET:
        with cells.judged("item"):
            raise NotASessionItem(item=item.name)
    left = cells.take("left", take.number)
    of = cells.take("of", take.number) if cells.text("of") else left
    last = cells.take("last_day", lambda text: (None if text.lower() == NEVER else take.day(text),))
    starts = cells.take("usable_from", take.day)
    if starts and last and last[0] and starts > last[0]:
        with cells.judged("usable_from"):
            raise DaysBackwards(first=day_of(starts), last=day_of(last[0]))
    value = cells.take("value", take.money)
    note = cells.take("note", lambda text: reason_given(text, field="note")) or ""
    with cells.judged("of" if cells.text("of") else "left"):
        if of is not None and of < 1:
            raise NotPositive(what="Sessions", value=of)
        if of is not None and of > MAX_QUANTITY:
            raise NumberTooLarge(what="Sessions", value=of, limit=MAX_QUANTITY)
    with cells.judged("left"):
        if left is not None and of is not None and left > of:
            raise MoreLeftThanAtFirst(left=left, of=of)
    if cells.problems or not (email and item and last) or left is None or of is None:
        return None
    return Balance(email, name, item, left, of, last[0], starts, value, note)


class Home(NamedTuple):
    """The club of a member's newest membership, by whose days what is given to the member expires."""

    club: str
    time_zone: str
    currency: str


_HOMES = text("""
    SELECT DISTINCT ON (m.member_id) m.member_id, c.name, c.time_zone, c.currency
    FROM memberships m JOIN clubs c ON c.id = m.club_id
    WHERE m.member_id = ANY(CAST(:members AS bigint[])) AND m.withdrawn_at IS NULL
    ORDER BY m.member_id, m.id DESC
""")

# What the import's own act wrote; what happened to the sessions since is no part of it.
_OPENED = text("""
    SELECT g.member_id, g.item_id, g.id, CASE WHEN g.effective_at <> g.recorded_at THEN g.effective_at END,
           opened.expires_at, opened.quantity, opened.note,
           coalesce((SELECT -sum(quantity) FROM ledger_entries e
                     WHERE e.grant_id = g.id AND e.action_id = g.action_id AND e.quantity < 0), 0) AS used
    FROM credit_grants g
    JOIN imports i ON i.action_id = g.action_id AND i.undone_by IS NULL
    JOIN LATERAL (
        SELECT expires_at, quantity, note FROM ledger_entries WHERE grant_id = g.id ORDER BY id LIMIT 1
    ) opened ON true
    WHERE g.member_id = ANY(CAST(:members AS bigint[])) AND g.payment_id IS NULL
    ORDER BY g.id
""")


class Opened(NamedTuple):
    """An opening balance that is here, as it was written."""

    member_id: int
    item_id: int
    grant_id: int
    effective_at: datetime | None
    """From when it is usable, where it was not at once."""
    expires_at: datetime | None
    of: int
    note: str
    used: int


def judge(session: Session, rows: Sequence[tuple[int, Cells]], known: Catalogue, now: datetime) -> list[Judged]:
    """The verdict on each row by itself, with what is here."""
    read_rows = [(number, cells, read(cells, known)) for number, cells in rows]
    members = known_members(session, {one.email for _, _, one in read_rows if one})
    ids = {"members": array({one.id for same in members.values() for one in same})}
    homes = {member: Home(*row) for member, *row in session.execute(_HOMES, ids)}
    opened: dict[tuple[int, str], Opened] = {}
    for row in session.execute(_OPENED, ids):
        one = Opened(*row)
        zone = homes[one.member_id].time_zone
        last = last_day(one.expires_at, zone) if one.expires_at else None
        starts = local_day(one.effective_at, zone) if one.effective_at else None
        opened[one.member_id, _key(one.item_id, last, starts)] = one
    return [_judge(number, cells, one, members, homes, opened, now) for number, cells, one in read_rows]


def _judge(
    number: int, cells: Cells, balance: Balance | None, members: Mapping[str, Sequence[KnownMember]],
    homes: Mapping[int, Home], opened: Mapping[tuple[int, str], Opened], now: datetime,
) -> Judged:  # fmt: skip
    if balance is None:
        return Judged(number, Verdict.REFUSED, cells.problems, what=cells.text("item"))
    with cells.judged("email"):
        member = _whose(balance, members.get(balance.email.lower(), ()))
        home = homes.get(member.id)
        if home is None:
            raise NotFound(what=f"membership of {balance.email}", name="at all")
        here = opened.get((member.id, balance.row_key))
        expires_at = here.expires_at if here else None
        if here is None:
            with cells.judged("last_day"):
                expires_at = _end_of(balance, home, now)
            with cells.judged("usable_from"):
                if balance.starts and balance.starts < local_day(now, home.time_zone):
                    raise DayOver
            with cells.judged("value"):
                if balance.value and balance.value[1] != home.currency:
                    raise WrongValueCurrency(currency=balance.value[1], club=home.club, club_currency=home.currency)
        differs = _differences(balance, here) if here else []
        verdict = Verdict.SAME if here else Verdict.NEW
        verdict = Verdict.REFUSED if cells.problems else Verdict.CONFLICT if differs else verdict
        return Judged(
            number, verdict, cells.problems or differs, parsed=_parsed(balance, member, home, expires_at),
            address=balance.email.lower(), person=plain(member.name).casefold(), row_key=balance.row_key,
            club=home.club, what=balance.item.name, sessions=balance.left, member_id=member.id,
            grant_id=here.grant_id if here else None,
        )  # fmt: skip
    return Judged(number, Verdict.REFUSED, cells.problems, what=balance.item.name)


def _parsed(balance: Balance, member: KnownMember, home: Home, expires_at: datetime | None) -> dict[str, Any]:
    starts = end_of(balance.starts - ONE_DAY, home.time_zone) if balance.starts else None
    return {
        "email": balance.email, "name": member.name, "item_id": balance.item.id, "of": balance.of,
        "used": balance.of - balance.left, "effective_at": starts and starts.isoformat(),
        "expires_at": expires_at and expires_at.isoformat(), "note": balance.entry_note,
    }  # fmt: skip


def _whose(balance: Balance, known: Sequence[KnownMember]) -> KnownMember:
    """The member whose it is. Raises NotFound, NameMissingInRow or MembersAlike."""
    name = balance.name and plain(balance.name).casefold()
    same = [one for one in known if not name or plain(one.name).casefold() == name]
    if not same:
        raise NotFound(what="member", name=f"{balance.name}, {balance.email}" if known else balance.email)
    if len({plain(one.name).casefold() for one in same}) > 1:
        raise NameMissingInRow(email=balance.email, names=", ".join(one.name for one in same))
    if len(same) > 1:
        raise MembersAlike(members=joined([str(one.id) for one in same]))
    return same[0]


def _end_of(balance: Balance, home: Home, now: datetime) -> datetime | None:
    """When it expires, in UTC. Raises DayTooFar or DayOver."""
    if balance.last is None:
        return None
    expires_at = expiry.end_of(balance.last, home.time_zone, now)
    if expires_at <= now:
        raise DayOver
    return expires_at


def _differences(balance: Balance, here: Opened) -> list[Problem]:
    found: list[tuple[str, object, object]] = []
    if balance.of != here.of:
        found.append(("of", balance.of, here.of))
    if balance.left != here.of - here.used:
        found.append(("left", balance.left, here.of - here.used))
    if balance.entry_note != here.note:
        theirs, there = (one.removeprefix(OPENING).removeprefix(": ") for one in (balance.entry_note, here.note))
        found.append(("value or note", theirs or NOTHING, there or NOTHING))
    return [Problem(column, DIFFERS.format(said=theirs, known=ours)) for column, theirs, ours in found]
