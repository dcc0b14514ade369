"""The Offer Builder: the list of offers; making, renaming, copying, publishing, retiring and deleting one."""

from collections.abc import Callable

from flask import request, url_for
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from console.edits import Edit
from console.request import actor, database, utc_now
from console.rows import the_offer
from console.web import buckets, moves, offer_page, terms
from console.web.access import Answer, Pages, Role
from console.web.fields import text_field
from console.web.forms import Form, page, pressed
from console.web.offer_page import KINDS, STATES, named
from models.catalogue import offers
from models.catalogue.tables import Offer, PaymentTerm, SessionBucket
from models.members.memberships import held_by_term
from models.staff import actions
from runtime.language import noted, say

pages = Pages("offers", __name__, url_prefix="/offers")
pages.register_blueprint(buckets.pages)
pages.register_blueprint(terms.pages)
pages.register_blueprint(moves.pages)


class NameForm(Form):
    """The name of an offer."""

    name = text_field("Name", description="As staff and members see it, such as Gold or All In.", autofocus=True)


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The offers by name, of one state or all."""
    return _list("list")


def _list(template: str, **window: object) -> Answer:
    state = request.args.get("state", "")
    counts = dict(database().execute(select(Offer.state, func.count()).group_by(Offer.state)).all())
    parts = [
        select(func.count()).where(part.offer_id == Offer.id).correlate(Offer).scalar_subquery()
        for part in (SessionBucket, PaymentTerm)
    ]
    held = held_by_term(database(), utc_now())
    query = select(Offer, *parts).options(selectinload(Offer.terms)).order_by(func.lower(Offer.name))
    if state in STATES:
        query = query.where(Offer.state == state)
    return page(
        f"offers/{template}.html",
        rows=[(*row, sum(held.get(term.id, 0) for term in row[0].terms)) for row in database().execute(query)],
        counts=counts,
        state=state,
        states={"": noted("All"), **STATES},
        kinds=KINDS,
        **window,
    )


@pages.form("/new", Role.MANAGER)
def new() -> Answer:
    """Make a draft."""
    form = NameForm()

    def act() -> tuple[str, str]:
        offer = offers.create(database(), form.text("name"))
        actions.log(database(), actor(), "create offer", named(offer))
        text = say("{name} is a draft now: add what it is made of, then publish it.", name=offer.name)
        return text, url_for(".show", offer_id=offer.id)

    return form.submitted(act) or _list("new", form=form)


@pages.page("/<id:offer_id>", Role.VIEWER)
def show(offer_id: int) -> Answer:
    """One offer: its state, session buckets and payment terms."""
    return offer_page.page(the_offer(offer_id))


@pages.form("/<id:offer_id>/rename", Role.MANAGER)
def rename(offer_id: int) -> Answer:
    """Change an offer's name, which memberships show too."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = NameForm(name=offer.name)

    def act() -> tuple[str, str]:
        edit = Edit(offer, "name")
        offers.rename(database(), offer, form.text("name"))
        edit.log("rename offer", f"offer {offer.id}")
        return say("The offer is called {name} now.", name=offer.name), url_for(".show", offer_id=offer.id)

    title = say("Rename {name}", name=offer.name)
    return form.submitted(act) or offer_page.page(offer, "named", form=form, title=title, button=say("Save"))


@pages.form("/<id:offer_id>/copy", Role.MANAGER)
def copy(offer_id: int) -> Answer:
    """Make a draft with all that can still be sold of an offer."""
    offer = the_offer(offer_id, lock=request.method == "POST")
    form = NameForm(name=say("Copy of {name}", name=offer.name)[:200])

    def act() -> tuple[str, str]:
        draft = offers.copy(database(), offer, form.text("name"))
        actions.log(database(), actor(), "copy offer", f"{named(offer)} to {named(draft)}")
        text = say(
            "{name} is a draft with the session buckets and payment terms of {offer}.",
            name=draft.name,
            offer=offer.name,
        )
        return text, url_for(".show", offer_id=draft.id)

    title = say("Copy {name}", name=offer.name)
    return form.submitted(act) or offer_page.page(offer, "named", form=form, title=title, button=say("Make the copy"))


@pages.button("/<id:offer_id>/publish", Role.MANAGER)
def publish(offer_id: int) -> Answer:
    """Put a draft on sale, or a retired offer back on sale."""
    return _change(offer_id, Offer.publish, "publish offer", noted("{name} is on sale."))


@pages.button("/<id:offer_id>/retire", Role.MANAGER)
def retire(offer_id: int) -> Answer:
    """Take an offer off sale."""
    return _change(
        offer_id, Offer.retire, "retire offer", noted("{name} is off sale. Memberships that bought it go on.")
    )


def _change(offer_id: int, change: Callable[[Offer], None], verb: str, text: str) -> Answer:
    offer = the_offer(offer_id, lock=True)

    def act() -> str:
        edit = Edit(offer, "state")
        change(offer)
        edit.log(verb, named(offer))
        return say(text, name=offer.name)

    return pressed(act, url_for(".show", offer_id=offer_id))


@pages.form("/<id:offer_id>/delete", Role.MANAGER)
def delete(offer_id: int) -> Answer:
    """Delete a draft, once that is confirmed."""
    offer, form = the_offer(offer_id, lock=request.method == "POST"), Form()
    name = offer.name

    def act() -> tuple[str, str]:
        actions.log(database(), actor(), "delete offer", named(offer))
        offers.delete(database(), offer)
        return say("The draft {name} is deleted.", name=name), url_for(".overview")

    text = say("The draft {name} with its session buckets and payment terms. Nobody has bought it.", name=name)
    return form.submitted(act) or offer_page.page(
        offer, "delete", form=form, title=say("Delete {name}?", name=name), text=text
    )
