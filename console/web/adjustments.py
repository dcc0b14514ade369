"""Sessions given and taken by hand, and the second person who approves."""

from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select
from wtforms import SelectChoice

from console.web import member_page
from console.web.access import actor, database, done, needs, told
from console.web.formats import house_zone, signed
from console.web.member_forms import AdjustForm
from models.catalogue.tables import Item, ItemKind
from models.errors import (
    DayOver,
    DayTooFar,
    NumberTooLarge,
    ReasonMissing,
    SppError,
    TextTooLong,
    TooFewSessions,
    ZeroQuantity,
)
from models.ledger import adjustments
from models.ledger.adjustments import Adjustment, AdjustmentReason
from models.staff.accounts import Role
from models.statements import statement
from models.statements.statement import Balance
from models.wording import sessions_of

pages = Blueprint("adjustments", __name__)

_BESIDE: dict[type[SppError], str] = {
    ZeroQuantity: "quantity", NumberTooLarge: "quantity", TooFewSessions: "quantity", ReasonMissing: "note",
    TextTooLong: "note", DayTooFar: "last_day", DayOver: "last_day",
}  # fmt: skip


@pages.route("/<id:member_id>/adjust", methods=["GET", "POST"])
@needs(Role.DESK)
def adjust(member_id: int) -> ResponseReturnValue:
    """Gives or takes sessions with a reason; many of them wait for a second person."""
    session, now = database(), datetime.now(UTC)
    member = member_page.find(member_id)
    balances = statement.balances(session, member_id, now)
    alone_up_to: int = current_app.config["SPP"].adjust_alone_up_to
    form = AdjustForm()
    form.item_id.choices = _items(balances)
    form.quantity.description = f"More than {alone_up_to} wait until a second person, a manager, approves them."
    if form.validate_on_submit():
        with form.refusals(_BESIDE), form.sent_once():
            made = adjustments.adjust(
                session, member_id=member_id, item_id=form.item_id.data, quantity=form.signed_quantity,
                last_day=form.last_day.data, reason=AdjustmentReason(form.reason.data), note=form.text("note"),
                alone_up_to=alone_up_to, key=form.once, by=actor(), now=now,
            )  # fmt: skip
        if not form.errors:
            done(_told(made, member.name))
            return redirect(url_for("members.show", member_id=member_id))
    status = 422 if request.method == "POST" else 200
    short = [balance for balance in balances if balance.shortfall]
    return member_page.show(member_id, status=status, window="members/adjust.html", form=form, short=short)


@pages.get("/adjustments")
@needs(Role.VIEWER)
def waiting() -> ResponseReturnValue:
    """Every adjustment that waits for a second person."""
    return render_template("members/adjustments.html", waiting=adjustments.waiting(database()), zone=house_zone())


@pages.post("/adjustments/<id:adjustment_id>/approve")
@needs(Role.MANAGER)
def approve(adjustment_id: int) -> ResponseReturnValue:
    """Lets an adjustment take effect, as its second person."""
    return _decide(adjustment_id, approve=True)


@pages.post("/adjustments/<id:adjustment_id>/decline")
@needs(Role.DESK)
def decline(adjustment_id: int) -> ResponseReturnValue:
    """Lets an adjustment come to nothing; those who are no managers can only withdraw their own."""
    asked = database().get(Adjustment, adjustment_id) or abort(404)
    if asked.asked_by != actor().name and not current_user.may("manager"):
        abort(403)
    return _decide(adjustment_id, approve=False)


def _decide(adjustment_id: int, *, approve: bool) -> ResponseReturnValue:
    session = database()
    adjustment = session.get(Adjustment, adjustment_id) or abort(404)
    member_id, name = adjustment.member_id, adjustment.member.name
    try:
        with session.begin_nested():
            decided = adjustments.decide(session, adjustment_id, approve=approve, by=actor(), now=datetime.now(UTC))
        withdrawn = "withdrawn" if decided.asked_by == actor().name else "declined"
        done(_told(decided, name) if approve else f"{_named(decided, name)}: {withdrawn}.")
    except SppError as error:
        told(error)
    if request.form.get("to") == "list":
        return redirect(url_for("members.adjustments.waiting"))
    return redirect(url_for("members.show", member_id=member_id))


def _items(balances: Sequence[Balance]) -> list[SelectChoice]:
    """The session items that can be chosen: those not retired, and those that the member has had."""
    held = {balance.item_id for balance in balances}
    query = select(Item).where(Item.kind == ItemKind.SCHEDULER_BUCKET).order_by(Item.name)
    return [
        SelectChoice(item.id, item.name)
        for item in database().scalars(query)
        if item.retired_at is None or item.id in held
    ]


def _named(adjustment: Adjustment, member: str) -> str:
    return f"{signed(adjustment.quantity)} {adjustment.item.name} for {member}"


def _told(adjustment: Adjustment, member: str) -> str:
    if adjustment.approved is None:
        return f"{_named(adjustment, member)}: asked for. It waits until a second person, a manager, approves it."
    if not adjustment.approved:
        return f"{_named(adjustment, member)}: declined before by {adjustment.decided_by}."
    moved = sessions_of(adjustment.item.name, abs(adjustment.quantity))
    return f"{moved} given to {member}." if adjustment.quantity > 0 else f"{moved} taken from {member}."
