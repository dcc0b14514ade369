"""The next step: on empty pages, and as a checklist until the first payment has given sessions.

A link leads to a page only for those who may open it; others are told who can.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flask import Flask, current_app, request, url_for
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from console import bounds
from console.request import database, undo
from models.operations import first_steps
from models.operations.first_steps import FirstSteps, Hurdle, Step, StepName
from models.staff.accounts import Role
from runtime.language import Texts, say

PAGES: Mapping[StepName | Hurdle, Sequence[str]] = {
    StepName.CLUB: ("clubs.new",),
    StepName.ITEMS: ("inventory.new",),
    StepName.OFFER: ("offers.new",),
    StepName.ENDPOINT: ("operations.overview",),
    # The first of them that there is.
    StepName.MEMBERS: ("imports.overview", "sign_up.form"),
    Hurdle.NO_REFERENCE: ("memberships.show",),
    Hurdle.IN_REVIEW: ("review.overview",),
    Hurdle.NO_EFFECT: ("operations.events.overview",),
    Hurdle.NOTHING_CAME: ("operations.events.overview",),
}
"""Where each step is done."""
SHOWN_ON = {
    "members.search", "members.show", "sign_up.form", "memberships.show", "review.overview", "offers.overview",
    "inventory.overview", "clubs.overview", "operations.overview",
}  # fmt: skip
"""The pages that show the checklist: those where steps are done, and the start. An offer's page has its own hint."""
FEW = 4
"""With so many steps done, the start shows the next one alone."""
WHO: Texts = {
    Role.DESK: "the front desk",
    Role.MANAGER: "a manager",
    Role.OPERATOR: "an operator",
    Role.ADMIN: "an admin",
}


class Way(NamedTuple):
    """A step with the page where it is done; without one for those who may not open it."""

    step: Step
    url: str | None
    who: str
    """`a manager can do that`; empty where everybody can."""


class Checklist(NamedTuple):
    """The first steps as the reader has them."""

    ways: Sequence[Way]
    next: Way
    done: int
    is_open: bool
    """Whether all steps are shown at once."""


def install(app: Flask) -> None:
    """Give templates the checklist, and what an empty page says of its next step."""
    app.jinja_env.globals.update(may_open=may_open, who_can=who_can, checklist=checklist)
    app.extensions["spp_credited"] = False


def may_open(page: str) -> bool:
    """Whether the reader may open the page."""
    return bool(current_user.is_authenticated and current_user.may_on(page, *_needed(page)) and bounds.is_open(page))


def who_can(page: str) -> str:
    """`a manager can do that`, by the roles that the page needs; empty where everybody may open it."""
    who = [say(WHO[role]) for role in _needed(page) if role in WHO]
    return say("{who} can do that", who=say(" or ").join(who)) if who else ""


def _needed(page: str) -> Sequence[Role]:
    needs: Sequence[Role] = getattr(current_app.view_functions[page], "needs", ())
    return needs


def checklist() -> Checklist | None:
    """The checklist for this page; None where it has none, and for ever once a payment has given sessions."""
    if request.endpoint not in SHOWN_ON or current_app.extensions["spp_credited"] or bounds.club_ids() is not None:
        return None
    try:
        found = first_steps.first_steps(database(), has_endpoint=bool(current_app.config["SPP"].endpoints))
    except SQLAlchemyError:  # the page for a database that does not answer has no list
        undo()
        return None
    if found is None:
        current_app.extensions["spp_credited"] = True
        return None
    return _for_reader(found)


def _for_reader(found: FirstSteps) -> Checklist:
    ways = [_way(step) for step in found.steps]
    upcoming = next(way for way in ways if way.step == found.next)
    is_start = request.endpoint == "members.search" and not request.args
    return Checklist(ways, upcoming, found.done, is_start and found.done < FEW and upcoming.url is not None)


def _way(step: Step) -> Way:
    page = next(page for page in PAGES[step.hurdle or step.name] if page in current_app.view_functions)
    values: dict[str, Any] = {"_anchor": "endpoints"} if step.name == StepName.ENDPOINT else {}
    if page == "memberships.show":
        if step.at is None:
            return Way(step, None, "")
        values = {"membership_id": step.at}
    elif page == "offers.new" and step.at:
        page, values = "offers.show", {"offer_id": step.at}
    return Way(step, url_for(page, **values) if may_open(page) else None, who_can(page))
