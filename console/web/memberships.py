"""One membership: its terms beside the current ones, its plan changes, billing references, and payments."""

from datetime import datetime

from flask import abort, request, url_for
from sqlalchemy import select, tuple_
from sqlalchemy.orm import joinedload, selectinload
from wtforms import SelectField, TextAreaField
from wtforms.validators import DataRequired, InputRequired

from console.request import actor, database, utc_now
from console.web import billing
from console.web.access import Answer, Pages, Role
from console.web.fields import Day, chosen_id, query_id
from console.web.forms import Form, page
from console.web.picks import PicksForm, fingerprint
from models.catalogue import on_sale, terms
from models.catalogue.tables import BucketTerms, Offer, PaymentTerm, SessionBucket
from models.errors import PreviewChanged, SppError
from models.members import changed_terms, plan_change
from models.members.memberships import BillingReference, EarlierClub, Membership, MembershipTerms, PinnedTerms, owners
from models.payments import reviewing
from models.staff.actions import MAX_REASON_LENGTH, Action
from models.statements import dues

pages = Pages("memberships", __name__, url_prefix="/memberships")

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
    reference = billing.reference_field(DataRequired("Type the reference as the processor has it."))
    shared = billing.share_field()


class PlanForm(PicksForm):
    """The payment term and picks by which payments count from a day on, and the reason."""

    term = SelectField("Plan", coerce=chosen_id, validate_choice=False)
    since = Day("First day", [InputRequired("Choose the first day on which payments count by the new plan.")])
    reason = TextAreaField("Why", [InputRequired("Say why.")], render_kw={"maxlength": MAX_REASON_LENGTH, "rows": 2})


@pages.page("/<id:membership_id>", Role.VIEWER)
def show(membership_id: int) -> Answer:
    """The membership."""
    return shown(find(membership_id))


@pages.button("/<id:membership_id>/billing", Role.DESK)
def add_billing(membership_id: int) -> Answer:
    """Let payments with one more reference find the membership."""
    membership, form = find(membership_id), BillingForm()

    def act() -> tuple[str, str]:
        settled = billing.add(membership, form.endpoint.data, form.text("reference"), shared=form.shared.data)
        text = f"Payments with {form.text('reference')} count for this membership. {settled}".strip()
        return text, url_for(".show", membership_id=membership_id)

    return form.submitted(act) or shown(membership, billing_form=form)


@pages.form("/<id:membership_id>/plan", Role.MANAGER)
def change_plan(membership_id: int) -> Answer:
    """Change the plan from today or a later day on, after a preview of what that means."""
    membership, now, sent = find(membership_id), utc_now(), request.method == "POST"
    form = PlanForm(request.form if sent else request.args)
    plans = _plans(membership, now)
    form.term.choices = [(term.id, f"{term.offer.name}, {term.name}") for term in plans]
    term = next((term for term in plans if term.id == form.term.data), membership.plan_at(now))
    if not request.values:
        form.since.data = plan_change.today(membership, now)
    if not sent and term.id != request.args.get("shown_term", type=int):
        form.tick(term, form.items.data or [pin.item_id for pin in membership.terms_at(now).pinned])
    form.term.data = term.id

    def planned() -> plan_change.Change:
        picks = form.picked(term)
        return plan_change.plan_change(membership, term=term, since=form.since.data, picks=picks, now=now)

    def act() -> tuple[str, str]:
        words = planned().words
        if form.shown.data != fingerprint(words):
            raise PreviewChanged
        picks, reason = form.picked(term), form.text("reason")
        plan_change.change_plan(
            database(), membership, term=term, since=form.since.data, picks=picks, reason=reason, by=actor(), now=now
        )
        return words, url_for(".show", membership_id=membership_id)

    if answer := form.submitted(act):
        return answer
    preview = None
    if "since" in request.args:
        form.since.validate(form)
    if form.since.data:
        try:
            preview = planned().words
        except SppError as error:
            if not sent:
                form.refuse(error)
    form.shown.data = fingerprint(preview) if preview else ""
    return shown(membership, "plan", plan_form=form, plan=term, preview=preview, given=on_sale.given(term))


def _plans(membership: Membership, now: datetime) -> list[PaymentTerm]:
    """The payment terms to choose from: the one that it has, and all that are on sale at its club."""
    club, own = membership.club, membership.plan_at(now)
    on_offer = [term for offer in on_sale.offers(database(), club) for term in on_sale.terms_at(offer, club)]
    return on_offer if own in on_offer else [own, *on_offer]


def find(membership_id: int) -> Membership:
    """The membership with all that its page shows; 404 where there is none."""
    return database().get(Membership, membership_id, options=_MADE_OF) or abort(404)


def shown(membership: Membership, template: str = "membership", **window: object) -> Answer:
    """The page of a membership, or the window of that template over it."""
    session, now = database(), utc_now()
    shared, in_force = _shared_with(membership), membership.terms_at(now)
    acts = [version.action_id for version in membership.versions]
    current, currency = changed_terms.current(in_force.term), membership.currency
    return page(
        f"memberships/{template}.html",
        membership=membership,
        zone=membership.club.time_zone,
        in_force=in_force,
        now=now,
        summaries={
            version.id: terms.summary(version, currency, changed_terms.pinned(version).values())
            for version in membership.versions
        },
        acts={act.id: act for act in session.scalars(select(Action).where(Action.id.in_(acts)))},
        compared=changed_terms.compare(changed_terms.pinned(in_force), current),
        rules=changed_terms.compare_rules(in_force, in_force.term, currency),
        paid=dues.page(session, membership.id, limit=PAYMENTS, before=query_id("before")),
        in_review={one.payment_id: one for one in reviewing.page(session, member_id=membership.member_id)},
        shared=shared,
        taken=_is_taken(window.get("billing_form")),
        **{"billing_form": BillingForm(formdata=None), **window},
    )


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
