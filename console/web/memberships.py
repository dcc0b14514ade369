"""One membership: its page, its billing references, and its plan changes. Its freezes and end are in `life`."""

from datetime import datetime, timedelta
from http import HTTPStatus

from flask import current_app, flash, make_response, redirect, request, url_for
from wtforms import SelectField, TextAreaField
from wtforms.validators import InputRequired, Optional

from console import first_payment
from console.request import actor, database, parse_id, undo, utc_now
from console.web import billing, forms, life, membership_page
from console.web.access import Answer, Pages, Role, club_ids
from console.web.fields import FIRST_DAY, Day, chosen_id, query_id
from console.web.membership_page import BillingForm, ClearForm
from console.web.picks import PicksForm, fingerprint
from console.web.previews import ActForm, Preview, answered
from models.catalogue import on_sale
from models.catalogue.tables import PaymentTerm
from models.errors import NotChanged, PreviewChanged, SppError
from models.members import awaiting, overdue, plan_change
from models.members.memberships import Membership
from models.staff.actions import MAX_REASON_LENGTH
from runtime.language import say, say_n

pages = Pages("memberships", __name__, url_prefix="/memberships")
pages.register_blueprint(life.pages)


class PlanForm(PicksForm):
    """The payment term and picks by which payments count from a day on, and the reason."""

    term = SelectField("Plan", coerce=chosen_id, validate_choice=False)
    since = Day("First day", [Optional()], description=FIRST_DAY)
    reason = TextAreaField("Why", [InputRequired("Say why.")], render_kw={"maxlength": MAX_REASON_LENGTH, "rows": 2})


@pages.page("/<id:membership_id>", Role.VIEWER)
def show(membership_id: int) -> Answer:
    """The membership."""
    return membership_page.page(membership_page.find(membership_id))


SHOWN = 100
"""Memberships on one page of those that await their first payment."""
DAYS = (0, 14, 30)
"""For how many days at least, to choose from."""


@pages.page("/awaiting", Role.VIEWER)
def await_payment() -> Answer:
    """Those that await their first payment, the longest first."""
    days = request.args.get("days", awaiting.LONG.days, type=int)
    days, session, now = days if days in DAYS else awaiting.LONG.days, database(), utc_now()
    longer = timedelta(days=days)
    found = awaiting.page(
        session, now=now, longer_than=longer, after=query_id("after") or 0, limit=SHOWN + 1, club_ids=club_ids()
    )
    return forms.page(
        "memberships/awaiting.html",
        found=found[:SHOWN],
        following=found[SHOWN - 1].membership_id if len(found) > SHOWN else None,
        count=awaiting.count(session, now=now, longer_than=longer, club_ids=club_ids()),
        days=days,
        removable=now - awaiting.REMOVABLE,
        choices=DAYS,
    )


@pages.button("/<id:membership_id>/remove", Role.MANAGER)
def remove(membership_id: int) -> Answer:
    """Remove a membership that has awaited its first payment for a long time."""

    def act() -> str:
        why = request.form.get("reason", "")
        gone = awaiting.remove(database(), membership_id, reason=why, by=actor(), now=utc_now())
        return say("The membership of {member} is removed.", member=gone.member)

    return forms.pressed(act, url_for(".await_payment", days=awaiting.REMOVABLE.days))


@pages.button("/awaiting/remove", Role.MANAGER)
def remove_chosen() -> Answer:
    """Remove the chosen ones of those that have awaited their first payment for a long time, or none of them."""

    def act() -> str:
        chosen = [found for one in request.form.getlist("chosen") if (found := parse_id(one))]
        why = request.form.get("reason", "")
        gone = awaiting.remove_all(database(), chosen, reason=why, by=actor(), now=utc_now(), club_ids=club_ids())
        return say_n("{n} membership is removed.", "{n} memberships are removed.", len(gone))

    return forms.pressed(act, url_for(".await_payment", days=awaiting.REMOVABLE.days))


@pages.button("/<id:membership_id>/checkout/<name>", Role.DESK)
def make_checkout(membership_id: int, name: str) -> Answer:
    """Make a page for the first payment at the processor, and show its address."""
    wanted = first_payment.wanted(membership_page.find(membership_id), utc_now())
    undo()  # the processor is asked outside of any transaction
    try:
        made = first_payment.make_checkout(current_app.config["SPP"], wanted, name, by=actor(), log=database)
    except SppError as error:
        flash(str(error), "danger")
        return redirect(url_for(".show", membership_id=membership_id, _anchor="first-payment"))
    shown = membership_page.page(membership_page.find(membership_id), checkout_made=made, checkout_at=name)
    answer = make_response(shown)
    answer.status_code = HTTPStatus.OK
    return answer


@pages.button("/<id:membership_id>/billing", Role.DESK)
def add_billing(membership_id: int) -> Answer:
    """Let payments with one more reference find the membership."""
    membership, form = membership_page.find(membership_id), BillingForm()

    def act() -> tuple[str, str]:
        settled = billing.add(membership, form.endpoint.data, form.text("reference"), shared=form.shared.data)
        text = say("Payments with {reference} count for this membership.", reference=form.text("reference"))
        return f"{text} {settled}".strip(), url_for(".show", membership_id=membership_id)

    return form.submitted(act) or membership_page.page(membership, billing_form=form)


@pages.button("/<id:membership_id>/clear-overdue", Role.MANAGER)
def clear_overdue(membership_id: int) -> Answer:
    """Say that the dues that failed are owed no more: paid in cash, or forgiven."""
    membership, form = membership_page.find(membership_id), ClearForm()

    def act() -> tuple[str, str]:
        overdue.clear(database(), membership, reason=form.text("reason"), by=actor(), now=utc_now())
        return say("Its dues are not overdue any more."), url_for(".show", membership_id=membership_id)

    return form.submitted(act) or membership_page.page(membership, clear_form=form)


@pages.form("/<id:membership_id>/plan", Role.MANAGER)
def change_plan(membership_id: int) -> Answer:
    """Change the plan from today or a later day on, after a preview of what that means."""
    membership, now, sent = membership_page.find(membership_id), utc_now(), request.method == "POST"
    form = PlanForm(request.form if sent else request.args)
    plans = _plans(membership, now)
    form.term.choices = [(term.id, f"{term.offer.name}, {term.name}") for term in plans]
    term = next((term for term in plans if term.id == form.term.data), membership.plan_at(now))
    if not sent and term.id != request.args.get("shown_term", type=int):
        form.tick(term, form.items.data or [pin.item_id for pin in membership.terms_at(now).pinned])
    form.term.data = term.id

    def planned() -> plan_change.Change:
        picks = form.picked(term)
        return plan_change.preview(membership, term=term, since=form.since.data, picks=picks, now=now)

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
    if not form.since.errors:
        try:
            preview = planned().words
        except SppError as error:
            if not sent and (request.args or not isinstance(error, NotChanged)):
                form.refuse(error)
    form.shown.data = fingerprint(preview) if preview else ""
    window = {"plan_form": form, "plan": term, "preview": preview, "given": on_sale.given(term)}
    return membership_page.page(membership, "plan", **window)


class WithdrawForm(ActForm):
    """The planned change, by its day."""

    since = Day("First day of the planned change", [InputRequired("Choose the first day of the planned change.")])


@pages.form("/<id:membership_id>/plan/withdraw", Role.MANAGER)
def withdraw_plan(membership_id: int) -> Answer:
    """Withdraw a planned change."""
    membership, form = membership_page.find(membership_id), WithdrawForm.asked()

    def planned(reason: str, *, preview: bool) -> Preview:
        day, now = form.since.data, utc_now()
        if preview:
            return Preview(plan_change.preview_withdrawal(membership, since=day, now=now).words, [])
        done = plan_change.withdraw(database(), membership, since=day, reason=reason, by=actor(), now=now)
        return Preview(done.words, [])

    answer, preview = answered(form, planned, url_for(".show", membership_id=membership_id), shown=0)
    names = {"title": say("Withdraw the planned change"), "verb": say("Withdraw change")}
    window = {"act_form": form, "preview": preview, **names}
    return answer or membership_page.page(membership, "life", **window)


def _plans(membership: Membership, now: datetime) -> list[PaymentTerm]:
    """The payment terms to choose from: the one that it has, and all that are on sale at its club."""
    club, own = membership.club, membership.plan_at(now)
    on_offer = [term for offer in on_sale.offers(database(), club) for term in on_sale.terms_at(offer, club)]
    return on_offer if own in on_offer else [own, *on_offer]
