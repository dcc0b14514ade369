"""Test members: making a member one, and setting its clock forward."""

from datetime import timedelta

from flask import current_app, url_for
from wtforms.validators import InputRequired

from console.request import actor, database, utc_now
from console.web import member_page
from console.web.access import Answer, Pages, Role
from console.web.fields import Day, day_in_range
from console.web.formats import day
from console.web.forms import Form
from models.catalogue.days import local_day
from models.ledger import setting_clocks
from models.members import clocks
from models.wording import counted
from runtime.language import say

pages = Pages("clocks", __name__)

MONTH = timedelta(days=31)


class ClockForm(Form):
    """The day that the clock is to show."""

    day = Day("The day that its clock shows then", [InputRequired("Choose a day."), day_in_range])


@pages.form("/<id:member_id>/test", Role.MANAGER)
def make_test(member_id: int) -> Answer:
    """Make the member a test member."""
    member, form = member_page.find(member_id), Form()

    def act() -> tuple[str, str]:
        clocks.make_test_member(database(), member, current_app.config["SPP"].endpoints, by=actor())
        message = say("{member} is a test member: only test endpoints pay for it.", member=member.name)
        return message, url_for("members.show", member_id=member.id)

    return form.submitted(act) or member_page.show(member_id, window="members/make_test.html", form=form)


@pages.form("/<id:member_id>/clock", Role.MANAGER)
def set_forward(member_id: int) -> Answer:
    """Set the clock of a test member forward."""
    member, form = member_page.find(member_id), ClockForm()
    if not form.is_submitted():
        form.day.data = local_day(member.clock(utc_now()), member_page.zone_of(member)) + MONTH

    def act() -> tuple[str, str]:
        expired = setting_clocks.set_forward(database(), member, form.day.data, by=actor(), now=utc_now())
        shown, grants = day(form.day.data), counted(expired, "grant")
        message = say("Its clock shows {day} now: {grants} expired by that.", day=shown, grants=grants)
        return message, url_for("members.show", member_id=member.id)

    return form.submitted(act) or member_page.show(member_id, window="members/clock.html", form=form)
