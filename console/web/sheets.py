"""A member's statement over some days: to look at, to print, and as CSV."""

from datetime import datetime
from typing import Any

from flask import Response, redirect, request, url_for
from wtforms import SelectField
from wtforms.validators import Optional

from console.request import database, utc_now
from console.web import member_page
from console.web.access import Answer, Pages, Role
from console.web.fields import Day, chosen_id, day_in_range
from console.web.formats import house_zone
from console.web.forms import QueryForm, page
from models.catalogue.days import local_day
from models.errors import SppError
from models.members.memberships import Member
from models.statements import sheet, statement
from models.statements.sheet import Sheet
from runtime.language import say

pages = Pages("sheets", __name__)


class PeriodForm(QueryForm):
    """The days and the item of a statement; sent with GET."""

    first_day = Day("From", [Optional(), day_in_range])
    last_day = Day("Until", [Optional(), day_in_range])
    item = SelectField("Item", coerce=chosen_id, validate_choice=False)

    def read(self, member: Member, as_of: datetime | None, most: int | None) -> Sheet | None:
        """The statement that it asks for; None if it was refused."""
        self.validate()
        if self.errors:
            return None
        try:
            return sheet.of_member(
                database(), member, first_day=self.first_day.data, last_day=self.last_day.data,
                item_id=self.item.data or None, as_of=as_of, most=most, house_zone=house_zone(),
            )  # fmt: skip
        except SppError as error:
            self.refuse(error)
            return None


@pages.page("/<id:member_id>/statement", Role.VIEWER)
def show(member_id: int) -> Answer:
    """The statement, with the means to print it."""
    member, form, now = member_page.find(member_id), PeriodForm(request.args), utc_now()
    zone = member_page.zone_of(member)
    moment = member_page.as_of(zone)
    held = statement.balances(database(), member_id, now)
    form.item.choices = [(0, say("All items")), *((one.item_id, one.item) for one in held)]
    made = form.read(member, moment.at, sheet.MOST)
    return page(
        "members/statement.html",
        made is None,
        member=member,
        form=form,
        sheet=made,
        most=sheet.MOST,
        zone=zone,
        as_of=moment,
        printed_at=now,
        period=made.period(local_day(moment.at or now, zone)) if made else "",
        paid=member_page.paid(made.entries) if made else {},
        asked=_asked(),
    )


@pages.page("/<id:member_id>/statement.csv", Role.VIEWER)
def download(member_id: int) -> Answer:
    """The same as CSV, with all entries."""
    member, form = member_page.find(member_id), PeriodForm(request.args)
    moment = member_page.as_of(member_page.zone_of(member))
    made = None if moment.error else form.read(member, moment.at, None)
    if made is None:
        return redirect(url_for(".show", member_id=member_id, **_asked()))
    headers = {"Content-Disposition": f'attachment; filename="{sheet.file_name(made, utc_now())}"'}
    return Response(sheet.csv(made), mimetype="text/csv", headers=headers)


def _asked() -> dict[str, Any]:
    """What the address asks for, for another one."""
    names = ("first_day", "last_day", "item", "as_of")
    return {name: request.args[name] for name in names if request.args.get(name)}
