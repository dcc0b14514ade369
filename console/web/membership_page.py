"""One membership's page: its terms beside the current ones, freezes and end, billing references, and payments."""

from datetime import date

from flask import abort, current_app
from sqlalchemy import select, tuple_
from sqlalchemy.orm import joinedload, selectinload
from wtforms.validators import DataRequired

from console import first_payment
from console.request import database, utc_now
from console.web import billing, forms
from console.web.access import Answer
from console.web.fields import part_of, query_id, text_field
from console.web.forms import Form
from models.catalogue import terms
from models.catalogue.days import local_day
from models.catalogue.tables import BucketTerms, Offer, PaymentTerm, SessionBucket
from models.members import awaiting, changed_terms, clocks, cut_over, life, lives, overdue
from models.members.life import LifeAct, LifeKind
from models.members.memberships import BillingReference, EarlierClub, Membership, MembershipTerms, PinnedTerms, owners
from models.payments import reviewing
from models.staff.actions import MAX_REASON_LENGTH, Action
from models.statements import dues
from runtime.language import noted

PAYMENTS = 25
"""On one page."""

_MADE_OF = (
    joinedload(Membership.member),
    joinedload(Membership.club),
    selectinload(Membership.versions).options(
        selectinload(MembershipTerms.pinned).joinedload(PinnedTerms.item),
        joinedload(MembershipTerms.term).options(
            joinedload(PaymentTerm.offer).selectinload(Offer.buckets).joinedload(SessionBucket.item),
            selectinload(PaymentTerm.bucket_terms).joinedload(BucketTerms.bucket),
        ),
    ),
    selectinload(Membership.billing),
    selectinload(Membership.earlier_clubs).joinedload(EarlierClub.club),
)


class BillingForm(Form):
    """One more billing reference."""

    endpoint = billing.endpoint_field()
    reference = billing.reference_field(DataRequired(noted("Type the reference as the processor has it.")))
    shared = billing.share_field()


class ClearForm(Form):
    """Why dues that failed are owed no more."""

    reason = text_field("Why nothing is owed any more", most=MAX_REASON_LENGTH)


def find(membership_id: int) -> Membership:
    """The membership with that id and what its page shows of it; 404 where there is none."""
    found = database().get(Membership, membership_id, options=_MADE_OF)
    return found if found and not found.withdrawn_at else abort(404)


def page(membership: Membership, template: str = "membership", /, **window: object) -> Answer:
    """The page, perhaps with a window over it and its form."""
    session, member = database(), membership.member
    now = member.clock(utc_now())
    shared, versions = _shared_with(membership), membership.terms_over_time
    in_force = next((one for one in reversed(versions) if one.since <= now), versions[0])
    acts = [version.action_id for version in versions]
    current, currency = changed_terms.current(in_force.term), membership.currency
    today = local_day(now, membership.club.time_zone)
    closures = life.in_force(session, club_id=membership.club_id)
    acts_now = sorted(life.in_force(session, membership_id=membership.id), key=lambda one: _place(one, today))
    return forms.page(
        f"memberships/{template}.html",
        membership=membership,
        zone=membership.club.time_zone,
        in_force=in_force,
        versions=versions,
        now=now,
        today=today,
        summaries={
            version.id: terms.summary(version, currency, changed_terms.pinned(version).values()) for version in versions
        },
        acts={act.id: act for act in session.scalars(select(Action).where(Action.id.in_(acts)))},
        compared=changed_terms.compare(changed_terms.pinned(in_force), current),
        rules=changed_terms.compare_rules(in_force, in_force.term, currency),
        state_lines=lives.read(session, [membership.id]).of(membership.id, membership.club_id).words(today),
        life_now=part_of(acts_now, "freezes"),
        has_end=any(one.kind == LifeKind.END for one in acts_now),
        life_acts=part_of(life.history(session, membership_id=membership.id), "recorded"),
        test_clock=clocks.words(member, utc_now()) if member.is_test else None,
        cut_over=cut_over.words(membership.credits_from, membership.club.time_zone),
        closures=[one for one in closures if one.last_day and one.last_day >= today],
        paid=dues.page(session, membership.id, limit=PAYMENTS, before=query_id("before")),
        in_review={one.payment_id: one for one in reviewing.page(session, member_id=membership.member_id)},
        shared=shared,
        taken=_is_taken(window.get("billing_form")),
        awaits=awaiting.of(session, [membership.id]).get(membership.id),
        ways=first_payment.ways(current_app.config["SPP"], first_payment.wanted(membership, now)),
        late=next(iter(overdue.of_memberships(session, [membership.id])), None),
        **{"billing_form": BillingForm(formdata=None), "clear_form": ClearForm(formdata=None), **window},
    )


def _place(one: LifeAct, today: date) -> tuple[bool, int]:
    """Where an act stands in the list: what runs or comes by its first day, then what is over, the newest first."""
    first, over = one.first_day or one.last_day or today, bool(one.last_day and one.last_day < today)
    return over and one.kind != LifeKind.END, -first.toordinal() if over else first.toordinal()


def _shared_with(membership: Membership) -> dict[tuple[str, str], list[Membership]]:
    """By endpoint and reference, the other memberships that share it."""
    keys = [(one.endpoint, one.reference) for one in membership.billing]
    whose = joinedload(BillingReference.membership).joinedload(Membership.member)
    others = (
        select(BillingReference)
        .options(whose)
        .where(tuple_(BillingReference.endpoint, BillingReference.reference).in_(keys))
        .where(BillingReference.membership_id != membership.id)
    )
    found: dict[tuple[str, str], list[Membership]] = {}
    for one in database().scalars(others):
        found.setdefault((one.endpoint, one.reference), []).append(one.membership)
    return found


def _is_taken(form: object) -> bool:
    """Whether the reference in a refused form belongs to another membership, so that it could be shared."""
    return isinstance(form, BillingForm) and bool(
        owners(database(), form["endpoint"].data or "", form.text("reference"))
    )
