"""Audits: whether everything adds up, what did not, and the hash at the head of the chain."""

from flask import abort

from console.request import database
from console.web.access import Answer, Pages, Role
from console.web.fields import query_id
from console.web.forms import page
from models.audit import results
from models.audit.results import Audit

pages = Pages("audits", __name__, url_prefix="/audits")

PAGE_SIZE = 25


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The last audit, and the list of all, newest first."""
    every = results.page(database(), limit=PAGE_SIZE, before=query_id("before"))
    return page("audits/overview.html", latest=results.latest(database()), page=every)


@pages.page("/<id:audit_id>", Role.VIEWER)
def show(audit_id: int) -> Answer:
    """The findings of one audit."""
    audit = database().get(Audit, audit_id) or abort(404)
    return page("audits/audit.html", audit=audit)
