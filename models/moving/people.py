"""Rows of people and memberships: what each says, and how that compares with what is here."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.days import ONE_DAY, end_of, local_day
from models.catalogue.items import Item
from models.catalogue.tables import Offer, OfferState, PaymentTerm
from models.database.arrays import Batch, array
from models.database.naming import email_given, name_given, reference_given
from models.errors import (
    AddressHere,
    CutOverMissing,
    EndpointMissing,
    FrozenWithoutBeginning,
    MembersAlike,
    NotFound,
    NotJoinedYet,
    ReferenceHere,
    TermMissing,
    WrongCurrency,
    WrongState,
)
from models.members.life import LifeAct, LifeKind, check_days
from models.members.memberships import MAX_EMAIL_LENGTH
from models.moving import cells as take
from models.moving.cells import Catalogue, Cells
from models.moving.imports import Problem, Verdict
from models.moving.judged import DIFFERS, Judged, KnownMember, known_members, plain
from models.wording import day_of, joined
from runtime.language import stored

_OTHER_ITEMS, _OF_SIGN_UP, _NONE = stored("other items"), stored("those of its sign-up"), stored("none")
_ALL_PAYMENTS, _NOT_FROZEN, _NO_END = stored("all of its payments"), stored("not frozen"), stored("no end")
_OFFER, _TERM_NAMED = stored("Offer {offer!r}"), stored("payment term of {offer!r} named")


class Person(NamedTuple):
    """What a row says, where nothing is wrong with it by itself."""

    email: str
    name: str
    shares: bool
    club: Club
    term: PaymentTerm
    pins: list[tuple[int, int, int]]
    joined: date
    billing: list[str]
    payer: str | None
    credits_from: datetime
    says_cut_over: bool
    """Whether the row itself says from when payments count."""
    frozen: tuple[date, date | None] | None
    ends: date | None

    @property
    def since(self) -> datetime:
        """The beginning of the local day of joining, in UTC."""
        return end_of(self.joined - ONE_DAY, self.club.time_zone)

    @property
    def row_key(self) -> str:
        """By which, with the member, its membership is known."""
        return f"{self.term.offer.id} {self.joined}"

    @property
    def parsed(self) -> dict[str, Any]:
        """What is written of it."""
        first, last = self.frozen or (None, None)
        return {
            "email": self.email, "name": self.name, "shares": self.shares, "club_id": self.club.id,
            "offer_id": self.term.offer.id, "term_id": self.term.id, "currency": self.term.currency,
            "since": self.since.isoformat(), "credits_from": self.credits_from.isoformat(), "pins": self.pins,
            "frozen_from": first and first.isoformat(), "frozen_to": last and last.isoformat(),
            "ends": self.ends and self.ends.isoformat(),
        }  # fmt: skip


def read(cells: Cells, known: Catalogue, cut_over: date | None, now: datetime) -> Person | None:
    """What the row says; None if something is wrong with it, which the cells then know."""
    email = cells.take("email", lambda text: email_given(text, MAX_EMAIL_LENGTH))
    name = cells.take("name", name_given)
    shares = cells.take("shares_address", take.yes_or_no) or False
    club = cells.take("club", known.club)
    offer = cells.take("offer", known.offer)
    term = _term(cells, offer, club) if offer else None
    picks = cells.take("picks", lambda text: [known.item(one) for one in take.several(text)]) or _included(offer)
    pins: list[tuple[int, int, int]] = []
    if term and not any(one.column == "picks" for one in cells.problems):
        with cells.judged("picks"):
            pins = known.pins(term, picks)
    joined = cells.take("joined", take.day)
    billing = _billing(cells, known)
    payer = cells.take("payer", lambda text: email_given(text, MAX_EMAIL_LENGTH).lower())
    own_cut_over = cells.take("credits_from", take.day_or_moment)
    frozen_from, frozen_to = cells.take("frozen_from", take.day), cells.take("frozen_to", take.day)
    ends = cells.take("ends", take.day)
    if frozen_to and not frozen_from:
        with cells.judged("frozen_from"):
            raise FrozenWithoutBeginning
    with cells.judged("credits_from"):
        if own_cut_over is None and cut_over is None and not cells.text("credits_from"):
            raise CutOverMissing
    if club and joined:
        _check_days(cells, local_day(now, club.time_zone), joined, frozen_from, frozen_to, ends)
    counts = own_cut_over or cut_over
    if cells.problems or not (email and name and club and term and joined and counts):
        return None
    moment = counts if isinstance(counts, datetime) else end_of(counts - ONE_DAY, club.time_zone)
    frozen = (frozen_from, frozen_to) if frozen_from else None
    return Person(
        email, name, shares, club, term, pins, joined, billing, payer, moment, own_cut_over is not None, frozen, ends
    )  # fmt: skip


def _term(cells: Cells, offer: Offer, club: Club | None) -> PaymentTerm | None:
    """The payment term, which may be retired: members have it still."""
    with cells.judged("offer"):
        if offer.state == OfferState.DRAFT:
            raise WrongState(what=_OFFER.format(offer=offer.name), state=offer.state, verb="bought")
    with cells.judged("term"):
        name = cells.text("term")
        term = take.the_term(offer, name) if name else offer.terms[0] if len(offer.terms) == 1 else None
        if name and term is None:
            raise NotFound(what=_TERM_NAMED.format(offer=offer.name), name=name)
        if term is None:
            raise TermMissing(offer=offer.name, terms=", ".join(one.name for one in offer.terms))
        if club and term.currency != club.currency:
            raise WrongCurrency(term_currency=term.currency, club=club.name, club_currency=club.currency)
        return term
    return None


def _included(offer: Offer | None) -> list[Item]:
    """What everybody takes, where nothing is said of picks."""
    return [bucket.item for bucket in offer.buckets if bucket.required] if offer else []


def _billing(cells: Cells, known: Catalogue) -> list[str]:
    endpoint = cells.text("endpoint")
    with cells.judged("endpoint"):
        if endpoint and endpoint not in known.endpoints:
            raise NotFound(what="endpoint", name=endpoint)

    def one(text: str) -> str:
        prefix, colon, rest = text.partition(":")
        if colon and prefix in known.endpoints:
            return f"{prefix}:{reference_given(rest)}"
        if not endpoint:
            raise EndpointMissing(reference=text)
        return f"{endpoint}:{reference_given(text)}"

    found = cells.take("billing_references", lambda text: [one(part) for part in take.several(text)])
    return list(dict.fromkeys(found or ()))


def _check_days(
    cells: Cells, today: date, joined: date, frozen_from: date | None, frozen_to: date | None, ends: date | None
) -> None:
    with cells.judged("joined"):
        if joined > today:
            raise NotJoinedYet(day=day_of(joined))
    if frozen_from:
        with cells.judged("frozen_from"):
            check_days(LifeAct(kind=LifeKind.FREEZE.value, first_day=frozen_from, last_day=frozen_to), today)
    if ends:
        with cells.judged("ends"):
            check_days(LifeAct(kind=LifeKind.END.value, last_day=ends), today, joined)


class KnownMembership(NamedTuple):
    """A membership that is here, as it was signed up for, and what became of it."""

    id: int
    member_id: int
    offer_id: int
    term: str
    term_id: int
    club: str
    club_id: int
    time_zone: str
    since: datetime
    credits_from: datetime | None
    items: Sequence[int]
    billing: Sequence[str]
    """Also those that it had."""
    freezes: Sequence[str]
    """`2026-01-07 2026-01-16`, or without the last day."""
    ends: date | None


_MEMBERSHIPS = text("""
    SELECT m.id, m.member_id, m.offer_id, t.name, t.id, c.name, c.id, c.time_zone, first.since, m.credits_from,
           ARRAY(SELECT item_id FROM pinned_terms WHERE terms_id = first.id ORDER BY item_id),
           ARRAY(SELECT endpoint || ':' || reference FROM billing_references WHERE membership_id = m.id
                 UNION SELECT endpoint || ':' || reference FROM former_references WHERE membership_id = m.id),
           ARRAY(SELECT concat_ws(' ', first_day, last_day) FROM life_in_force
                 WHERE membership_id = m.id AND kind = 'freeze'),
           (SELECT last_day FROM life_in_force WHERE membership_id = m.id AND kind = 'end' LIMIT 1)
    FROM memberships m
    JOIN LATERAL (
        SELECT id, since FROM membership_terms WHERE membership_id = m.id ORDER BY since, id LIMIT 1
    ) first ON true
    JOIN payment_terms t ON t.id = m.payment_term_id
    JOIN clubs c ON c.id = coalesce(
        (SELECT club_id FROM earlier_clubs WHERE membership_id = m.id ORDER BY until, id LIMIT 1), m.club_id)
    WHERE m.member_id = ANY(CAST(:members AS bigint[])) AND m.withdrawn_at IS NULL
    ORDER BY m.id
""")

_OWNERS = Batch(
    """
    SELECT new.billing, b.membership_id, lower(m.email) AS address
    FROM ROWS JOIN billing_references b
        ON b.endpoint = split_part(new.billing, ':', 1)
       AND b.reference = substr(new.billing, strpos(new.billing, ':') + 1)
    JOIN memberships s ON s.id = b.membership_id JOIN members m ON m.id = s.member_id
    """,
    billing="text",
)


def judge(
    session: Session, rows: Sequence[tuple[int, Cells]], known: Catalogue, cut_over: date | None, now: datetime
) -> list[Judged]:
    """The verdict on each row by itself, with what is here."""
    read_rows = [(number, cells, read(cells, known, cut_over, now)) for number, cells in rows]
    people = [person for _, _, person in read_rows if person]
    members = known_members(session, {one.email for one in people})
    ids = {one.id for same in members.values() for one in same}
    here: dict[tuple[int, str], KnownMembership] = {}
    for row in session.execute(_MEMBERSHIPS, {"members": array(ids)}) if ids else ():
        one = KnownMembership(*row)
        here.setdefault((one.member_id, f"{one.offer_id} {local_day(one.since, one.time_zone)}"), one)
    wanted = {(reference,) for one in people for reference in one.billing}
    owners = _owners(session, wanted)
    return [_judge(number, cells, person, members, here, owners) for number, cells, person in read_rows]


def _owners(session: Session, wanted: set[tuple[str]]) -> dict[str, dict[str, int]]:
    """By each reference: the memberships that have it, by their members' addresses."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in _OWNERS.execute(session, sorted(wanted)) if wanted else ():
        found[row.billing][row.address] = row.membership_id
    return found


def _judge(
    number: int, cells: Cells, person: Person | None, members: Mapping[str, Sequence[KnownMember]],
    here: Mapping[tuple[int, str], KnownMembership], owners: Mapping[str, Mapping[str, int]],
) -> Judged:  # fmt: skip
    if person is None:
        return Judged(number, Verdict.REFUSED, cells.problems, club=cells.text("club"), what=cells.text("offer"))
    member, membership = None, None
    with cells.judged("email"):
        member = _whose(person, members.get(person.email.lower(), ()))
    if member:
        membership = here.get((member.id, person.row_key))
    differs = _differences(person, member, membership) if member and membership else []
    for reference in person.billing:
        having = owners.get(reference)
        if having and person.payer not in having and not (membership and reference in membership.billing):
            endpoint, _, name = reference.partition(":")
            with cells.judged("billing_references"):
                raise ReferenceHere(reference=name, endpoint=endpoint, membership=min(having.values()))
    verdict = Verdict.REFUSED if cells.problems else Verdict.CONFLICT if differs else Verdict.NEW
    if membership and verdict == Verdict.NEW:
        verdict = Verdict.SAME
    return Judged(
        number, verdict, cells.problems or differs, parsed=person.parsed, address=person.email.lower(),
        person=plain(person.name).casefold(), payer=person.payer, billing=person.billing, row_key=person.row_key,
        shares_address=person.shares, club=person.club.name, what=person.term.offer.name,
        member_id=member.id if member else None, membership_id=membership.id if membership else None,
    )  # fmt: skip


def _whose(person: Person, known: Sequence[KnownMember]) -> KnownMember | None:
    """The member that is here; None for a new one. Raises AddressHere or MembersAlike."""
    name = plain(person.name).casefold()
    same = [one for one in known if plain(one.name).casefold() == name]
    if len(same) > 1:
        raise MembersAlike(members=joined([str(one.id) for one in same]))
    if same:
        return same[0]
    if known and not person.shares:
        raise AddressHere(known=known[0].id, name=known[0].name)
    return None


def _differences(person: Person, member: KnownMember, here: KnownMembership) -> list[Problem]:
    """What the row says, and what is here: one entry for each column in which they differ."""
    found: list[tuple[str, object, object]] = []
    if plain(member.name) != plain(person.name):
        found.append(("name", person.name, member.name))
    if here.club_id != person.club.id:
        found.append(("club", person.club.name, here.club))
    if here.term_id != person.term.id:
        found.append(("term", person.term.name, here.term))
    if sorted(item for item, _, _ in person.pins) != list(here.items):
        found.append(("picks", _OTHER_ITEMS, _OF_SIGN_UP))
    missing = [one for one in person.billing if one not in here.billing]
    if missing:
        found.append(("billing references", ", ".join(missing), ", ".join(here.billing) or _NONE))
    if person.says_cut_over and here.credits_from != person.credits_from:
        there = here.credits_from.astimezone(UTC).isoformat() if here.credits_from else _ALL_PAYMENTS
        found.append(("credits from", person.credits_from.isoformat(), there))
    frozen = " ".join(str(one) for one in person.frozen or () if one)
    if frozen and frozen not in here.freezes:
        found.append(("frozen from", frozen.replace(" ", " to "), ", ".join(here.freezes) or _NOT_FROZEN))
    if person.ends and person.ends != here.ends:
        found.append(("ends", person.ends, here.ends or _NO_END))
    return [Problem(column, DIFFERS.format(said=theirs, known=ours)) for column, theirs, ours in found]
