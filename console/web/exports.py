"""Exports: the list of files, and the download of each, now or as of a moment."""

from flask import redirect, request

from console import exported
from console.web.access import Answer, Pages, Role
from console.web.formats import house_zone, link
from console.web.forms import page
from console.web.member_page import as_of
from models.moving.exports import EXPORTS

pages = Pages("exports", __name__, url_prefix="/exports")


@pages.page("/", Role.MANAGER)
def overview() -> Answer:
    """Every file with its columns."""
    moment = as_of(house_zone())
    return page("exports/list.html", bool(moment.error), exports=EXPORTS, as_of=moment)


@pages.page("/<name>.csv", Role.MANAGER)
def download(name: str) -> Answer:
    """One file as CSV."""
    moment = as_of(house_zone())
    if moment.error:
        return redirect(link(".overview", **request.args))
    return exported.answer(name, moment.at)
