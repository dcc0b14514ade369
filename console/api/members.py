"""Members with their balances, grants and ledger entries, now or at an earlier moment."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from flask_openapi3 import Tag
from pydantic import Field
from sqlalchemy import select

from console.api import paging
from console.api.fields import (
    TIME,
    Answer,
    AsOfQuery,
    Change,
    Email,
    Id,
    Moment,
    Name,
    Query,
    Text,
    field,
    id_of,
    parameter,
)
from console.api.gate import change, read
from console.api.memberships import LifeDays, life_days
from console.api.paging import Listing, PageQuery
from console.api.problems import Fault, InvalidRequest, WhyNot
from console.bounds import club_ids
from console.request import actor, database, utc_now
from models.catalogue.clubs import Club
from models.catalogue.items import GoodAt, Item
from models.errors import NotFound, SearchWithFilter
from models.members import overdue, record, search
from models.members.lookup import with_email
from models.members.memberships import Member as Person
from models.members.memberships import Membership
from models.members.search import Reason
from models.staff import theirs
from models.staff.accounts import Role
from models.staff.actions import MAX_REASON_LENGTH
from models.statements import member_list, statement, why_not
from models.statements.member_list import EVERYBODY, MAX_DAYS, DuesState, MemberFilter, Order, State

TAG = Tag(
    name="Members", description="People with their balances, grants and ledger entries, now or at an earlier moment."
)


class MemberQuery(PageQuery):
    """The members to list."""

    q: Annotated[str, Field(max_length=320)] | None = parameter(
        "Finds members by the beginnings of the words of their name, by the beginning of their e-mail address, or by "
        "a whole billing or payment reference, or the idempotency key of a redemption. One page has all that is "
        "found, and there is no cursor.",
        "ada",
        default=None,
    )
    club_id: Id | None = parameter("Only members with a membership at this club.", None, default=None)
    offer_id: Id | None = parameter("Only members with a membership of this offer now.", None, default=None)
    state: Literal["active", "frozen", "ended"] | None = parameter(
        "Only members with a membership that is `active` or `frozen` today, or all of whose memberships have `ended`.",
        None,
        default=None,
    )
    nothing_left: bool = parameter("Only members without a session that could be used today.", False, default=False)
    expiring_days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = parameter(
        "Only members with sessions that expire within so many days.", None, default=None
    )
    order: Literal["id", "name", "expires", "joined", "left"] = parameter(
        "By `id`, by `name`, by when sessions `expires` next, by who `joined` last, or by sessions `left`, the fewest "
        "first. Not for a search.",
        "id",
        default="id",
    )
    overdue: bool = parameter(
        "Only members whose dues are overdue; of a search, those among its matches.", False, default=False
    )
    email: Annotated[str, Field(max_length=320)] | None = parameter(
        "Those with this whole e-mail address: several, where they share it.", "ada@example.com", default=None
    )

    @property
    def wanted(self) -> MemberFilter:
        """The filter, but for the search."""
        dues = DuesState.OVERDUE if self.overdue else None
        return MemberFilter(
            self.club_id,
            self.offer_id,
            State(self.state) if self.state else None,
            dues,
            self.nothing_left,
            self.expiring_days,
        )


class AsOfPageQuery(PageQuery, AsOfQuery):
    """A moment, and the part of a list."""


class MembershipLife(LifeDays):
    """What is recorded of the life of one membership."""

    membership_id: int = id_of("membership")


class Member(Answer):
    """A person. They are found by their e-mail address, in upper or lower case; several may share one."""

    id: int = id_of("member")
    name: str = field("Their name.", "Ada Lovelace")
    email: str = field("E-mail address.", "ada@example.com")
    is_test: bool = field("Whether it is a test member: a made-up person, for whom only test endpoints pay.", False)
    clock: datetime | None = field("Of a test member: the present moment by its own clock; otherwise null.", None)
    erased_at: datetime | None = field("When the person was erased; name and address are made up since.", None)
    life: list[MembershipLife] = field(
        "Their memberships that are frozen, will be, or have an end: one line for each.", []
    )
    overdue_since: datetime | None = field(
        "Since when dues of a membership are overdue: the attempt that failed, and that nothing has made up for.", None
    )


class MemberChange(Change):
    """What to change of a member, and why."""

    name: Name = field("Their name.", "Ada Lovelace")
    email: Email = field("E-mail address.", "ada@example.com")
    another_person: bool = field("Whether others may have the address: it is another person, as in a family.", False)
    reason: Text = field("Why; kept in the action log.", "Misspelt at sign-up", max_length=MAX_REASON_LENGTH)


class FoundMember(Member):
    """A member in a list."""

    found_by: Reason | None = field("What matched the search; null without a search.", "name", default=None)


class Members(Listing[FoundMember]):
    """Members by id, or the matches of a search, the best first."""


class ComingDay(Answer):
    """Sessions that become usable on one day."""

    day: date = field("The local day at the club.", "2026-03-31")
    usable_from: datetime = field("The beginning of that day.", TIME)
    sessions: int = field("How many.", 8)


class Balance(Answer):
    """A member's sessions of an item."""

    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    usable: int = field("Sessions that can be redeemed; frozen ones are not among them.", 8)
    expires_next: int = field("How many of them expire at `next_expiry`.", 8)
    next_expiry: datetime | None = field("When the next usable sessions expire; null if none ever expire.", TIME)
    shortfall: int = field("Used sessions whose payment was reversed, not repaid yet.", 0)
    frozen: int = field("Sessions that cannot be redeemed because their membership is frozen.", 0)
    frozen_to: date | None = field(
        "The last frozen local day of those that can be used first; null until further notice, or if none is frozen.",
        None,
    )
    coming: int = field("Sessions that are not usable yet.", 0)
    coming_days: list[ComingDay] = field("When they become usable, the next day first.", [])


class Balances(Answer):
    """A member's balance of each item at a moment."""

    as_of: datetime = field("The moment.", TIME)
    data: list[Balance] = field("One for each item that the member has ever had.", [])


class Grant(Answer):
    """Sessions of one item, from one payment or given by hand."""

    id: int = id_of("credit grant", validation_alias="grant_id")
    membership_id: int | None = field("The membership whose dues gave it; null if it was given by hand.", 1)
    club_id: int | None = field("That membership's club.", 1)
    club: str | None = field("The club's name.", "Downtown")
    item_id: int = id_of("item")
    item: str = field("The item's name.", "Spin")
    endpoint: str | None = field("The endpoint that received its payment.", "stripe")
    payment: str | None = field("The payment's reference; null if it was given by hand.", "in_1Qx7")
    given_by: str | None = field("The account or token that gave it by hand.", None)
    tranche: int = field(
        "Its number among the grants of the item that its payment made: 0 for what was usable from the payment on, "
        "otherwise its day as a number.",
        0,
    )
    usable_from: date | None = field(
        "The local day on which its tranche begins; null if it was usable from the payment on.", None
    )
    is_coming: bool = field("Whether it is not usable yet.", False)
    quantity: int = field("Sessions given.", 8)
    used: int = field("Redeemed and not returned.", 1)
    remaining: int = field("Sessions left, expired or not.", 7)
    expired: int = field("Sessions that expired unused. Expiry is recorded within about a minute.", 0)
    reversed: int = field("Sessions whose payment was reversed: taken back, already expired, owed or forgiven.", 0)
    forgiven: int = field("Used sessions whose payment was reversed, forgiven by the club.", 0)
    shortfall: int = field("Used sessions whose payment was reversed, not repaid yet.", 0)
    effective_at: datetime = field("The moment from which it can be used.", TIME)
    expires_at: datetime | None = field("The moment at which it expires; null if never.", TIME)
    is_expired: bool = field("Whether it has expired.", False)
    good_at: GoodAt = field("Where it can be used: at its home club, at the clubs of `club_ids`, or at all.", "home")
    club_ids: list[int] = field("The clubs where it can be used, for `good_at` of `listed`.", [])
    time_zone: str | None = field(
        "The club's time zone (IANA name), whose days decide when it expires.", "America/Chicago"
    )
    note: str | None = field("The note written with it.", None)


class Grants(Listing[Grant]):
    """A member's credit grants, the oldest first."""


class WhyNotQuery(Query):
    """The item and the moment."""

    item_id: Id = parameter("The session item.", 1)
    at: Moment | None = parameter("A moment that is over; without it, now.", None, default=None)
    club_id: Id | None = parameter("The club where it is to be used.", 1, default=None)


class Usability(Answer):
    """Whether a session of an item can be used."""

    usable: bool = field("Whether one can.", False)
    why_not: WhyNot | None = field("Why not, and the way out; null if one can.", None)


@read("/members", TAG)
def list_members(query: MemberQuery) -> Members:
    """List or search members."""
    if query.q is None and query.email is None:
        leaf = member_list.page(
            database(), query.wanted, now=utc_now(), limit=query.limit, order=Order(query.order),
            after=query.last_seen("members"), with_erased=True, club_ids=club_ids(),
        )  # fmt: skip
        known, states = search.with_memberships(database(), leaf.member_ids), _states(leaf.member_ids)
        rows = [FoundMember.of(known[one], found_by=None, **states[one]) for one in leaf.member_ids]
        return Members(data=rows, next_cursor=paging.cursor("members", leaf.after))
    if query.wanted != EVERYBODY._replace(dues=query.wanted.dues):
        raise SearchWithFilter
    if query.q is None:
        people = select(Person).where(Person.merged_into.is_(None))
        people = people.where(theirs.only(theirs.member("members.id"), club_ids()))
        people = people.where(Person.id.in_(select(overdue.MEMBERS))) if query.overdue else people
        people = people.where(Person.id.in_([one.id for one in with_email(database(), query.email or "")]))
        found, following = paging.page(people, Person.id, query)
        states = _states([one.id for one in found])
        rows = [FoundMember.of(one, found_by=None, **states[one.id]) for one in found]
        return Members(data=rows, next_cursor=following)
    if query.cursor is not None:
        raise InvalidRequest([Fault(parameter="cursor", detail="A search has one page: leave the cursor out.")])
    hits = search.search(database(), query.q, query.limit, club_ids=club_ids())
    if query.email is not None:
        having = {one.id for one in with_email(database(), query.email)}
        hits = [hit for hit in hits if hit.member_id in having]
    ids = [one.member_id for one in hits]
    known, states = search.with_memberships(database(), ids), _states(ids)
    rows = [
        FoundMember.of(known[one.member_id], found_by=one.reason, **states[one.member_id])
        for one in hits
        if states[one.member_id]["overdue_since"] or not query.overdue
    ]
    return Members(data=rows, next_cursor=None)


def shown(member: Person) -> Member:
    """The member as an answer has it."""
    return Member.of(member, **_states([member.id])[member.id])


def _states(member_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """By member, what their memberships come to: the lives of them, and since when dues are overdue."""
    late = {one.member_id: one.since for one in reversed(overdue.of_members(database(), member_ids))}
    lives = _lives(member_ids)
    now, people = (
        utc_now(),
        {one.id: one for one in database().scalars(select(Person).where(Person.id.in_(member_ids)))},
    )
    return {
        one: {
            "life": lives[one], "overdue_since": late.get(one),
            "clock": people[one].clock(now) if people[one].is_test else None,
        }
        for one in member_ids
    }  # fmt: skip


@read("/members/<id:member_id>", TAG)
def get_member(member: Person) -> Member:
    """Get a member; the id of one that was merged gets the one that it is now, here and in every path below."""
    return shown(member)


def _lives(member_ids: Iterable[int]) -> defaultdict[int, list[MembershipLife]]:
    """By member, those of their memberships that are frozen, will be, or have an end."""
    mine = select(Membership).where(Membership.member_id.in_(list(member_ids)), Membership.withdrawn_at.is_(None))
    held = database().scalars(mine.order_by(Membership.id)).all()
    days, found = life_days(held), defaultdict(list)
    for one in held:
        if days[one.id] != LifeDays(frozen_from=None, frozen_to=None, ended_on=None):
            found[one.member_id].append(MembershipLife(membership_id=one.id, **dict(days[one.id])))
    return found


@change("/members/<id:member_id>", TAG, Role.DESK)
def change_member(member: Person, body: MemberChange) -> Member:
    """Change a member's name or e-mail address.

    The old ones stay in the action log. An address that others have needs `another_person`.
    """
    record.edit_member(database(), member, by=actor(), **body.given)
    return shown(member)


@read("/members/<id:member_id>/balances", TAG)
def list_balances(member: Person, query: AsOfQuery) -> Balances:
    """Get a member's balance of each item."""
    now = datetime.now(UTC)
    rows = statement.balances(database(), member.id, now, as_of=query.as_of)
    return Balances(as_of=query.as_of or member.clock(now), data=[Balance.of(one) for one in rows])


@read("/members/<id:member_id>/why-not", TAG)
def why_not_usable(member: Person, query: WhyNotQuery) -> Usability:
    """Say whether a member can use a session of an item, and if not, why, and the way out."""
    if database().get(Item, query.item_id) is None:
        raise NotFound(what="item", name=query.item_id)
    if query.club_id is not None and database().get(Club, query.club_id) is None:
        raise NotFound(what="club", name=query.club_id)
    why = why_not.why_not(database(), member_id=member.id, now=datetime.now(UTC), **dict(query))
    return Usability(usable=why is None, why_not=why and WhyNot.of(why))


@read("/members/<id:member_id>/grants", TAG)
def list_grants(member: Person, query: AsOfPageQuery) -> Grants:
    """List a member's credit grants, the oldest first."""
    last = query.last_seen("grants")
    found = statement.grant_page(
        database(), member.id, datetime.now(UTC), limit=query.limit, after=last, as_of=query.as_of
    )
    if last is not None and not found.grants:  # a cursor that we gave has rows behind it
        raise paging.wrong_cursor()
    rows = [Grant.model_validate(one) for one in found.grants]
    return Grants(data=rows, next_cursor=paging.cursor("grants", found.newer))
