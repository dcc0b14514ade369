"""One membership: its terms beside the offer's, its billing references, and its payments."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from wtforms import TextAreaField
from wtforms.validators import DataRequired, InputRequired

from console.web import billing
from console.web.access import actor, database, done, needs
from console.web.formats import day
from console.web.forms import Form
from console.web.member_forms import Day
from console.web.member_page import number
from console.web.picks import PICK_ERRORS, PicksForm
from models.catalogue import on_sale
from models.catalogue.tables import BucketTerms, Offer, PaymentTerm, SessionBucket
from models.errors import DateInPast, ReasonMissing, ReferenceTaken, SppError, TextTooLong
from models.members import changed_terms, signing_up
from models.members.memberships import Membership, MembershipTerms, PinnedTerms
from models.staff.accounts import Role
from models.staff.actions import MAX_REASON_LENGTH, Action
from models.statements import dues
from models.wording import Given, term_sentence

pages = Blueprint("memberships", __name__, url_prefix="/memberships")

PAYMENTS = 25
"""On one page."""

_MOVE_ERRORS: dict[type[SppError], str] = {
    **PICK_ERRORS, DateInPast: "since", ReasonMissing: "reason", TextTooLong: "reason",
}  # fmt: skip
_MADE_OF = (
    joinedload(Membership.member),
    joinedload(Membership.club),
    joinedload(Membership.offer).selectinload(Offer.buckets).joinedload(SessionBucket.item),
    joinedload(Membership.term).selectinload(PaymentTerm.bucket_terms).joinedload(BucketTerms.bucket),
    selectinload(Membership.versions).selectinload(MembershipTerms.pinned).joinedload(PinnedTerms.item),
    selectinload(Membership.billing),
)


class BillingForm(Form):
    """One more billing reference."""

    endpoint = billing.endpoint_field()
    reference = billing.reference_field(DataRequired("Type the reference as the processor has it."))


class MoveForm(PicksForm):
    """From when on payments count by the offer's current terms, and why."""

    since = Day("First day", [InputRequired("Choose the first day on which payments count by the current terms.")])
    reason = TextAreaField("Why", [InputRequired("Say why.")], render_kw={"maxlength": MAX_REASON_LENGTH, "rows": 2})


@pages.get("/<id:membership_id>")
@needs(Role.VIEWER)
def show(membership_id: int) -> ResponseReturnValue:
    """The membership."""
    return _page(_find(membership_id))


@pages.post("/<id:membership_id>/billing")
@needs(Role.DESK)
def add_billing(membership_id: int) -> ResponseReturnValue:
    """Lets payments with one more reference find the membership."""
    membership, form = _find(membership_id), BillingForm()
    if form.validate_on_submit():
        with form.refusals({ReferenceTaken: "reference"}):
            told = billing.add(membership, form.endpoint.data, form.text("reference"))
        if not form.errors:
            done(f"Payments with {form.text('reference')} count for this membership. {told}".strip())
            return redirect(url_for(".show", membership_id=membership_id))
    return _page(membership, billing_form=form), 422


@pages.route("/<id:membership_id>/move", methods=["GET", "POST"])
@needs(Role.MANAGER)
def move(membership_id: int) -> ResponseReturnValue:
    """Moves the membership to its offer's current terms, from a day on that is not over."""
    membership, form, now = _find(membership_id), MoveForm(), datetime.now(UTC)
    zone = membership.club.time_zone
    if form.validate_on_submit():
        with form.refusals(_MOVE_ERRORS):
            moved = signing_up.move_to_current_terms(
                database(), membership, since=form.since.data, picks=form.picked(membership.term),
                reason=form.text("reason"), by=actor(), now=now,
            )  # fmt: skip
        if not form.errors:
            done(f"From {day(moved.since, zone)} on: {_sentence(membership, moved)} What was paid before stays.")
            return redirect(url_for(".show", membership_id=membership_id))
    if request.method == "GET":
        form.since.data = now.astimezone(ZoneInfo(zone)).date()
        form.tick(membership.term, (pin.item_id for pin in membership.terms_at(now).pinned))
    return _page(membership, move_form=form), 422 if request.method == "POST" else 200


def _find(membership_id: int) -> Membership:
    return database().get(Membership, membership_id, options=_MADE_OF) or abort(404)


def _page(membership: Membership, **forms: Form) -> str:
    session, now = database(), datetime.now(UTC)
    in_force = membership.terms_at(now)
    acts = [version.action_id for version in membership.versions]
    return render_template(
        "memberships/move.html" if "move_form" in forms else "memberships/membership.html",
        membership=membership, zone=membership.club.time_zone, in_force=in_force, now=now,
        sentences={version.id: _sentence(membership, version) for version in membership.versions},
        acts={act.id: act for act in session.scalars(select(Action).where(Action.id.in_(acts)))},
        compared=changed_terms.compare(_given(in_force), on_sale.given(membership.term)),
        current=on_sale.given(membership.term), endpoints=billing.endpoints(),
        paid=dues.page(session, membership.id, limit=PAYMENTS, before=number("before")),
        **{"billing_form": BillingForm(formdata=None), **forms},
    )  # fmt: skip


def _given(terms: MembershipTerms) -> dict[int, Given]:
    return {pin.item_id: Given(pin.item.name, pin.quantity, pin.days_to_expire) for pin in terms.pinned}


def _sentence(membership: Membership, terms: MembershipTerms) -> str:
    term, given = membership.term, list(_given(terms).values())
    return term_sentence(terms.dues_minor, membership.currency, term.interval, term.interval_count, given)
