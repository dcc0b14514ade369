"""One membership: its terms beside the offer's, its billing references, and its payments."""

from zoneinfo import ZoneInfo

from flask import abort, request, url_for
from sqlalchemy import select, tuple_
from sqlalchemy.orm import joinedload, selectinload
from wtforms import TextAreaField
from wtforms.validators import DataRequired, InputRequired

from console.request import actor, database, utc_now
from console.web import billing
from console.web.access import Answer, Pages, Role
from console.web.fields import Day, query_id
from console.web.formats import day
from console.web.forms import Form, page
from console.web.picks import PicksForm
from models.catalogue import on_sale
from models.catalogue.tables import BucketTerms, Offer, PaymentTerm, SessionBucket
from models.members import changed_terms, signing_up
from models.members.memberships import BillingReference, Membership, MembershipTerms, PinnedTerms, owners
from models.payments import reviewing
from models.staff.actions import MAX_REASON_LENGTH, Action
from models.statements import dues
from models.wording import Given, term_sentence

pages = Pages("memberships", __name__, url_prefix="/memberships")

PAYMENTS = 25
"""On one page."""

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
    shared = billing.share_field()


class MoveForm(PicksForm):
    """The first day on which payments count by the offer's current terms, and the reason."""

    since = Day("First day", [InputRequired("Choose the first day on which payments count by the current terms.")])
    reason = TextAreaField("Why", [InputRequired("Say why.")], render_kw={"maxlength": MAX_REASON_LENGTH, "rows": 2})


@pages.page("/<id:membership_id>", Role.VIEWER)
def show(membership_id: int) -> Answer:
    """The membership."""
    return _page(_find(membership_id))


@pages.button("/<id:membership_id>/billing", Role.DESK)
def add_billing(membership_id: int) -> Answer:
    """Let payments with one more reference find the membership."""
    membership, form = _find(membership_id), BillingForm()

    def act() -> tuple[str, str]:
        settled = billing.add(membership, form.endpoint.data, form.text("reference"), shared=form.shared.data)
        text = f"Payments with {form.text('reference')} count for this membership. {settled}".strip()
        return text, url_for(".show", membership_id=membership_id)

    return form.submitted(act) or _page(membership, billing_form=form)


@pages.form("/<id:membership_id>/move", Role.MANAGER)
def move(membership_id: int) -> Answer:
    """Move the membership to its offer's current terms, from today or a later day on."""
    membership, form, now = _find(membership_id), MoveForm(), utc_now()
    zone, term = membership.club.time_zone, membership.term

    def act() -> tuple[str, str]:
        form.check_terms(term)
        moved = signing_up.move_to_current_terms(
            database(),
            membership,
            since=form.since.data,
            picks=form.picked(term),
            reason=form.text("reason"),
            by=actor(),
            now=now,
        )
        text = f"From {day(moved.since, zone)} on: {_sentence(membership, moved)} What was paid before stays."
        return text, url_for(".show", membership_id=membership_id)

    answer = form.submitted(act)
    form.show_terms(term)
    if request.method == "GET":
        form.since.data = now.astimezone(ZoneInfo(zone)).date()
        form.tick(term, (pin.item_id for pin in membership.terms_at(now).pinned))
    return answer or _page(membership, move_form=form)


def _find(membership_id: int) -> Membership:
    return database().get(Membership, membership_id, options=_MADE_OF) or abort(404)


def _page(membership: Membership, **forms: Form) -> Answer:
    session, now = database(), utc_now()
    shared = _shared_with(membership)
    in_force, current = membership.terms_at(now), on_sale.given(membership.term)
    acts = [version.action_id for version in membership.versions]
    return page(
        "memberships/move.html" if "move_form" in forms else "memberships/membership.html",
        membership=membership,
        zone=membership.club.time_zone,
        in_force=in_force,
        now=now,
        sentences={version.id: _sentence(membership, version) for version in membership.versions},
        acts={act.id: act for act in session.scalars(select(Action).where(Action.id.in_(acts)))},
        compared=changed_terms.compare(_given(in_force), current),
        current=current,
        paid=dues.page(session, membership.id, limit=PAYMENTS, before=query_id("before")),
        in_review={one.payment_id: one for one in reviewing.page(session, member_id=membership.member_id)},
        shared=shared,
        taken=_is_taken(forms.get("billing_form")),
        **{"billing_form": BillingForm(formdata=None), **forms},
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


def _is_taken(form: Form | None) -> bool:
    """Whether the reference in a refused form belongs to another membership, so that it could be shared."""
    return form is not None and bool(owners(database(), form["endpoint"].data or "", form.text("reference")))


def _given(terms: MembershipTerms) -> dict[int, Given]:
    return {pin.item_id: Given(pin.item.name, pin.quantity, pin.days_to_expire) for pin in terms.pinned}


def _sentence(membership: Membership, terms: MembershipTerms) -> str:
    term, given = membership.term, list(_given(terms).values())
    return term_sentence(terms.dues_minor, membership.currency, term.interval, term.interval_count, given)
