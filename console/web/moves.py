"""Move to the current terms: all memberships of an offer whose terms differ from those that it has now."""

from typing import ClassVar

from flask import url_for
from wtforms.validators import Optional

from console.request import actor, database, utc_now
from console.rows import the_offer
from console.web.access import Answer, Pages, Role
from console.web.fields import FIRST_DAY, Day, WholeNumber
from console.web.forms import Form, page, why
from models.catalogue import on_sale
from models.members import plan_change
from models.wording import counted
from runtime.language import say

pages = Pages("moves", __name__, url_prefix="/<id:offer_id>/move")

SHOWN = 50
"""Memberships that are left out, of which the page tells."""


class MoveForm(Form):
    """The day, the reason, and the number of memberships, typed to confirm it."""

    own_names: ClassVar = {"expected": "count"}

    since = Day("First day", [Optional()], description=FIRST_DAY)
    reason = why(autofocus=False)
    count = WholeNumber("Number of memberships", description="Type it to confirm.")


@pages.form("", Role.MANAGER)
def move(offer_id: int) -> Answer:
    """Move them, once their number is confirmed."""
    offer, form, now = the_offer(offer_id), MoveForm(), utc_now()

    def act() -> tuple[str, str]:
        wish = {"since": form.since.data, "expected": form.count.data, "reason": form.text("reason")}
        moved = plan_change.move_all(database(), offer.terms, **wish, by=actor(), now=now)
        number = len(moved.changes)
        message = say("{memberships} moved to the current terms.", memberships=counted(number, "membership"))
        if moved.left_out:
            message += " " + say("{memberships} left out.", memberships=counted(len(moved.left_out), "membership"))
        return message, url_for(".move", offer_id=offer.id)

    if answer := form.submitted(act):
        return answer
    found = plan_change.moves(database(), offer.terms, since=None, now=now)
    numbers = {term.id: sum(change.term is term for change in found.changes) for term in offer.terms}
    return page(
        "offers/moves.html",
        offer=offer,
        form=form,
        numbers=numbers,
        number=len(found.changes),
        left_out=found.left_out[:SHOWN],
        left_out_count=len(found.left_out),
        summaries={term.id: on_sale.summary(term) for term in offer.terms},
    )
