"""Sessions given and taken by hand, and the second person who approves."""

import json
from collections.abc import Collection, Mapping
from datetime import date

from flask import abort, current_app, request, url_for
from flask_login import current_user
from sqlalchemy import select
from wtforms import SelectChoice

from console.request import actor, database, utc_now
from console.web import member_page, review_list
from console.web.access import Answer, Pages, Role, club_ids
from console.web.fields import query_id
from console.web.formats import signed
from console.web.forms import page, pressed
from console.web.member_forms import AdjustForm
from models.catalogue.days import last_usable_day, local_day
from models.catalogue.items import Item, ItemKind
from models.ledger import adjustments
from models.ledger.adjustments import Adjustment, AdjustmentReason
from models.members import usual_days
from models.members.usual_days import UsualDays
from models.payments import reviewing
from models.payments.reviewing import InReview
from models.staff.actions import MAX_REASON_LENGTH
from models.statements import statement
from models.wording import money, sessions_of
from runtime.language import in_english, say

pages = Pages("adjustments", __name__)


@pages.form("/<id:member_id>/adjust", Role.DESK)
def adjust(member_id: int) -> Answer:
    """Give or take sessions with a reason; many of them wait for a second person."""
    session, now = database(), utc_now()
    member = member_page.find(member_id)
    balances = statement.balances(session, member_id, now)
    alone_up_to: int = current_app.config["SPP"].adjust_alone_up_to
    form, payment = AdjustForm(), _in_review(member_id)
    usual = usual_days.of_items(session, member_id, member.clock(now))
    form.item_id.choices = _items({balance.item_id for balance in balances}, usual)
    if payment is None or not current_user.may(*review_list.MAY_ACCEPT):
        del form.accepts
    if payment and request.method == "GET":
        _fill_in(form, payment, member_id)
    _fill_in_day(form, usual, local_day(member.clock(now), member_page.zone_of(member)))
    back = review_list.back() if payment else url_for("members.show", member_id=member_id)
    form.quantity.description = say(
        "More than {number} wait until a second person, a manager, approves them.", number=alone_up_to
    )

    def act() -> tuple[str, str]:
        made = adjustments.adjust(
            session,
            member_id=member_id,
            item_id=form.item_id.data,
            quantity=form.signed_quantity,
            last_day=form.last_day.data,
            reason=AdjustmentReason(form.reason.data),
            note=form.text("note"),
            alone_up_to=alone_up_to,
            key=form.once,
            by=actor(),
            now=now,
        )
        if payment and "accepts" in form and form.accepts.data:
            reviewing.accept(session, payment.payment_id, reason=form.text("note"), by=actor())
        return _outcome(made, member.name), back

    short = [balance for balance in balances if balance.shortfall]
    return form.submitted(act) or member_page.show(
        member_id, window="members/adjust.html", form=form, short=short, back=back
    )


def _in_review(member_id: int) -> InReview | None:
    """The payment in review for which sessions are given or taken, if the window was opened for one."""
    payment_id = query_id("payment")
    found = reviewing.of_payment(database(), payment_id) if payment_id else None
    return found if found and member_id in found.members else None


@in_english
def _fill_in(form: AdjustForm, payment: InReview, member_id: int) -> None:
    """Begin with what is known: whether to give or take, the item, and what the review says, as the note is kept."""
    form.sign.data = "minus" if request.args.get("sign") == "minus" else "plus"
    if given := payment.given(member_id):
        form.item_id.data = given[0].item_id
    why = "; ".join(what for _, what in payment.reasons)
    amount = money(payment.amount_minor, payment.currency)
    form.note.data = f"Payment {payment.payment} of {amount}: {why}"[:MAX_REASON_LENGTH]


@pages.page("/adjustments", Role.VIEWER)
def waiting() -> Answer:
    """Every adjustment that waits for a second person."""
    return page("members/adjustments.html", waiting=adjustments.waiting(database(), club_ids=club_ids()))


@pages.button("/adjustments/<id:adjustment_id>/approve", Role.MANAGER)
def approve(adjustment_id: int) -> Answer:
    """Let an adjustment take effect, as its second person."""
    return _decide(_find(adjustment_id), approve=True)


@pages.button("/adjustments/<id:adjustment_id>/decline", Role.DESK)
def decline(adjustment_id: int) -> Answer:
    """Decline an adjustment; people below manager can only withdraw their own."""
    adjustment = _find(adjustment_id)
    if not adjustments.may_decline(adjustment, actor(), is_manager=current_user.may("manager")):
        abort(403)
    return _decide(adjustment, approve=False)


def _find(adjustment_id: int) -> Adjustment:
    return database().get(Adjustment, adjustment_id) or abort(404)


def _decide(adjustment: Adjustment, *, approve: bool) -> Answer:
    name, member_id = adjustment.member.name, adjustment.member_id

    def act() -> str:
        decided = adjustments.decide(database(), adjustment.id, approve=approve, by=actor(), now=utc_now())
        if approve:
            return _outcome(decided, name)
        described = _named(decided, name)
        if decided.asked_by == actor().name:
            return say("{adjustment}: withdrawn.", adjustment=described)
        return say("{adjustment}: declined.", adjustment=described)

    to_list = request.form.get("to") == "list"
    return pressed(act, url_for(".waiting") if to_list else url_for("members.show", member_id=member_id))


def _items(held: Collection[int], usual: Mapping[int, UsualDays]) -> list[SelectChoice]:
    """The session items that can be chosen: those not retired, and those that the member has had.

    The member's own come first: what they have or had, and what their plans give.
    """
    own, others = [], []
    for item in database().scalars(select(Item).where(Item.kind == ItemKind.SCHEDULER_BUCKET).order_by(Item.name)):
        if item.id in held or (item.id in usual and usual[item.id].is_own):
            own.append(SelectChoice(str(item.id), item.name, optgroup=say("Items of this member")))
        elif item.retired_at is None:
            others.append(SelectChoice(str(item.id), item.name, optgroup=say("Other items")))
    return own + others


def _fill_in_day(form: AdjustForm, usual: Mapping[int, UsualDays], today: date) -> None:
    """Offer the last day by the item's usual days; the page's script follows when another item is chosen.

    Of an item that usually never expires, that has to be chosen.
    """
    last = {item_id: last_usable_day(today, one.days_to_expire) for item_id, one in usual.items()}
    days = {str(item_id): day.isoformat() for item_id, day in last.items() if day}
    form.last_day.render_kw = {"data-usual": json.dumps(days)}
    if request.method == "GET" and form.item_id.choices:
        chosen = form.item_id.data or int(form.item_id.choices[0].value)
        form.last_day.data = last.get(chosen)


def _named(adjustment: Adjustment, member: str) -> str:
    item = adjustment.item.name
    return say("{number} {item} for {member}", number=signed(adjustment.quantity), item=item, member=member)


def _outcome(adjustment: Adjustment, member: str) -> str:
    if adjustment.approved is None:
        return say(
            "{adjustment}: asked for. It waits until a second person, a manager, approves it.",
            adjustment=_named(adjustment, member),
        )
    if not adjustment.approved:
        who = adjustment.decided_by
        return say("{adjustment}: declined before by {who}.", adjustment=_named(adjustment, member), who=who)
    moved = sessions_of(adjustment.item.name, abs(adjustment.quantity))
    if adjustment.quantity < 0:
        return say("{sessions} taken from {member}.", sessions=moved, member=member)
    if adjustment.expires_at is None:
        return say("{sessions} given to {member}. They never expire.", sessions=moved, member=member)
    return say("{sessions} given to {member}.", sessions=moved, member=member)
