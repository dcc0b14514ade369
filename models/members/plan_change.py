"""Changing the plan of a membership: the payment term and picks by which its payments count from a local day on.

Main verbs: `change_plan`, and `withdraw` for one that is planned. A move to the current terms of the same payment term
is a plan change too. What was paid before the day keeps its terms; what is settled already and was paid since is
settled again.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from models.catalogue.days import end_of, local_day
from models.catalogue.items import Item
from models.catalogue.tables import PaymentTerm, SessionBucket
from models.catalogue.terms import RULES
from models.database import locks
from models.errors import CountChanged, DateInPast, NotChanged, NotFound, SppError, WrongCurrency, WrongState
from models.members import changed_terms, life, lives, settling_again
from models.members.memberships import Member, Membership, MembershipTerms, PinnedTerms, lock_member, refuse_erased
from models.members.signing_up import chosen_buckets, pinned
from models.staff import actions
from models.staff.actions import Actor
from models.wording import day_of
from runtime.language import noted, say


class Change(NamedTuple):
    """A plan change that the rules allow: when it begins, and the terms before and after."""

    membership: Membership
    start: datetime
    """UTC."""
    before: MembershipTerms
    term: PaymentTerm
    buckets: Sequence[SessionBucket]
    is_from_now: bool

    @property
    def words(self) -> str:
        """What it changes, in words for the person who decides."""
        day = None if self.is_from_now else local_day(self.start, self.membership.club.time_zone)
        item_ids = {bucket.item_id for bucket in self.buckets}
        after = [given for item_id, given in changed_terms.current(self.term).items() if item_id in item_ids]
        before = [given for given in changed_terms.pinned(self.before).values() if given.quantity]
        sentence = changed_terms.change_in_words(self.before, before, self.term, after, self.term.currency, day)
        later = next((one for one in self.membership.terms_over_time if one.since > self.start), None)
        if later is None:
            return sentence
        then = day_of(local_day(later.since, self.membership.club.time_zone))
        more = say("From {day}, the planned change to {plan} takes over.", day=then, plan=_plan(later.term))
        return f"{sentence} {more}"


def preview(
    membership: Membership, *, term: PaymentTerm, since: date | None, picks: Sequence[Item] | None, now: datetime
) -> Change:
    """The change of a membership to a payment term and picks from the beginning of a local day on; None is from now.

    Picks of None are those that it has then. Changes nothing yet. Raises MemberErased, DateInPast, YearWrong,
    NotChanged, WrongCurrency, WrongState for a term that is not on sale and that the membership has never had, and
    what `chosen_buckets` raises.
    """
    refuse_erased(membership.member)
    start, club = _start(membership, since, now), membership.club
    if term.currency != membership.currency:
        raise WrongCurrency(term_currency=term.currency, club=club.name, club_currency=membership.currency)
    if not term.is_on_sale and all(version.payment_term_id != term.id for version in membership.versions):
        what = say("Payment term {term!r} of {offer!r}", term=term.name, offer=term.offer.name)
        raise WrongState(field="payment_term_id", what=what, state="not on sale", verb="chosen")
    before = membership.terms_at(start)
    buckets = chosen_buckets(term, [pin.item for pin in before.pinned] if picks is None else picks)
    if pinned(term, buckets, since=start).content == before.content:
        raise NotChanged
    return Change(membership, start, before, term, buckets, is_from_now=start == now)


def change_plan(
    session: Session, membership: Membership, *, term: PaymentTerm, since: date | None, picks: Sequence[Item] | None,
    reason: str, by: Actor, now: datetime,
) -> MembershipTerms:  # fmt: skip
    """Make payments from the beginning of this local day of the club on count by the payment term; None is from now on.

    Today is for a payment of today that was made for the new plan: processors may bill a change before it is entered.

    A later act for the same day replaces it. Raises ReasonMissing, TextTooLong and what `preview` raises.
    """
    reason = actions.reason_given(reason)
    locks.change(session)
    lock_member(session, membership.member_id, field=None)
    change = preview(membership, term=term, since=since, picks=picks, now=now)
    made = _append(session, change, reason, by)
    _settle_again(session, [(membership, change.start)])
    return made


class Withdrawal(NamedTuple):
    """A planned change that is withdrawn, and the terms before it, which go on."""

    membership: Membership
    planned: MembershipTerms
    stays: MembershipTerms

    @property
    def words(self) -> str:
        """What it means, for the person who decides."""
        day = day_of(local_day(self.planned.since, self.membership.club.time_zone))
        planned, stays = _plan(self.planned.term), _plan(self.stays.term)
        text = noted("The change to {planned} planned for {day} is withdrawn: {stays} goes on.")
        return say(text, planned=planned, day=day, stays=stays)


def preview_withdrawal(membership: Membership, *, since: date, now: datetime) -> Withdrawal:
    """The withdrawal of the change that is planned for that local day. Changes nothing yet.

    Raises MemberErased or NotFound.
    """
    refuse_erased(membership.member)
    for before, planned in pairwise(membership.terms_over_time):
        if planned.since > now and local_day(planned.since, membership.club.time_zone) == since:
            return Withdrawal(membership, planned, before)
    what = say("planned change of membership {membership} on", membership=membership.id)
    raise NotFound(field="since", what=what, name=day_of(since))


def withdraw(
    session: Session, membership: Membership, *, since: date, reason: str, by: Actor, now: datetime
) -> Withdrawal:
    """Withdraw the change that is planned for that local day: the terms before it go on.

    Raises ReasonMissing, TextTooLong and what `preview_withdrawal` raises.
    """
    reason = actions.reason_given(reason)
    locks.change(session)
    lock_member(session, membership.member_id, field=None)
    session.expire(membership, ["versions"])
    made = preview_withdrawal(membership, since=since, now=now)
    start, stays = made.planned.since, made.stays
    subject = f"membership {membership.id} to {_plan(made.planned.term)}, planned from {since}"
    act = actions.log(session, by, "withdraw plan change", subject, member_id=membership.member_id, reason=reason)
    rules = {name: getattr(stays, name) for name in RULES}
    pins = [
        PinnedTerms(item_id=pin.item_id, quantity=pin.quantity, days_to_expire=pin.days_to_expire)
        for pin in stays.pinned
    ]
    term_id = stays.payment_term_id
    again = MembershipTerms(since=start, payment_term_id=term_id, action_id=act, pinned=pins, **rules)
    membership.versions.append(again)
    _settle_again(session, [(membership, start)])
    return made


class Moves(NamedTuple):
    """The memberships whose terms differ from those that their payment terms have now."""

    changes: list[Change]
    left_out: list[tuple[Membership, SppError]]
    """Those that cannot be moved as they are, with the reason."""


def moves(session: Session, terms: Collection[PaymentTerm], *, since: date | None, now: datetime) -> Moves:
    """The moves of all memberships that have one of these payment terms to its current terms, with their picks.

    Changes nothing yet. Raises DateInPast or YearWrong.
    """
    of_terms = {term.id: term for term in terms}
    had = select(MembershipTerms.membership_id).where(MembershipTerms.payment_term_id.in_(of_terms))
    parts = (
        joinedload(Membership.member),
        joinedload(Membership.club),
        selectinload(Membership.versions).selectinload(MembershipTerms.pinned).joinedload(PinnedTerms.item),
    )
    found = Moves([], [])
    here = Membership.withdrawn_at.is_(None), Membership.member.has(Member.erased_at.is_(None))
    query = select(Membership).where(Membership.id.in_(had), *here).order_by(Membership.id).options(*parts)
    for membership in session.scalars(query):
        before = membership.terms_at(_start(membership, since, now))
        term = of_terms.get(before.payment_term_id)
        if term is None or not changed_terms.is_outdated(before, term):
            continue
        try:
            found.changes.append(preview(membership, term=term, since=since, picks=None, now=now))
        except SppError as error:
            found.left_out.append((membership, error))
    return found


def move_all(
    session: Session, terms: Collection[PaymentTerm], *, since: date | None, expected: int, reason: str, by: Actor,
    now: datetime,
) -> Moves:  # fmt: skip
    """Move all of them that can be moved.

    `expected` is the number that the person has seen and confirmed. Raises CountChanged if it is another now,
    ReasonMissing, TextTooLong or DateInPast.
    """
    reason = actions.reason_given(reason)
    locks.change(session)
    found = moves(session, terms, since=since, now=now)
    if len(found.changes) != expected:
        raise CountChanged(expected=expected, found=len(found.changes))
    with session.no_autoflush:  # one flush writes them together
        for change in found.changes:
            _append(session, change, reason, by)
    _settle_again(session, [(change.membership, change.start) for change in found.changes])
    return found


def today(membership: Membership, now: datetime) -> date:
    """The local day at its club."""
    return local_day(now, membership.club.time_zone)


def _start(membership: Membership, since: date | None, now: datetime) -> datetime:
    """The moment at which a change from this local day of the club on begins. Raises DateInPast or YearWrong."""
    if since is None:
        return now
    if since < today(membership, now):
        raise DateInPast(day=since)
    life.check_year("since", since, today(membership, now))
    start = end_of(since - timedelta(days=1), membership.club.time_zone)
    # Not before the terms that it takes the place of: these would count from their own moment on.
    return start if start > now else max(start, membership.terms_at(now).since)


def _append(session: Session, change: Change, reason: str, by: Actor) -> MembershipTerms:
    membership, before = change.membership, change.before.term
    to = _plan(change.term)
    what = f"to the current terms of {to}" if before is change.term else f"from {_plan(before)} to {to}"
    day = local_day(change.start, membership.club.time_zone)
    subject = f"membership {membership.id} {what}, from {day}"
    act = actions.log(session, by, "change plan", subject, member_id=membership.member_id, reason=reason)
    made = pinned(change.term, change.buckets, since=change.start, action_id=act)
    membership.versions.append(made)
    return made


def _plan(term: PaymentTerm) -> str:
    """`Gold, Monthly`."""
    return f"{term.offer.name}, {term.name}"


def _settle_again(session: Session, changes: Sequence[tuple[Membership, datetime]]) -> None:
    """Write the changes, and let the sweep settle again what was settled by the terms that they replace."""
    session.flush()
    for membership, _ in changes:
        session.expire(membership, ["versions"])  # read again in the order of their days
    # The terms of its last day decide until when all that it has can be used, also what was paid before the change.
    ended = lives.read(session, [membership.id for membership, _ in changes]).ended
    starts = [(one.id, None if one.id in ended else start) for one, start in changes]
    settling_again.of_memberships(session, starts)
