"""Announcements: what the payment provider says of subscriptions, each with a button that does it to the membership."""

from collections.abc import Collection
from typing import Any

from flask import abort, current_app, request, url_for

from console import announcing
from console.request import actor, database, late_credit, utc_now
from console.web.access import Answer, Pages, Role, club_ids
from console.web.forms import page, pressed
from models.payments import announcements
from models.payments.announcements import Announcement
from models.payments.proposals import Does
from runtime.language import say

pages = Pages("announcements", __name__, url_prefix="/announcements")
MAY_ANSWER = Role.MANAGER
SHOWN = 200
"""On the page of all; the latest."""


@pages.app_context_processor
def _shared() -> dict[str, Any]:
    return {"announced": announced, "words_now": _words_now, "answers_announcements": MAY_ANSWER}


def announced(membership_ids: Collection[int]) -> list[Announcement]:
    """What is open for these memberships, for their pages."""
    return announcements.of_memberships(database(), list(membership_ids), _processors())


def _words_now(one: Announcement) -> str:
    return one.words(utc_now())


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """Everything that is open."""
    every = announcements.every(database(), _processors(), club_ids())
    return page("announcements/list.html", every=every[:SHOWN], count=len(every))


@pages.button("/<id:fact_id>/<id:membership_id>/apply", MAY_ANSWER)
def apply(fact_id: int, membership_id: int) -> Answer:
    """Do to the membership what was announced."""

    def act() -> str:
        one, now = _find(fact_id, membership_id), utc_now()
        moved = announcing.apply(database(), one, reason="", by=actor(), now=now, late_credit=late_credit())
        return " ".join([f"{one.proposal.done} ({one.member}).", *(f"{grant.words}." for grant in moved)])

    return pressed(act, _back(membership_id))


@pages.button("/<id:fact_id>/<id:membership_id>/dismiss", MAY_ANSWER)
def dismiss(fact_id: int, membership_id: int) -> Answer:
    """Leave the membership as it is."""

    def act() -> str:
        one = _find(fact_id, membership_id)
        announcements.dismiss(database(), one, by=actor(), now=utc_now())
        return say("Dismissed: the membership of {member} stays as it is.", member=one.member)

    return pressed(act, _back(membership_id))


def _processors() -> dict[str, str]:
    return announcing.processors(current_app.config["SPP"].endpoints)


def _find(fact_id: int, membership_id: int) -> Announcement:
    """What the button stands beside. Raises AnnouncementOver."""
    try:
        does = Does(request.form.get("does", ""))
    except ValueError:
        abort(400, "The form was not complete. Go back, reload the page, and send it again.")
    return announcements.find(database(), membership_id, fact_id, _processors(), does)


def _back(membership_id: int) -> str:
    to = request.form.get("to")
    if to == "list":
        return url_for(".overview")
    if to == "member" and (member_id := request.form.get("member", type=int)):
        return url_for("members.show", member_id=member_id)
    return url_for("memberships.show", membership_id=membership_id)
