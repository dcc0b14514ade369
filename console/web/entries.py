"""Where an entry of the statement came from, back to what the processor sent or to the person."""

from datetime import UTC, datetime

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from console.web import member_page
from console.web.access import database, needs
from models.inbox import masking
from models.staff.accounts import Role
from models.statements import explanation, statement

pages = Blueprint("entries", __name__)

SHOWN = 100
"""Entries of the grant that stand below."""


@pages.get("/<id:member_id>/entries/<id:entry_id>")
@needs(Role.VIEWER)
def explain(member_id: int, entry_id: int) -> ResponseReturnValue:
    """The chain of an entry: its payment, what was told of that, and the event with its body; or who did it."""
    now = datetime.now(UTC)
    member = member_page.find(member_id)
    why = explanation.explain(database(), member_id, entry_id, now) or abort(404)
    history = statement.page(database(), member_id, limit=SHOWN, grant_id=why.grant.grant_id, item_id=why.entry.item_id)
    return render_template(
        "members/entry.html", member=member, zone=member_page.zone_of(member), now=now, why=why, history=history,
        shown=masking.shown,
    )  # fmt: skip
