"""Audits: whether everything adds up, what did not, and the hash at the head of the chain."""

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from console.request import database
from console.web.access import needs
from console.web.fields import query_id
from console.web.formats import house_zone
from models.audit import results
from models.audit.results import Audit
from models.staff.accounts import Role

pages = Blueprint("audits", __name__, url_prefix="/audits")

LISTED = 25


@pages.get("/")
@needs(Role.VIEWER)
def overview() -> ResponseReturnValue:
    """The last audit, and the list of all, newest first."""
    session = database()
    page = results.page(session, limit=LISTED, before=query_id("before"))
    return render_template("audits/overview.html", latest=results.latest(session), page=page, zone=house_zone())


@pages.get("/<id:audit_id>")
@needs(Role.VIEWER)
def show(audit_id: int) -> ResponseReturnValue:
    """What one audit found."""
    audit = database().get(Audit, audit_id) or abort(404)
    return render_template("audits/audit.html", audit=audit, zone=house_zone())
