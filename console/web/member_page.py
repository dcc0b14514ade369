"""One member's page: what they can use, their grants, and the statement, now or as of a moment."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from flask import abort, flash, redirect, request, url_for
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from wtforms.validators import ValidationError

from console import bounds
from console.request import database, utc_now
from console.web import desk_club
from console.web.access import Answer
from console.web.fields import local_moment, query_id, utc
from console.web.formats import house_zone
from console.web.forms import page
from console.web.member_forms import RedeemForm
from models.catalogue.clubs import Club
from models.catalogue.days import local_day
from models.ledger import adjustments, good_at, merging, occasions
from models.ledger import redemptions as redemption
from models.members import changed_terms, clocks, life, lives, overdue
from models.members.lives import Life
from models.members.memberships import WITH_PLANS, Member, Membership, MembershipTerms, PinnedTerms
from models.members.memberships import current as current_member
from models.payments import references, reviewing
from models.payments.references import Key, PaidPayment
from models.statements import entry_wording, explanation, statement, why_not
from models.statements.statement import EntryLine, GrantLine, Page
from models.wording import joined
from runtime.language import say, say_n

ENTRIES = 25
"""Of the statement on one page."""
GRANTS = 20
"""The next to be used; the others have a page of their own."""
TROUBLED = 5
"""Payments in review, and payments whose facts contradict each other, of which the page tells."""

_PINNED = selectinload(Membership.versions).selectinload(MembershipTerms.pinned).joinedload(PinnedTerms.item)
_BOUGHT = selectinload(Member.memberships).options(joinedload(Membership.club), WITH_PLANS, _PINNED)
_BILLED = selectinload(Member.memberships).selectinload(Membership.billing)


def find(member_id: int) -> Member:
    """The member with that id, and what they bought; 404 where there is none.

    The id of one that was merged leads to the page of the one that stayed.
    """
    member = database().get(Member, member_id, options=[_BOUGHT, _BILLED]) or abort(404)
    if member.merged_into is not None:
        flash(say("Member {number} was merged into this one.", number=member_id), "info")
        abort(redirect(url_for("members.show", member_id=current_member(database(), member).id)))
    return member


def zone_of(member: Member) -> str:
    """The zone of the page's days and hours: that of the newest membership's club."""
    return member.memberships[-1].club.time_zone if member.memberships else house_zone()


@dataclass(frozen=True)
class AsOf:
    """The moment that the page is asked for, if any; with an error, the page shows the present."""

    text: str = ""
    at: datetime | None = None
    error: str | None = None


def as_of(zone: str) -> AsOf:
    """The moment of the query parameter `as_of`, local in the zone."""
    given = request.args.get("as_of", "").strip()
    if not given:
        return AsOf()
    try:
        local = local_moment(given)
    except ValidationError as error:
        return AsOf(given[:40], None, str(error))
    return AsOf(local.isoformat(timespec="minutes"), utc(local, zone))


def current(grants: Sequence[GrantLine]) -> list[GrantLine]:
    """The grants that matter at the desk: with sessions to use, or short; the next to be used first."""
    never = datetime.max.replace(tzinfo=UTC)
    open_ones = [grant for grant in grants if grant.shortfall or (grant.remaining and not grant.is_expired)]
    usable = [grant for grant in open_ones if grant.shortfall or not grant.is_coming]
    return sorted(usable, key=lambda grant: (grant.item, grant.expires_at or never, grant.effective_at))


def every_club() -> Sequence[Club]:
    """The clubs of this person of the staff, by name."""
    return database().scalars(bounds.theirs(select(Club)).order_by(Club.name)).all()


def redeem_forms(item_ids: Iterable[int], zone: str, **given: Any) -> dict[int, RedeemForm]:
    """By item, the form that redeems its sessions: as it was sent or, with `formdata=None`, a new one."""
    clubs = every_club()
    here = desk_club.of(clubs)
    given["club_id"] = str(here.id) if here else ""
    back = occasions.may_go_back(is_manager=current_user.may("manager")).days
    return {item: RedeemForm(**given).ask(item_id=item, zone=zone, back=back, clubs=clubs) for item in item_ids}


def show(member_id: int, *, redeeming: RedeemForm | None = None, window: str | None = None, **more: Any) -> Answer:
    """The page, with the form that was refused or the window over it."""
    session, now = database(), utc_now()
    member = find(member_id)
    zone, clock = zone_of(member), member.clock(now)
    moment = as_of(zone)
    item_id, before = query_id("item"), query_id("before")
    balances = statement.balances(session, member_id, now, as_of=moment.at)
    grants = statement.grants(session, member_id, now, as_of=moment.at)
    entries = statement.page(session, member_id, limit=ENTRIES, before=before, as_of=moment.at, item_id=item_id)
    entries = _whole_payments(entries)
    shown, troubled = current(grants), explanation.troubled(session, member_id, TROUBLED)
    states = _states(member, moment.at or clock, moment.at)
    late = overdue.of_members(session, [member_id])
    here = desk_club.of(every_club())
    asks_why = moment.at is None and bool(late or here or any(not one.usable for one in balances))
    coming = sum(grant.is_coming and bool(grant.remaining) and not grant.shortfall for grant in grants)
    finished = len(grants) - len(shown) - coming
    return page(
        "members/member.html",
        moment.error is not None,
        member=member,
        zone=zone,
        now=moment.at or clock,
        test_clock=clocks.words(member, now) if member.is_test else None,
        as_of=moment,
        in_future=moment.at is not None and moment.at > now,
        balances=balances,
        present=now,
        came_to=_came_to(shown),
        zones={(grant.item_id, grant.expires_at): grant.time_zone or zone for grant in grants},
        grants=shown[:GRANTS],
        only_at=good_at.only_at(session, [grant.grant_id for grant in shown[:GRANTS]]),
        further=len(shown[GRANTS:]),
        coming=coming,
        state_lines=states.words,
        frozen_until=states.frozen,
        next_dues=states.next_dues,
        others=_others(coming, finished),
        page=entries,
        item_id=item_id,
        before=before,
        returnable=_returnable(entries.entries) if moment.at is None and not member.erased_at else {},
        desk_club=here,
        redeeming=redeeming,
        redeem_forms=redeem_forms([row.item_id for row in balances], zone, formdata=None) if balances else {},
        why_not=why_not.of_member(session, member_id, now, here.id if here else None) if asks_why else {},
        day_long=merging.UNDOABLE,
        merged=[(one, merging.is_undoable(one, now)) for one in merging.merged(session, member_id)],
        overdue={one.membership_id: one for one in late},
        waiting=adjustments.waiting(session, member_id) if moment.at is None else [],
        in_review=reviewing.page(session, member_id=member_id, limit=TROUBLED) if moment.at is None else [],
        all_in_review=reviewing.counts(session, member_id=member_id).payments if moment.at is None else 0,
        troubled=troubled,
        paid=paid(shown[:GRANTS], entries.entries, troubled),
        window=window,
        **more,
    )


def _whole_payments(page: Page) -> Page:
    """The page without a last payment that goes on behind it, whose parts stand together on the next one."""
    last = page.entries[-1].fact_id if page.older else None
    kept = [entry for entry in page.entries if last is None or entry.fact_id != last]
    return Page(kept, kept[-1].entry_id) if last and kept else page


def _others(coming: int, finished: int) -> str:
    """The grants that are not shown: `2 coming and 5 used up or expired`."""
    parts = [
        *([say_n("{n} coming", "{n} coming", coming)] if coming else []),
        *([say_n("{n} used up or expired", "{n} used up or expired", finished)] if finished else []),
    ]
    return joined(parts)


class MembershipStates(NamedTuple):
    """By membership: how it stands, in words; until when its sessions cannot be used; what its payments give."""

    words: dict[int, list[tuple[str, bool]]]
    """Each with whether it is so now, and not to come."""
    frozen: dict[int, str]
    """Of those whose sessions cannot be used now."""
    next_dues: dict[int, list[str]]
    """Of those that have not ended."""


def _states(member: Member, now: datetime, as_of: datetime | None) -> MembershipStates:
    known = lives.read(database(), [one.id for one in member.memberships], as_of=as_of)
    words, frozen, gives = {}, {}, {}
    for one in member.memberships:
        own, today = known.of(one.id, one.club_id), local_day(now, one.club.time_zone)
        words[one.id] = _words(own, today)
        if own.ended is None or today <= own.ended:
            gives[one.id] = changed_terms.ahead(one, now)
        if (until := own.frozen_until(today)) and not one.club.use_while_frozen:
            frozen[one.id] = life.until_words(until)
    return MembershipStates(words, frozen, gives)


def _words(own: Life, today: date) -> list[tuple[str, bool]]:
    frozen = [own.frozen_until(today) is not None] if own.frozen_days(today) else []
    ended = [own.ended < today] if own.ended else []
    return list(zip(own.words(today), frozen + ended, strict=True))


def paid(*lists: Iterable[Any]) -> dict[Key, PaidPayment]:
    """What was paid, by endpoint and payment of these lines of a page."""
    keys = {(line.endpoint, line.payment) for lines in lists for line in lines if line.endpoint and line.payment}
    return references.paid(database(), keys)


def _came_to(grants: Sequence[GrantLine]) -> dict[int, str]:
    """By item, how what is left of these grants came about."""
    items: defaultdict[int, list[GrantLine]] = defaultdict(list)
    for grant in grants:
        items[grant.item_id].append(grant)
    return {item_id: entry_wording.came_to(every) for item_id, every in items.items()}


def _returnable(entries: Sequence[EntryLine]) -> dict[int, tuple[int, int]]:
    """By the newest entry of each redemption: the redemption, and how many of its sessions can be given back."""
    redemptions = {entry.redemption_id for entry in entries if entry.kind == "redemption" and entry.redemption_id}
    left = redemption.returnable(database(), redemptions) if redemptions else {}
    newest: dict[int, tuple[int, int]] = {}
    for entry in entries:
        if entry.kind == "redemption" and entry.redemption_id in left:
            newest[entry.entry_id] = (entry.redemption_id, left.pop(entry.redemption_id))
    return newest
