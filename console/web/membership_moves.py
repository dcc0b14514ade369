"""What a membership gives up, each after a preview: its club for another one, and billing references."""

from collections.abc import Callable
from typing import ClassVar

from flask import request, url_for
from sqlalchemy import select
from wtforms import HiddenField, RadioField, SelectField
from wtforms.validators import DataRequired

from console import bounds
from console.request import actor, database, is_test_endpoint, utc_now
from console.rows import row
from console.web import billing, linking
from console.web.access import Answer, Pages, Role
from console.web.fields import chosen_id
from console.web.forms import Form, why
from console.web.membership_page import find
from console.web.membership_page import page as shown
from console.web.picks import fingerprint
from models.catalogue.clubs import Club
from models.errors import PreviewChanged, SppError
from models.members import club_move, reference_moves
from models.members.memberships import Membership
from runtime.language import say

pages = Pages("membership_moves", __name__, url_prefix="/memberships")

NOBODY = "nobody"
"""Of a billing reference that is removed."""


class MoveForm(Form):
    """A form that is sent with GET for its preview, and then with POST."""

    shown = HiddenField()
    """A fingerprint of the preview."""
    reason = why(autofocus=False)

    def previewed(self, words: Callable[[], str]) -> str | None:
        """The preview, which the form then knows; None where there is none, with the reason above or beside a field."""
        try:
            preview = words()
        except SppError as error:
            if request.method == "GET":
                self.refuse(error)
            return None
        self.shown.data = fingerprint(preview)
        return preview

    def as_previewed(self, words: str) -> str:
        """The words of what was done. Raises PreviewChanged if the page showed others."""
        if self.shown.data != fingerprint(words):
            raise PreviewChanged
        return words


class ClubForm(MoveForm):
    """Another club, and why."""

    own_names: ClassVar = {"club_id": "club"}

    club = SelectField("Club", coerce=chosen_id, validate_choice=False)


class ReferenceForm(MoveForm):
    """A billing reference, which membership gets it, and why."""

    own_names: ClassVar = {"reference": "which", "membership_id": "into", "to_membership_id": "into"}

    which = SelectField("Billing reference", validate_choice=False)
    into = RadioField("Whose it becomes", [DataRequired("Choose whose it becomes.")], validate_choice=False)


@pages.form("/<id:membership_id>/club", Role.MANAGER)
def move_club(membership_id: int) -> Answer:
    """Move the membership to another club of its currency."""
    membership = find(membership_id)
    form = ClubForm(request.form if request.method == "POST" else request.args)
    same = select(Club).where(Club.currency == membership.currency, Club.id != membership.club_id).order_by(Club.name)
    form.club.choices = [(club.id, club.name) for club in database().scalars(bounds.theirs(same))]
    if not form.club.data and form.club.choices:
        form.club.data = form.club.choices[0][0]

    def act() -> tuple[str, str]:
        club, by, now = row(Club, form.club.data), actor(), utc_now()
        words = club_move.move_club(database(), membership, club, reason=form.text("reason"), by=by, now=now)
        form.as_previewed(words)
        return say("It is at {club} now.", club=club.name), url_for("memberships.show", membership_id=membership_id)

    if answer := form.submitted(act):
        return answer
    preview = None
    if form.club.data:
        preview = form.previewed(lambda: club_move.preview(database(), membership, row(Club, form.club.data)))
    return shown(membership, "club", move_form=form, preview=preview)


@pages.form("/<id:membership_id>/references", Role.MANAGER)
def give_up(membership_id: int) -> Answer:
    """Move a billing reference to another membership, or remove it."""
    membership, sought = find(membership_id), request.args.get("q", "").strip()[:255]
    form = ReferenceForm(request.form if request.method == "POST" else request.args)
    form.which.choices = sorted(f"{one.endpoint} {one.reference}" for one in membership.billing)
    if not form.which.data and form.which.choices:
        form.which.data = form.which.choices[0]
    endpoint, _, reference = (form.which.data or "").partition(" ")
    offered = {str(one.membership_id): one for one in _offered(membership, sought, form.into.data)}
    form.into.choices = [(NOBODY, say("Nobody: remove it")), *((one, offered[one].member) for one in offered)]

    def into() -> Membership | None:
        return None if form.into.data == NOBODY else row(Membership, chosen_id(form.into.data))

    def act() -> tuple[str, str]:
        words = reference_moves.give_up(
            database(), membership, endpoint, reference, into=into(), reason=form.text("reason"), by=actor(),
            is_test=is_test_endpoint(endpoint),
        )  # fmt: skip
        form.as_previewed(words)
        billing.settle_waiting()
        return words, url_for("memberships.show", membership_id=membership_id, _anchor="billing")

    if answer := form.submitted(act):
        return answer
    preview = None
    if form.into.data and reference:
        preview = form.previewed(lambda: reference_moves.preview(database(), membership, endpoint, reference, into()))
    return shown(membership, "references", move_form=form, preview=preview, offered=offered, sought=sought)


def _offered(membership: Membership, sought: str, chosen: str | None) -> list[linking.Offered]:
    """The memberships to choose from: the one that is chosen, the member's others, and what a search finds."""
    own = [one for one in membership.member.memberships if one.id != membership.id]
    if (picked := database().get(Membership, chosen_id(chosen))) and picked not in own:
        own.insert(0, picked)
    known = [linking.offered(one, say("chosen") if one is picked else say("of the same member")) for one in own]
    found = [one for one in linking.searched(sought) if one.membership_id != membership.id] if sought else []
    return known + [one for one in found if one.membership_id not in {each.membership_id for each in known}]
