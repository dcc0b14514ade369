"""What the tests of the inventory, the clubs and the Offer Builder look at."""

import re
from collections.abc import Callable
from html import unescape

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.tables import Offer
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.conftest import Browser

LogIn = Callable[[Role], Browser]


def beside(browser: Browser, field: str) -> str:
    """The errors that stand beside the field of that id; empty where there are none."""
    found = re.search(rf'id="{field}-errors">(.*?)</div>\s*</div>', browser.page, re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


def handed_out(browser: Browser) -> str:
    """With which values the fields of the window were handed out, as its form sends them back."""
    found = re.search(r'name="was"[^>]*value="([^"]*)"', browser.page)
    assert found, "no form that somebody else could be editing too"
    return unescape(found[1])


def acts(session: Session) -> list[str]:
    """The action log, the newest first: `who verb: subject`."""
    rows = session.execute(select(Action.actor, Action.verb, Action.subject).order_by(Action.id.desc()))
    return [f"{actor.partition('@')[0]} {verb}: {subject}" for actor, verb, subject in rows]


def the_offer(session: Session, name: str) -> Offer | None:
    """The offer of that name as the database has it."""
    session.expire_all()
    return session.scalar(select(Offer).where(Offer.name == name))


def buckets(session: Session, name: str) -> dict[str, bool]:
    """The offer's session items by name, with whether they are required."""
    offer = the_offer(session, name)
    assert offer is not None
    return {bucket.item.name: bucket.required for bucket in offer.buckets}


def sessions(session: Session, offer_name: str, term_name: str) -> dict[str, tuple[int, int]]:
    """What each payment gives under the payment term: quantity and days to expire by item."""
    offer = the_offer(session, offer_name)
    assert offer is not None
    (term,) = (term for term in offer.terms if term.name == term_name)
    return {entry.bucket.item.name: (entry.quantity, entry.days_to_expire) for entry in term.bucket_terms}
